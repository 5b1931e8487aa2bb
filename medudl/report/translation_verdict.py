"""The closing line on a translation: is it nearer to the truth than the best of the baselines?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medudl.metrics.intervals import Estimate
from medudl.report.generator_figures import three_digits
from medudl.report.translation_figures import MODEL, Scale, Scored, error_difference, error_of, error_unit
from medudl.report.verdict import FEWEST

NO_TRUTH = (
    "No verdict: no study of this split holds both sides, so nothing here shows that the anatomy is right. Figures that"
    " need no truth say whether made scans look like real ones, and no more."
)


def best_on(errors: Mapping[str, float]) -> str | None:
    """The baseline of least error; None where there is none. errors: on the val split, by name."""
    known = {name: error for name, error in errors.items() if math.isfinite(error)}
    return min(known, key=lambda name: known[name]) if known else None


def closing(scored: Sequence[Scored], scales: Sequence[Scale], chosen_by: Mapping[str, float]) -> dict[str, Any]:
    """{"verdict", "beats", "measure", "baseline", "difference", "comparisons"}, paired by patient.

    chosen_by: error of every baseline on the val split, where the best is chosen. comparisons: with every one of them.
    """
    told: dict[str, Any] = {
        "measure": f"mean absolute error, {error_unit(scales)}", "beats": None, "baseline": None, "difference": None,
        "comparisons": _comparisons(scored, scales, chosen_by),
    }  # fmt: skip
    best = best_on(chosen_by)
    if best is None:
        why = "no pair of the val split could be read, and the best baseline is chosen there, not on test scans"
        return {**told, "verdict": f"No verdict: {why}."}
    found = error_difference(scored, best, scales)
    told |= {"baseline": best, "difference": found.as_dict()}
    own, other = (_mean(scored, name, scales) for name in (MODEL, best))
    unit = " HU" if error_unit(scales) == "HU" else ""
    figures = f"{three_digits(own)}{unit} against {three_digits(other)}{unit}"
    if found.n < FEWEST:
        few = "1 test patient is" if found.n == 1 else f"{found.n} test patients are"
        line = f"No verdict: {few} too few, {FEWEST} are the least (mean absolute error {figures} of {best})."
        return {**told, "verdict": line}
    beats = found.high < 0
    line = (
        f"The model {'beats' if beats else 'does not beat'} the best baseline, {best}, in mean absolute error:"
        f" {figures}, {_words(found)}{unit}, below 0 is better, n = {found.n} patients. The baseline was chosen on the"
        " val split."
    )
    return {**told, "beats": beats, "verdict": line}


def without_truth() -> dict[str, Any]:
    """The same where no test study holds both sides."""
    return {
        "verdict": NO_TRUTH, "beats": None, "measure": None, "baseline": None, "difference": None, "comparisons": [],
    }  # fmt: skip


def _comparisons(
    scored: Sequence[Scored], scales: Sequence[Scale], chosen_by: Mapping[str, float]
) -> list[dict[str, Any]]:
    names = [name for name in scored[0].figures if name != MODEL]
    return [
        {
            "baseline": name, "difference": error_difference(scored, name, scales).as_dict(),
            "val_error": chosen_by.get(name),
        }
        for name in names
    ]  # fmt: skip


def _mean(scored: Sequence[Scored], name: str, scales: Sequence[Scale]) -> float:
    """Mean over patients of the means of their scans."""
    patients: dict[str, list[float]] = {}
    for one in scored:
        patients.setdefault(one.patient, []).append(error_of(one, name, scales))
    return sum(sum(errors) / len(errors) for errors in patients.values()) / len(patients)


def _words(found: Estimate) -> str:
    value, low, high = (("+" if x > 0 else "") + three_digits(x) for x in (found.value, found.low, found.high))
    return f"difference {value}, 95 % interval {low} to {high}"
