"""What an evaluation and a calibration found, in sentences. The figures are those of report.json, rounded only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medudl.metrics.intervals import short

Tree = Mapping[str, Any]


def figures(report: Tree) -> dict[str, float]:
    """Plain numbers by name, as in report.json."""
    if report.get("kind") == "generator":
        rows = [(f"{row['name']}, {row['features']}".rstrip(", "), row["value"]) for row in report["figures"]]
        return {name: value for name, value in rows if value is not None}
    if report.get("kind") == "translation":
        rows = [(_translated(row), row["value"]) for row in report["figures"]]
        return {name: value for name, value in rows if value is not None}
    found = {name: estimate["value"] for name, estimate in _estimates(report).items()}
    return {name: value for name, value in found.items() if value is not None}


def results(report: Tree | None, calibration: Tree | None) -> dict[str, str]:
    """Sentences by the keys of the checklists. Without a report those about its figures are absent."""
    told = _thresholds(calibration)
    if report is None:
        return told
    if report.get("kind") == "generator":
        on = f"{report['n_samples']} samples beside {report['n_patients']} patients of the {report['split']} split"
        return {
            **told, "measures": f"{', '.join(figures(report))}; beside real images and a trivial generator",
            "results": f"{on}. {report['verdict']}",
        }  # fmt: skip
    if report.get("kind") == "translation":
        on = f"{report['n_scans']} scans of {report['n_patients']} patients of the {report['split']} split"
        rulers = ", ".join(one["name"] for one in report["baselines"])
        lines = "; ".join(
            f"{_translated(row)} {estimate(row)}" for row in report["figures"] if row["value"] is not None
        )
        return {
            **told, "measures": f"{', '.join(figures(report))}; over {report['mask']}; beside {rulers}",
            "results": f"{on}: {lines or 'no figure'}. {report['verdict']}",
        }  # fmt: skip
    numbers = {name: estimate(value) for name, value in _estimates(report).items() if value["value"] is not None}
    boot = report["bootstrap"]
    lines = "; ".join(f"{name.replace('_', ' ')} {text}" for name, text in numbers.items())
    on = f"{report['split']} split, {report['patients']} patients, {report['scans']} scans"
    if report["folds"] > 1:
        on += f", {report['folds']} folds"
    return {
        **told,
        "measures": f"{', '.join(name.replace('_', ' ') for name in numbers)}; beside trivial baselines",
        "intervals": f"{boot['level']:.0%} intervals by a bootstrap over each {boot['unit']} ({boot['repeats']} draws)",
        "results": f"{on}: {lines or 'no figure'}. {report['verdict']}",
        "accuracy": _accuracy(report, numbers),
        "failures": _failures(report),
        "robustness": _variants(report),
    }


def _translated(row: Tree) -> str:
    """What a figure of a translation is called: mae (T2, HU)."""
    about = ", ".join(filter(None, [row["channel"], row["unit"], row.get("features", "").split(",")[0]]))
    return f"{row['name']} ({about})"


def estimate(value: Tree, digits: int = 3) -> str:
    """A figure with its interval: .612 (95 % interval .503 to .701, n = 25 patients)."""
    text = short(value["value"], digits)
    if value.get("low") is None or value.get("high") is None:
        return f"{text} (n = {value['n']} patients)"
    return (
        f"{text} (95 % interval {short(value['low'], digits)} to {short(value['high'], digits)},"
        f" n = {value['n']} patients)"
    )


def _estimates(report: Tree) -> dict[str, Tree]:
    voxel, scan, false = report.get("voxel"), report.get("scan"), report["false_areas_per_scan"]
    found = {
        "voxel_average_precision": voxel and voxel["average_precision"],
        "dice_at_healthy_threshold": voxel and voxel["dice_at_healthy_threshold"],
        "scan_auroc": scan and scan["auroc"],
        "scan_average_precision": scan and scan["average_precision"],
        "false_areas_per_healthy_scan": false["healthy_scans"],
    }
    return {name: value for name, value in found.items() if value}


def _accuracy(report: Tree, numbers: Mapping[str, str]) -> str:
    flagged = (report.get("scan") or {}).get("flagged")
    if not flagged:
        return ""
    (hit, sick), (false, healthy) = flagged["sick"], flagged["healthy"]
    told = f"at the scan threshold {hit} of {sick} sick and {false} of {healthy} healthy scans are flagged"
    return told + (f"; AUROC {numbers['scan_auroc']}" if "scan_auroc" in numbers else "")


def _failures(report: Tree) -> str:
    rows = [row for row in report["lesion_recall"] if row["lesions"]]
    sizes = (
        f"{row['from']:g} {row['unit']} and larger" if row["to"] is None
        else f"{row['from']:g} to {row['to']:g} {row['unit']}"
        for row in rows
    )  # fmt: skip
    told = [f"{row['met']} of {row['lesions']} lesions of {size} met" for row, size in zip(rows, sizes, strict=True)]
    behind = [row["kind"] for row in report["kinds"] if not row["model_is_ahead"]]
    told += [f"behind the best baseline on: {', '.join(behind)}"] if behind else []
    return "; ".join(told)


def _variants(report: Tree) -> str:
    return "postprocessing was switched off part by part (in the report)" if report.get("variants") else ""


def _thresholds(calibration: Tree | None) -> dict[str, str]:
    if calibration is None:
        return {}
    scan, voxel = calibration["scan"], calibration["voxel"]
    limits = "" if scan is None else f" Scan threshold {scan['threshold']:.6g} ({scan['rule']})."
    limits += "" if voxel is None else (
        f" Voxel threshold {voxel['threshold']:.6g} (the {voxel['percentile']:g} percentile of healthy voxels)."
    )  # fmt: skip
    return {
        "calibration": calibration["text"],
        "output": f"a map (0 and above) and a score a scan; no probability.{limits}",
    }
