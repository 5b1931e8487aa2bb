"""Mode collapse of a generator: do its samples differ from one another as real images do? NumPy only, seeds given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medudl.metrics.intervals import bootstrap, resamples

Array = NDArray[np.float64]

MOST = 256  # items of each kind that are compared; more are drawn down to it
REPEATS = 500
NARROW = 0.5  # alarm: samples lie less than half as far apart as real images, or ...
FEW = 0.5  # ... less than half as many of them are distinct
ROUNDING = 1e-6  # of the mean distance: what two equal items may seem to lie apart
ALIKE = 0.05  # share of real images that have one of their kind within the radius of a duplicate


@dataclass(frozen=True)
class Collapse:
    """spread: of samples over that of real images, with its 95 % interval; NaN where it cannot be had.

    distinct, distinct_real: of `n` samples and of as many real images. sentence: the same in words.
    """

    spread: float
    low: float
    high: float
    distinct: int
    distinct_real: int
    n: int
    alarm: bool
    sentence: str


def collapse(samples: ArrayLike, real: ArrayLike, seed: int, patients: ArrayLike | None = None) -> Collapse:
    """Whether a generator has collapsed, from its samples beside real images, as pixels or as features.

        spread = mean distance of two samples / mean distance of two real images
        distinct = samples of which no earlier one is a duplicate, nearer than the radius within which 5 % of as many
                   real images have another

    Alarm: the upper end of the spread's interval is below .5, or less than half as many samples are distinct as real
    images are (as in the birthday paradox: Arora & Zhang 2017). Modes that are lost while others stay apart can pass
    unseen: a spread near 1 is no proof of variety.

    samples: (N, ...), real: (M, ...), flattened, all finite; 256 of each are drawn where there are more. patients: (M,)
    whose the real images are: they are resampled together. ValueError: fewer than 2 of either kind, unequal sizes.
    """
    random = np.random.default_rng(seed)
    a, (b, owners) = _drawn(samples, None, random)[0], _drawn(real, patients, random)
    if len(a) < 2 or len(b) < 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"at least 2 samples and 2 real images of one size are compared, not {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("samples or real images hold NaN or infinity")
    apart, apart_real = _distances(a), _distances(b)
    own, others = _spreads(apart, np.arange(len(a)), seed), _spreads(apart_real, owners, seed + 1)
    if others[0] == 0:
        return _unknown(len(a))
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = bootstrap(own[0] / others[0], own[1:] / others[1:], min(len(a), len(np.unique(owners))))
    n = min(len(a), len(b))
    nearest = (apart_real[:n, :n] + np.diag(np.full(n, np.inf))).min(axis=1)
    radius = max(float(np.quantile(nearest, ALIKE)), ROUNDING * others[0])
    distinct, distinct_real = _distinct(apart[:n, :n], radius), _distinct(apart_real[:n, :n], radius)
    alarm = estimate.high < NARROW or distinct < FEW * distinct_real
    told = (
        f"two samples are {estimate.text()} times as far apart as two real images, and {distinct} of {n} are distinct"
        f" ({distinct_real} of {n} real ones)"
    )
    lead = "mode collapse: nearly the same images are made again and again" if alarm else "no mode collapse seen"
    return Collapse(estimate.value, estimate.low, estimate.high, distinct, distinct_real, n, alarm, f"{lead}; {told}")


def _unknown(n: int) -> Collapse:
    sentence = "mode collapse cannot be judged: all real images are the same"
    return Collapse(math.nan, math.nan, math.nan, 0, 1, n, False, sentence)


def _drawn(items: ArrayLike, owners: ArrayLike | None, random: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """At most MOST of the items, flattened, and a number for the owner of each."""
    array = np.asarray(items)
    numbers = np.arange(len(array)) if owners is None else np.unique(np.asarray(owners), return_inverse=True)[1]
    chosen = random.permutation(len(array))[:MOST]
    return array[chosen].reshape(len(chosen), -1).astype(np.float64), numbers[chosen]


def _distances(x: Array) -> Array:
    """(N, D) -> (N, N), Euclidean."""
    x = x - x.mean(axis=0)  # closer to 0, where the difference of squares loses fewer digits
    squares = np.square(x).sum(axis=1)
    apart: Array = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0))
    np.fill_diagonal(apart, 0)
    return apart


def _spreads(apart: Array, owners: NDArray[np.int64], seed: int) -> Array:
    """Mean distance of two different items, then the same of REPEATS resamples of their owners: (1 + REPEATS,).

    Two copies of one item in a resample are no pair.
    """
    names, own = np.unique(owners, return_inverse=True)
    drawn = resamples(np.zeros(len(names)), REPEATS, seed)
    weights = np.vstack([np.ones(len(own)), drawn[:, own]]).astype(np.float64)
    pairs = np.square(weights.sum(axis=1)) - np.square(weights).sum(axis=1)
    means: Array = ((weights @ apart) * weights).sum(axis=1) / np.maximum(pairs, 1)
    return means


def _distinct(apart: Array, radius: float) -> int:
    """Items kept one after another, each unless one that is kept lies within the radius."""
    kept: list[int] = []
    for i, row in enumerate(apart):
        if not (row[kept] <= radius).any():
            kept.append(i)
    return len(kept)
