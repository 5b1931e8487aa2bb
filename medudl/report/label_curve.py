"""label_curve.json: balanced accuracy by share of the labels, from scratch and pretrained, with paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.metrics.classification import auroc_one_vs_rest, balanced_accuracy, confusion
from medudl.metrics.intervals import Estimate, bootstrap, difference, resamples, short
from medudl.report.verdict import FEWEST
from medudl.version import VERSION

Array = NDArray[np.float64]
SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)
PIXELS = "pixels"
REPEATS, SEED = 1000, 0


@dataclass(frozen=True)
class Fit:
    """One classifier: what it began from, the share of labelled patients, the seed, and how it saw the test scans.

    patients, scans: that it learnt from. probability: (N, K).
    """

    arm: str
    share: float
    seed: int
    patients: int
    scans: int
    probability: Array

    def tree(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "probability": np.round(self.probability, 6).tolist()}

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Fit:
        """Of what `tree` gave."""
        names = ("arm", "share", "seed", "patients", "scans")
        return cls(**{name: tree[name] for name in names}, probability=np.array(tree["probability"]))


def summarise(
    fits: Sequence[Fit], truth: NDArray[np.int64], subjects: Sequence[str], classes: Sequence[str],
    pairs: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """The content of label_curve.json. pairs: {pretrained arm: its scratch}.

    Intervals, 95 %: test patients (within their class) and seeds are drawn together, the same draws for every arm and
    share, so that differences are paired by both.
    """
    names, place = np.unique(subjects, return_inverse=True)
    strata = [str(sorted(set(truth[place == patient]))) for patient in range(len(names))]
    weight = resamples(strata, REPEATS, SEED)[:, place].astype(np.float64)
    number = 1 + max(fit.seed for fit in fits)
    seeds = resamples(np.zeros(number), REPEATS, SEED + 1) / number
    draws = _Draws(truth, weight, seeds, len(names))
    arms = list(dict.fromkeys(fit.arm for fit in fits))
    shares = sorted({fit.share for fit in fits})
    cells = {(a, s): draws.of([f for f in fits if f.arm == a and f.share == s]) for a in arms for s in shares}
    rows = [_row(arm, share, cells, fits, pairs) for share in shares for arm in arms]
    return {
        "medudl": VERSION, "classes": list(classes), "seeds": number, "test_scans": len(truth),
        "test_patients": len(names), "pairs": dict(pairs), "rows": rows, "measure": "balanced accuracy",
        "bootstrap": {"repeats": REPEATS, "seed": SEED, "unit": "test patient and training seed", "level": 0.95},
        "verdict": verdict(rows, len(names)), "table": table(rows),
    }  # fmt: skip


@dataclass(frozen=True)
class _Cell:
    """A figure of one arm at one share, over the resamples: balanced accuracy, and AUROC without them."""

    figure: Estimate
    samples: Array
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
        many = np.stack([self._accuracy(fit, self.weight) for fit in fits], axis=1)  # (R, S)
        samples = (many * self.seeds).sum(1)
        alone = np.array([self._accuracy(fit, once) for fit in fits])
        auroc = float(np.mean([auroc_one_vs_rest(self.truth, fit.probability, once) for fit in fits]))
        figure = bootstrap(float(alone.mean()), samples, self.patients)
        return _Cell(figure, samples, auroc, float(alone.std(ddof=1)) if len(alone) > 1 else math.nan)

    def _accuracy(self, fit: Fit, weight: Array) -> Array:
        called = fit.probability.argmax(1)
        return balanced_accuracy(confusion(self.truth, called, fit.probability.shape[1], weight))


def _row(
    arm: str, share: float, cells: Mapping[tuple[str, float], _Cell], fits: Sequence[Fit], pairs: Mapping[str, str]
) -> dict[str, Any]:
    cell = cells[arm, share]
    here = [fit for fit in fits if fit.arm == arm and fit.share == share]
    paired, word = None, ""
    if arm in pairs:
        other = cells[pairs[arm], share]
        paired = difference(cell.figure.value, other.figure.value, cell.samples, other.samples, cell.figure.n)
        word = judged(paired)
    return {
        "share": share, "arm": arm, "patients": int(np.median([fit.patients for fit in here])),
        "scans": int(np.median([fit.scans for fit in here])), "balanced_accuracy": cell.figure.as_dict(),
        "auroc": _finite(cell.auroc), "spread_over_seeds": _finite(cell.spread),
        "difference_from_scratch": None if paired is None else paired.as_dict(), "judged": word,
    }  # fmt: skip


def judged(paired: Estimate) -> str:
    """'gain', 'loss', or 'no gain' where the interval includes 0 (or there is none)."""
    if paired.low > 0:
        return "gain"
    return "loss" if paired.high < 0 else "no gain"


def verdict(rows: Sequence[Mapping[str, Any]], patients: int) -> str:
    """One line a pretraining: at which shares it gained."""
    if patients < FEWEST:
        return f"No verdict: {patients} test patients are too few, {FEWEST} are the least."
    lines = []
    for arm in dict.fromkeys(row["arm"] for row in rows if row["judged"]):
        found = {row["share"]: row["judged"] for row in rows if row["arm"] == arm}
        parts = [
            f"{word} at {', '.join(f'{share:.0%}' for share, each in found.items() if each == word)}"
            for word in ("gain", "no gain", "loss")
            if word in found.values()
        ]
        whole = next(iter(found.values())) if len(set(found.values())) == 1 else ""
        lines.append(f"{arm}: {whole} at any share of the labels" if whole else f"{arm}: {'; '.join(parts)}")
    return ". ".join(lines) + "."


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as text, aligned."""
    head = ["labels", "scans", "from", "balanced accuracy (95 %)", "against scratch (95 %)", ""]
    lines = [head]
    for row in rows:
        lines.append([
            f"{row['share']:.0%}", str(row["scans"]), row["arm"], told(row["balanced_accuracy"]),
            told(row["difference_from_scratch"], signed=True) if row["difference_from_scratch"] else "", row["judged"],
        ])  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in lines)  # fmt: skip


def told(found: Mapping[str, Any], signed: bool = False) -> str:
    """'.61 (.52 to .70)'; signed: '+.04 (-.05 to +.17)'."""

    def one(value: float) -> str:
        return (("-" if value < 0 else "+") + short(abs(value), 3)) if signed else short(value, 3)

    if found["value"] is None:
        return "not available"
    return one(found["value"]) + (
        "" if found["low"] is None else f" ({one(found['low'])} to {one(found['high'])})"
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
