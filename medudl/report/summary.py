"""report.json: every figure with its interval and n, what it was computed on, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from medudl.config import Config
from medudl.metrics.intervals import Estimate
from medudl.report.figures import (
    REPEATS,
    SEED,
    Ranking,
    best_baseline,
    dice_at_threshold,
    gain,
    lesion_recall,
    per_scan,
    scan_rankings,
    voxel_rankings,
)
from medudl.report.records import MODEL, Record
from medudl.report.variants import variant_rows
from medudl.report.verdict import verdict
from medudl.version import VERSION


def summarise(records: Sequence[Record], config: Config, calibration: dict[str, Any], split: str) -> dict[str, Any]:
    """The content of report.json; NaN is null. Its `verdict` is the closing line, `beats` true, false or null."""
    voxel, scan = voxel_rankings(records), scan_rankings(records)
    closing = verdict(voxel, scan)
    return {
        "medudl": VERSION,
        "method": config.method["name"],
        "split": split,
        "scans": len(records),
        "patients": len({r.subject for r in records}),
        "folds": len({r.fold for r in records}),
        "bootstrap": {"repeats": REPEATS, "seed": SEED, "unit": "patient", "level": 0.95},
        "settings": config.detect.model_dump(mode="json"),
        "calibration": {k: v for k, v in calibration.items() if k != "scans"},
        "voxel": _voxel(records, voxel),
        "scan": _scan(records, scan),
        "lesion_recall": lesion_recall(records),
        "false_areas_per_scan": _false(records),
        "rim": _rim(records),
        "baselines": {"voxel": _table(voxel), "scan": _table(scan)},
        "variants": variant_rows(records),
        "kinds": _kinds(records),
        "cases": [_case(record) for record in records],
        "verdict": closing.text,
        "beats": closing.beats,
        "measure": closing.measure,
        "best_baseline": closing.baseline,
        "difference": _dict(closing.difference),
    }


def _voxel(records: Sequence[Record], rankings: list[Ranking]) -> dict[str, Any] | None:
    if not rankings:
        return None
    model, best = rankings[0], best_baseline(rankings)
    masked = [r for r in records if r.counts]
    sick = sum(int(r.counts[MODEL].sick.sum()) for r in masked)
    total = sick + sum(int(r.counts[MODEL].healthy.sum()) for r in masked)
    return {
        "scans": len(masked),
        "average_precision": model.figure.as_dict(),
        "prevalence": sick / total if total else None,
        "best_dice_optimistic": _number(model.best_dice),
        "dice_at_healthy_threshold": _dict(dice_at_threshold(records)),
        "best_baseline": None if best is None else best.name,
    }


def _scan(records: Sequence[Record], rankings: list[Ranking]) -> dict[str, Any] | None:
    if not rankings:
        return None
    model, best = rankings[0], best_baseline(rankings)
    known = [r for r in records if r.sick is not None]
    return {
        "sick": sum(bool(r.sick) for r in known),
        "healthy": sum(not r.sick for r in known),
        "auroc": model.figure.as_dict(),
        "average_precision": _dict(model.average_precision),
        "best_baseline": None if best is None else best.name,
        "flagged": _flagged(known),
    }


def _flagged(known: Sequence[Record]) -> dict[str, Any] | None:
    """Share of sick and of healthy scans above the scan threshold of their run."""
    judged = [r for r in known if r.threshold is not None]
    if not judged:
        return None
    over = {kind: [r.scores[MODEL] > (r.threshold or 0) for r in judged if r.sick is kind] for kind in (True, False)}
    return {"sick": [sum(over[True]), len(over[True])], "healthy": [sum(over[False]), len(over[False])]}


def _false(records: Sequence[Record]) -> dict[str, Any]:
    return {
        "healthy_scans": _dict(per_scan([r for r in records if r.sick is False])),
        "scans_with_lesion": _dict(per_scan([r for r in records if r.lesions is not None])),
    }


def _rim(records: Sequence[Record]) -> dict[str, Any]:
    shares = np.array([r.rim for r in records if np.isfinite(r.rim).all()])
    if not len(shares):
        return {"share_of_map": None, "share_of_voxels": None}
    return {"share_of_map": float(shares[:, 0].mean()), "share_of_voxels": float(shares[:, 1].mean())}


def _kinds(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The same comparison for each label of the sick scans alone, the lost ones included."""
    rows = []
    for label in sorted({r.label for r in records if r.sick and r.label}):
        masked = [r for r in records if r.label == label and r.counts]
        chosen = masked or [r for r in records if (r.label == label and r.sick) or r.sick is False]
        measure = "voxel AP" if masked else "AUROC"
        found = gain(voxel_rankings(masked) if masked else scan_rankings(chosen))
        if found is None or not math.isfinite(found[0].figure.value):
            continue
        model, best, paired = found
        sick = [r for r in records if r.label == label and r.sick]
        rows.append(
            {
                "kind": label,
                "measure": measure,
                "patients": len({r.subject for r in sick}),
                "scans": len(sick),
                "model": model.figure.as_dict(),
                "best_baseline": best.name,
                "baseline": best.figure.as_dict(),
                "difference": paired.as_dict(),
                "model_is_ahead": paired.value > 0,
            }
        )
    return rows


def _table(rankings: list[Ranking]) -> list[dict[str, Any]]:
    """Every map, best first, the model among them."""
    rows = sorted(rankings, key=lambda r: -r.figure.value if math.isfinite(r.figure.value) else math.inf)
    out = []
    for row in rows:
        told: dict[str, Any] = {"name": row.name, **row.figure.as_dict()}
        if row.best_dice is not None:
            told["best_dice_optimistic"] = _number(row.best_dice)
        if row.average_precision is not None:
            told["average_precision"] = row.average_precision.as_dict()
        out.append(told)
    return out


def _case(record: Record) -> dict[str, Any]:
    met = None if record.lesions is None else [int(record.lesions.met.sum()), len(record.lesions.met)]
    return {
        "case": record.case,
        "subject": record.subject,
        "label": record.label,
        "fold": record.fold,
        "sick": record.sick,
        "score": record.scores[MODEL],
        "threshold": record.threshold,
        "lesions_met": met,
        "false_areas": record.false,
    }


def _dict(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate.as_dict()


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
