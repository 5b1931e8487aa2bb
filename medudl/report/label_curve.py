"""label_curve.json: balanced accuracy and error by number of labels, with paired differences from labels alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medudl.metrics.classification import auroc_one_vs_rest, balanced_accuracy, confusion
from medudl.metrics.intervals import Estimate, bootstrap, difference, resamples
from medudl.report.label_curve_words import table, verdict
from medudl.version import VERSION

Array = NDArray[np.float64]
Unit = Literal["share", "per_class"]
SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)
PIXELS = "pixels"
REPEATS, SEED = 1000, 0


@dataclass(frozen=True)
class Fit:
    """One classifier: what it began from, how many labels, the seed, and how it saw the test scans.

    amount: a share of the labelled patients, or so many of them a class. patients, scans: that it learnt from; chosen,
    those scans that chose its weights. studies: of all these scans. probability: (N, K).
    """

    arm: str
    amount: float
    seed: int
    patients: int
    scans: int
    chosen: int
    studies: int
    probability: Array

    def tree(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "probability": np.round(self.probability, 6).tolist()}

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Fit:
        """Of what `tree` gave."""
        names = ("arm", "amount", "seed", "patients", "scans", "chosen", "studies")
        return cls(**{name: tree[name] for name in names}, probability=np.array(tree["probability"]))


@dataclass(frozen=True)
class Cost:
    """What a label costs: the median seconds of `reads` first reads, a label being one of a series or of a study."""

    seconds: float
    reads: int
    unit: str

    def minutes(self, fit: Fit) -> float:
        """To read what a fit learnt from and what chose its weights."""
        labels = fit.studies if self.unit == "study" else fit.scans + fit.chosen
        return labels * self.seconds / 60


def summarise(
    fits: Sequence[Fit], truth: NDArray[np.int64], subjects: Sequence[str], classes: Sequence[str],
    pairs: Mapping[str, str], *, unit: Unit = "share", cost: Cost | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The content of label_curve.json. pairs: {arm: the one that has the labels alone}; unit: of the fits' amounts.

    Intervals, 95 %: test patients (within their class) and seeds are drawn together, the same draws for every arm and
    amount, so that differences are paired by both.
    """
    names, place = np.unique(subjects, return_inverse=True)
    strata = [str(sorted(set(truth[place == patient]))) for patient in range(len(names))]
    weight = resamples(strata, REPEATS, SEED)[:, place].astype(np.float64)
    number = 1 + max(fit.seed for fit in fits)
    seeds = resamples(np.zeros(number), REPEATS, SEED + 1) / number
    draws = _Draws(truth, weight, seeds, len(names))
    arms = list(dict.fromkeys(fit.arm for fit in fits))
    amounts = sorted({fit.amount for fit in fits})
    cells = {(a, s): draws.of([f for f in fits if f.arm == a and f.amount == s]) for a in arms for s in amounts}
    rows = [_row(arm, amount, unit, cells, fits, pairs, cost) for amount in amounts for arm in arms]
    return {
        "medudl": VERSION, "classes": list(classes), "seeds": number, "test_scans": len(truth),
        "test_patients": len(names), "pairs": dict(pairs), "unit": unit,
        "cost": None if cost is None else vars(cost), "rows": rows, "measure": "balanced accuracy",
        "bootstrap": {"repeats": REPEATS, "seed": SEED, "unit": "test patient and training seed", "level": 0.95},
        "verdict": verdict(rows, len(names)), "table": table(rows),
    }  # fmt: skip


@dataclass(frozen=True)
class _Cell:
    """Figures of one arm at one amount with their values over the resamples; AUROC and spread without them."""

    figure: Estimate
    samples: Array
    error: Estimate
    error_samples: Array
    auroc: float
    spread: float


@dataclass(frozen=True)
class _Draws:
    """truth: (N,); weight: (R, N), how often each scan's patient is drawn; seeds: (R, S), shares of the seeds."""

    truth: NDArray[np.int64]
    weight: Array
    seeds: Array
    patients: int

    def of(self, fits: Sequence[Fit]) -> _Cell:
        """Mean over the seeds."""
        fits = sorted(fits, key=lambda fit: fit.seed)
        once = np.ones(len(self.truth))
        found = [self._measured(fit, self.weight) for fit in fits]
        alone = np.array([self._measured(fit, once) for fit in fits])  # (S, 2)
        samples, wrong = ((np.stack([each[k] for each in found], axis=1) * self.seeds).sum(1) for k in (0, 1))
        auroc = float(np.mean([auroc_one_vs_rest(self.truth, fit.probability, once) for fit in fits]))
        mean = alone.mean(0)
        return _Cell(
            bootstrap(float(mean[0]), samples, self.patients), samples,
            bootstrap(float(mean[1]), wrong, self.patients), wrong, auroc,
            float(alone[:, 0].std(ddof=1)) if len(alone) > 1 else math.nan,
        )  # fmt: skip

    def _measured(self, fit: Fit, weight: Array) -> tuple[Array, Array]:
        """Balanced accuracy, and the share of scans that are called by another class."""
        counts = confusion(self.truth, fit.probability.argmax(1), fit.probability.shape[1], weight)
        right = np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))
        return balanced_accuracy(counts), 1 - right


def _row(
    arm: str, amount: float, unit: Unit, cells: Mapping[tuple[str, float], _Cell], fits: Sequence[Fit],
    pairs: Mapping[str, str], cost: Cost | None,
) -> dict[str, Any]:  # fmt: skip
    cell = cells[arm, amount]
    here = [fit for fit in fits if fit.arm == arm and fit.amount == amount]
    paired, fewer, word = None, None, ""
    if arm in pairs:
        other = cells[pairs[arm], amount]
        n = cell.figure.n
        paired = difference(cell.figure.value, other.figure.value, cell.samples, other.samples, n)
        fewer = difference(cell.error.value, other.error.value, cell.error_samples, other.error_samples, n)
        word = judged(paired)
    return {
        "share": amount if unit == "share" else None, "per_class": int(amount) if unit == "per_class" else None,
        "arm": arm, **{name: _median([getattr(fit, name) for fit in here]) for name in ("patients", "scans", "chosen")},
        "minutes": None if cost is None else round(float(np.median([cost.minutes(fit) for fit in here])), 1),
        "balanced_accuracy": cell.figure.as_dict(), "error": cell.error.as_dict(), "auroc": _finite(cell.auroc),
        "spread_over_seeds": _finite(cell.spread), "judged": word,
        "difference_from_scratch": None if paired is None else paired.as_dict(),
        "error_difference_from_scratch": None if fewer is None else fewer.as_dict(),
    }  # fmt: skip


def judged(paired: Estimate) -> str:
    """'gain', 'loss', or 'no gain' where the interval includes 0 (or there is none)."""
    if paired.low > 0:
        return "gain"
    return "loss" if paired.high < 0 else "no gain"


def _median(numbers: Sequence[int]) -> int:
    return int(np.median(numbers))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
