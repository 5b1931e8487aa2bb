"""The report on readers' agreement in words: a sentence for every figure, and for every one that cannot be had."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from medudl.metrics.intervals import Estimate

TEST, ALL = "random test cases", "all cases"
_KAPPAS = {
    "cohen_kappa": "Cohen's kappa",
    "cohen_kappa_linear": "weighted linearly",
    "cohen_kappa_quadratic": "weighted quadratically",
}


def text(report: Mapping[str, Any]) -> str:
    """Of `agreement.report`, for a terminal."""
    readers = report["readers"]
    lines = [
        f"{_many(len(readers), 'reader')}, {_many(report['labels'], 'first read')} of {_many(report['cases'], 'case')}"
    ]
    if len(readers) < 2:
        lines.append("Agreement between readers takes two readers: let a second one label the same cases.")
    else:
        for name, found in report["between"].items():
            lines += ["", *_between(name, found)]
    lines += ["", "Each reader with him- or herself, first read and silent repeat:", *_within(report)]
    lines += ["", "Minutes a label:", *(_pace(reader, found) for reader, found in report["pace"].items())]
    return "\n".join([*lines, "", *_adjudication(report["adjudication"])])


def _between(name: str, found: Mapping[str, Any]) -> list[str]:
    read = f"{_many(found['cases'], 'case')} read by two or more, {_many(found['patients'], 'patient')}"
    head = f"Between readers, {name} ({read}):"
    if not found["cases"]:
        return [head, "  no case has labels of two readers yet"]
    lines = [head, f"  agreement {_share(found['agreement'])}"]
    if len(found["readers"]) > 2:
        lines.append(
            f"  Fleiss' kappa, {len(found['readers'])} readers: {_kappa(found['fleiss_kappa'], found['said'])}"
        )
    for pair in found["pairs"]:
        lines.append(f"  {' and '.join(pair['readers'])}, {_many(pair['cases'], 'case')}: {_pair(pair)}")
    for label, figure in found["classes"].items():
        told = _share(figure) if figure["value"] is not None else "nobody said it"
        lines.append(f"  when one says {label}, another does too: {told}")
    if name == ALL:
        lines.append("  (The model picks hard cases: these figures may be lower than on cases as they come.)")
    return lines


def _pair(pair: Mapping[str, Any]) -> str:
    kappas = [f"{words} {_kappa(pair[name], pair['said'])}" for name, words in _KAPPAS.items() if name in pair]
    return f"agreement {_share(pair['agreement'])}; {'; '.join(kappas)}"


def _within(report: Mapping[str, Any]) -> list[str]:
    if not report["within"]:
        return ["  no case has been read twice by the same reader yet"]
    return [
        f"  {reader}, {_many(found['cases'], 'repeat')}: {_pair(found)}" for reader, found in report["within"].items()
    ]


def _pace(reader: str, found: Mapping[str, Any]) -> str:
    if found["minutes_median"] is None:
        told = "no label has a time" if not found["timed"] else "every label was interrupted"
    else:
        low, high = found["minutes_quartiles"]
        count = found["timed"] - found["pauses"]
        told = f"median {found['minutes_median']:.2f} (half of them {low:.2f} to {high:.2f}), n = {count}"
    pauses = found["pauses"]
    left_out = f"; {_many(pauses, 'label')} over {found['pause_seconds'] / 60:g} minutes left out as interrupted"
    return f"  {reader}: {told}{left_out if pauses else ''}"


def _adjudication(disputed: list[dict[str, Any]]) -> list[str]:
    still = [one for one in disputed if one["decided"] is None]
    if not disputed:
        return ["No case is disputed."]
    lines = [f"{_many(len(disputed), 'disputed case')}, {len(still)} to be decided:" if still
             else f"{_many(len(disputed), 'disputed case')}, all decided."]  # fmt: skip
    return [*lines, *(f"  {one['case']}: {'; '.join(f'{reader} says {value}' for reader, value in one['said'].items())}"
                      for one in still)]  # fmt: skip


def _kappa(figure: Mapping[str, Any], said: Mapping[str, int]) -> str:
    if figure["value"] is None:
        only = [name for name, count in said.items() if count]
        return f"cannot be told, since all reads say {only[0]}" if len(only) == 1 else "cannot be told"
    estimate = _estimate(figure)
    if math.isfinite(estimate.low):
        return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
    why = "no two reads differ" if estimate.value == 1 else "too few patients"
    return f"{estimate.value:.2f} (no interval: {why})"


def _share(figure: Mapping[str, Any]) -> str:
    estimate = _estimate(figure)
    if not math.isfinite(estimate.low):
        return f"{estimate.value:.0%} (no interval: one patient)".replace("%", " %")
    low, high = f"{100 * estimate.low:.0f}", f"{100 * estimate.high:.0f}"
    return f"{100 * estimate.value:.0f} % ({low} to {high} %)"


def _estimate(figure: Mapping[str, Any]) -> Estimate:
    value, low, high = (math.nan if figure[name] is None else float(figure[name]) for name in ("value", "low", "high"))
    return Estimate(value, low, high, int(figure["n"]))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
