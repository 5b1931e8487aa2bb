"""How far readers agree beyond chance: Cohen's and Fleiss' kappa, agreement and that on each class. NumPy only.

Everything reads how many readers gave each class to each case, or two readers' classes, and weight (..., N): leading
axes are resamples, so that a bootstrap over patients is one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medudl.metrics.classification import confusion
from medudl.metrics.intervals import Estimate, bootstrap, clopper_pearson, resamples

Array = NDArray[np.float64]
Weights = Literal["none", "linear", "quadratic"]

REPEATS = 2000


def cohen_kappa(
    first: Sequence[str], second: Sequence[str], classes: Sequence[str], *, weights: Weights = "none",
    subjects: Sequence[str] | None = None, repeats: int = REPEATS, seed: int = 0,
) -> Estimate:  # fmt: skip
    """Cohen's kappa of two reads (1960), weighted for ordered classes (1968), with a bootstrap over patients.

        kappa = 1 - sum w_ij o_ij / sum w_ij e_ij,   o the share of cases called i and j, e that of the margins
        w_ij = (i is not j);   linear |i - j| / (K - 1);   quadratic (i - j)^2 / (K - 1)^2

    first, second: (N,) of `classes`, whose order counts where weights are asked for. subjects: (N,), by default each
    case is a patient. Value NaN where both said one and the same class throughout; limits NaN where they never differ,
    since no resample can show what was not seen.
    """
    number = {name: place for place, name in enumerate(classes)}
    rows, columns = (np.array([number[name] for name in said], np.int64) for said in (first, second))

    def figure(weight: Array) -> Array:
        return cohen_of(confusion(rows, columns, len(classes), weight), weights)

    return _beyond_chance(figure, len(rows), subjects, repeats, seed)


def cohen_of(counts: ArrayLike, weights: Weights = "none") -> Array:
    """Kappa of tables (..., K, K): (...), NaN where chance alone agrees throughout."""
    counts = np.asarray(counts, np.float64)
    apart = _apart(counts.shape[-1], weights)
    total = counts.sum((-2, -1))
    chance = (counts.sum(-1)[..., :, None] * counts.sum(-2)[..., None, :] * apart).sum((-2, -1))
    return 1 - _ratio((counts * apart).sum((-2, -1)) * total, chance)


def fleiss_kappa(
    counts: ArrayLike, *, subjects: Sequence[str] | None = None, repeats: int = REPEATS, seed: int = 0
) -> Estimate:
    """Fleiss' kappa (1971) of any number of readers, with a bootstrap over patients.

        kappa = (P - E) / (1 - E),   P the mean over cases of the share of its pairs of reads that agree,
        E = sum over classes of p_k^2,   p_k the share of all reads that say k

    counts: (N, K), how many reads of each case say each class. Cases of fewer than two reads are left out; where the
    number differs between cases, each case has one voice in P, each read one in p_k. subjects, NaN: as `cohen_kappa`.
    """
    kept, who = _paired(counts, subjects)
    return _beyond_chance(lambda weight: fleiss_of(kept, weight), len(kept), who, repeats, seed)


def fleiss_of(counts: Array, weight: Array) -> Array:
    """Kappa of counts (N, K), each case of two reads or more, under weight (..., N): (...)."""
    said = weight @ counts
    share = _ratio(said, said.sum(-1)[..., None])
    chance = (share**2).sum(-1)
    return _ratio(agreement_of(counts, weight) - chance, 1 - chance)


def agreement_of(counts: Array, weight: Array) -> Array:
    """Mean share of a case's pairs of reads that agree: (...)."""
    reads = counts.sum(1)
    pairs = (counts * (counts - 1)).sum(1) / (reads * (reads - 1))
    return _ratio(weight @ pairs, weight.sum(-1))


def class_agreement_of(counts: Array, weight: Array) -> Array:
    """Of the reads that say k, the share of the other reads of the same case that say it too: (..., K).

    With two readers the specific agreement 2 n_kk / (n_k. + n_.k) (Cicchetti & Feinstein 1990). NaN: nobody said k.
    """
    others = counts.sum(1, keepdims=True) - 1
    return _ratio(weight @ (counts * (counts - 1) / others), weight @ counts)


def percent_agreement(
    counts: ArrayLike, *, subjects: Sequence[str] | None = None, repeats: int = REPEATS, seed: int = 0
) -> Estimate:
    """`agreement_of`, with a bootstrap over patients; exact (Clopper & Pearson) where all agree, or none."""
    kept, who = _paired(counts, subjects)
    if not len(kept):
        return _unknown(0)
    return _of_patients(lambda weight: agreement_of(kept, weight), len(kept), who, repeats, seed)


def class_agreement(
    counts: ArrayLike, *, subjects: Sequence[str] | None = None, repeats: int = REPEATS, seed: int = 0
) -> list[Estimate]:
    """`class_agreement_of`, one a class; n: patients of whom anybody said it. Intervals as `percent_agreement`."""
    kept, who = _paired(counts, subjects)
    found = []
    for k in range(kept.shape[1]):
        there = kept[:, k] > 0
        mine = [name for name, so in zip(who, there, strict=True) if so]
        found.append(_class_agreement(kept[there], mine, k, repeats, seed) if there.any() else _unknown(0))
    return found


def _class_agreement(counts: Array, who: Sequence[str], k: int, repeats: int, seed: int) -> Estimate:
    return _of_patients(lambda weight: class_agreement_of(counts, weight)[..., k], len(counts), who, repeats, seed)


def _beyond_chance(
    figure: Callable[[Array], Array], cases: int, subjects: Sequence[str] | None, repeats: int, seed: int
) -> Estimate:
    if not cases:
        return _unknown(0)
    who = [str(number) for number in range(cases)] if subjects is None else subjects
    value, drawn = _drawn(figure, who, repeats, seed)
    if value == 1 or not math.isfinite(value):
        return Estimate(value, math.nan, math.nan, len(set(who)))
    return bootstrap(value, drawn, len(set(who)))


def _of_patients(figure: Callable[[Array], Array], cases: int, who: Sequence[str], repeats: int, seed: int) -> Estimate:
    value, drawn = _drawn(figure, who, repeats, seed)
    patients = len(set(who))
    if value in (0, 1):
        return Estimate(value, *clopper_pearson(value * patients, patients), patients)
    return bootstrap(value, drawn, patients)


def _drawn(figure: Callable[[Array], Array], who: Sequence[str], repeats: int, seed: int) -> tuple[float, Array]:
    """The figure, and its values where patients are drawn with replacement."""
    names, place = np.unique(np.asarray(who), return_inverse=True)
    weight = resamples(np.zeros(len(names)), repeats, seed)[:, place].astype(np.float64)
    return float(figure(np.ones(len(who)))), figure(weight)


def _paired(counts: ArrayLike, subjects: Sequence[str] | None) -> tuple[Array, list[str]]:
    table = np.asarray(counts, np.float64)
    kept = table.sum(1) >= 2
    who = [str(number) for number in range(len(table))] if subjects is None else subjects
    return table[kept], [name for name, so in zip(who, kept, strict=True) if so]


def _apart(classes: int, weights: Weights) -> Array:
    """How much it counts to say j where another says i: (K, K)."""
    steps = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))) / max(classes - 1, 1)
    made: Array = {"none": (steps > 0).astype(np.float64), "linear": steps, "quadratic": steps**2}[weights]
    return made


def _unknown(patients: int) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, patients)


def _ratio(above: Array, below: Array) -> Array:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    # A resample of one class alone leaves 1 - chance a rounding error above 0.
    made: Array = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 1e-12)
    return made
