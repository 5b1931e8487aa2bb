"""The closing line: does the model beat the best trivial baseline?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medudl.metrics.intervals import Estimate, short
from medudl.report.figures import Ranking, gain

FEWEST = 5  # test patients: below, figures and no verdict


@dataclass(frozen=True)
class Verdict:
    """text: the line. beats: True, False, or None where there is no verdict. measure: "voxel AP" or "AUROC"."""

    text: str
    beats: bool | None
    measure: str = ""
    baseline: str = ""
    difference: Estimate | None = None


def verdict(voxel: Sequence[Ranking], scan: Sequence[Ranking]) -> Verdict:
    """By voxel AP where there are lesion masks, else by AUROC of the scan scores; paired by patient.

    The model beats the baseline when the 95 % interval of the difference lies above 0. Below 5 patients: no verdict.
    """
    for measure, rankings in (("voxel AP", voxel), ("AUROC", scan)):
        found = gain(rankings)
        if found is not None and math.isfinite(found[2].value):
            return _line(measure, *found)
    return Verdict("No verdict: there are neither lesion masks nor both healthy and sick scans in this split.", None)


def _line(measure: str, model: Ranking, best: Ranking, paired: Estimate) -> Verdict:
    digits = 2 if max(model.figure.value, best.figure.value) >= 0.1 else 3
    figures = f"{measure} {short(model.figure.value, digits)} against {short(best.figure.value, digits)}"
    if paired.n < FEWEST:
        few = "1 test patient is" if paired.n == 1 else f"{paired.n} test patients are"
        text = f"No verdict: {few} too few, {FEWEST} are the least ({figures} of the best baseline, {best.name})."
        return Verdict(text, None, measure, best.name, paired)
    beats = paired.low > 0
    value, low, high = (_signed(x, digits) for x in (paired.value, paired.low, paired.high))
    text = (
        f"The model {'beats' if beats else 'does not beat'} the best trivial baseline ({figures}, difference {value},"
        f" 95 % interval {low} to {high}, n = {paired.n} patients). The baseline, {best.name}, was picked on these very"
        " scans, which favours it."
    )
    return Verdict(text, beats, measure, best.name, paired)


def _signed(value: float, digits: int) -> str:
    return ("-" if value < 0 else "+") + short(abs(value), digits)
