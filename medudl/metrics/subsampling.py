"""Intervals by patient for figures that no bootstrap can give: those made of pairs or of nearest neighbours.

A resample with replacement holds copies, and a copy is its original's nearest neighbour, a pair of equal images and a
lost dimension: Frechet distance, kernel distance, precision and recall of it are not those of new patients. Here whole
patients are left out instead (delete-d jackknife, Shao & Wu 1989).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from medudl.errors import UserError
from medudl.metrics.intervals import LEVEL, Estimate, clopper_pearson

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]
LEFT_OUT = 0.2  # share of the patients that each subsample lacks
FEWEST = 5  # patients; below, no interval


@dataclass(frozen=True)
class Floor:
    """A figure over repeated draws of n images a side: mean, 2.5 % and 97.5 % quantile of the draws.

    low and high are the spread of single draws, not an interval of the mean. patients: those there were to draw from.
    """

    mean: float
    low: float
    high: float
    n: int
    patients: int
    repeats: int

    def as_dict(self) -> dict[str, float | int]:
        """JSON-able."""
        return asdict(self)


def rows(x: ArrayLike, what: str, fewest: int = 2) -> Array:
    """Features as (n, d), float64. Raises UserError where they are fewer than `fewest`, or not all finite."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or x.shape[1] == 0:
        raise UserError(f"{what}: features are a table (images, values), not of shape {x.shape}; give one row an image")
    if len(x) < fewest:
        raise UserError(f"{what}: {len(x)} image(s); this figure needs at least {fewest}")
    if not np.isfinite(x).all():
        raise UserError(
            f"{what}: {int((~np.isfinite(x)).any(1).sum())} of {len(x)} rows are not finite; leave them out"
        )
    return x


def same_width(x: Array, y: Array) -> None:
    """Raises UserError unless both have equally many features."""
    if x.shape[1] != y.shape[1]:
        raise UserError(f"features: {x.shape[1]} values against {y.shape[1]}; take both sets through one network")


def patients_of(n: int, groups: ArrayLike | None) -> Numbers:
    """The number of each image's patient, 0 to P - 1: (n,). Without groups each image is a patient of its own."""
    if groups is None:
        return np.arange(n)
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise ValueError(f"groups {groups.shape} for {n} images")
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def subsamples(patients: int, repeats: int, seed: int) -> tuple[Flags, float]:
    """Which patients stay, a fifth left out at random: (repeats, P), and the factor (P - d) / d of their variance."""
    out = max(1, round(LEFT_OUT * patients))
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(patients), (repeats, 1)), axis=1)
    return order >= out, (patients - out) / out


def delete_interval(
    value: float, values: ArrayLike, factor: float, patients: int, low: float = -math.inf, high: float = math.inf
) -> Estimate:
    """The figure's interval from its values over subsamples, by Student's t with P - 1 degrees of freedom.

        se^2 = (P - d) / d * mean (figure of a subsample - mean over subsamples)^2

    It is the interval of what other patients, just as many, would have given: a bias at that number stays in it. For
    an average of pairs it is too wide rather than too narrow (Efron & Stein 1981). low, high: what the figure cannot
    pass. NaN below five patients.
    """
    se = standard_error(values, factor)
    if patients < FEWEST or not math.isfinite(value + se):
        return Estimate(value, math.nan, math.nan, patients)
    half = float(stdtrit(patients - 1, (1 + LEVEL) / 2)) * se
    return Estimate(value, max(low, value - half), min(high, value + half), patients)


def share_interval(value: float, values: ArrayLike, factor: float, patients: int) -> Estimate:
    """Of a share: exact binomial, for as many independent patients as the subsamples speak of (Korn & Graubard 1998).

    min(P, p~ (1 - p~) / se^2) of them,   p~ = (P p + 1) / (P + 2),  as p (1 - p) says nothing near 0 and 1
    """
    se = standard_error(values, factor)
    if patients < FEWEST or not math.isfinite(value + se):
        return Estimate(value, math.nan, math.nan, patients)
    nearly = (patients * value + 1) / (patients + 2)
    effective = min(nearly * (1 - nearly) / max(se**2, 1e-300), float(patients))
    return Estimate(value, *clopper_pearson(min(value * effective, effective), effective), patients)


def standard_error(values: ArrayLike, factor: float) -> float:
    """Square root of the factor times the variance over subsamples; those without a value (NaN) are left out."""
    kept = np.asarray(values, np.float64)
    kept = kept[np.isfinite(kept)]
    return math.sqrt(factor * float(kept.var())) if len(kept) > 1 else math.nan


def draw(patient: Numbers, n: int, random: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Two sets of n images that share no patient: patients in random order, whole, the last one of a set cut to fit.

    patient: (N,), the number of each image's patient. The second set is shorter than n where patients run out.
    """
    rank = random.permutation(int(patient.max()) + 1)[patient]
    order = np.argsort(rank, kind="stable")
    last = rank[order[n - 1]]
    rest = order[rank[order] > last]
    return order[:n], rest[:n]


def most_a_side(patient: Numbers) -> int:
    """The most images that both sides of a split by patient can be sure to have, whatever the order of the patients."""
    return (len(patient) - int(np.bincount(patient).max()) + 1) // 2


def splits(
    real: Array, groups: ArrayLike | None, n: int | None, repeats: int, seed: int, figure: Callable[..., float]
) -> Floor:
    """`figure(images, other images, their patients, the others')` over splits of one set into two, n images each.

    n None: as many as there can be. Raises UserError where the set does not hold twice n images of different patients.
    """
    patient = patients_of(len(real), groups)
    most = most_a_side(patient)
    n = most if n is None else n
    if not 2 <= n <= most:
        raise UserError(
            f"real images against real images: {n} a side, and {len(real)} allow for 2 to {most}; ask for that"
        )
    random, found = np.random.default_rng(seed), []
    for _ in range(repeats):
        one, other = draw(patient, n, random)
        found.append(figure(one, other, patient[one], patient[other]))
    return floor_of(found, n, int(patient.max()) + 1)


def floor_of(found: list[float], n: int, patients: int) -> Floor:
    """Mean and spread of what was drawn."""
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Floor(float(np.mean(found)), float(low), float(high), n, patients, len(found))
