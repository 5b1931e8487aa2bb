"""Kernel distance between two sets of features (Binkowski et al. 2018), unbiased: the one to trust at small n."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.subsampling import (
    Array,
    Floor,
    Numbers,
    delete_interval,
    patients_of,
    rows,
    same_width,
    splits,
    subsamples,
)

_AT_ONCE = 1024  # rows of a kernel matrix


def kernel_distance(
    x: ArrayLike,
    y: ArrayLike,
    groups_x: ArrayLike | None = None,
    groups_y: ArrayLike | None = None,
    repeats: int = 200,
    seed: int = 0,
) -> Estimate:
    """Kernel distance (Binkowski et al. 2018): the unbiased squared maximum mean discrepancy.

        mean k(x, x') + mean k(y, y') - 2 mean k(x, y),   k(a, b) = (a.b / d + 1)^3

    Means are over pairs of images of DIFFERENT patients, so that no pair is alike for being of one patient, and there
    is no bias at any n: 0 is expected of equal distributions, and values below 0 are right. A patient whose id stands
    in both groups is the same one (a scan and its translation), and is no pair with himself either. Without groups
    every image is a patient of its own, in that set alone.
    x: (n, d), y: (m, d), of one network. Its scale depends on the features': compare figures of one network only.

    Interval: a bootstrap would count pairs of an image with its own copy, so patients are left out instead, a fifth of
    each set at a time (or of all ids where sets share some). For a mean over pairs that spread is right where the sets
    differ and too wide where they are equal (about half as wide again), never too narrow on average.
    Raises UserError where a set has fewer than two patients.
    """
    x, y = rows(x, "first set"), rows(y, "second set")
    same_width(x, y)
    shared = groups_x is not None and groups_y is not None and np.isin(groups_x, groups_y).any()
    if shared:
        both = patients_of(len(x) + len(y), np.concatenate([np.asarray(groups_x), np.asarray(groups_y)]))
        px, py = both[: len(x)], both[len(x) :]
    else:
        px, py = patients_of(len(x), groups_x), patients_of(len(y), groups_y)
    in_x, in_y = np.bincount(px), np.bincount(py)
    size = max(len(in_x), len(in_y)) if shared else 0
    sums = PairSums(x, y, px, py, max(size, len(in_x)), max(size, len(in_y)), bool(shared))
    kept_x, factor_x = subsamples(sums.count_x.size, repeats, seed)
    kept_y, factor_y = (kept_x, factor_x) if shared else subsamples(sums.count_y.size, repeats, seed + 1)
    values = sums.distance(kept_x.astype(np.float64), kept_y.astype(np.float64))
    everyone = np.ones((1, sums.count_x.size)), np.ones((1, sums.count_y.size))
    value = float(sums.distance(*everyone)[0])
    if not math.isfinite(value):
        raise UserError("kernel distance: it compares different patients, and a set has only one; add patients")
    fewest = min(int((in_x > 0).sum()), int((in_y > 0).sum()))
    return delete_interval(value, values, max(factor_x, factor_y), fewest)


def kernel_floor(
    real: ArrayLike, groups: ArrayLike | None = None, n: int | None = None, repeats: int = 100, seed: int = 0
) -> Floor:
    """What real images give against real images of other patients, n a side: around 0, with its spread.

    real: (N, d). n None: as many as a split by patient allows. Raises UserError where there are too few images.
    """
    real = rows(real, "kernel floor", 4)

    def figure(one: Numbers, other: Numbers, patients: Numbers, others: Numbers) -> float:
        a, b = patients_of(len(one), patients), patients_of(len(other), others)
        sums = PairSums(real[one], real[other], a, b, int(a.max()) + 1, int(b.max()) + 1, False)
        return float(sums.distance(np.ones((1, sums.count_x.size)), np.ones((1, sums.count_y.size)))[0])

    return splits(real, groups, n, repeats, seed, figure)


class PairSums:
    """Sums of the kernel over the pairs of images of each two patients: all that a subset of patients needs."""

    def __init__(self, x: Array, y: Array, px: Numbers, py: Numbers, patients: int, others: int, shared: bool) -> None:
        self.count_x = np.bincount(px, minlength=patients).astype(np.float64)
        self.count_y = np.bincount(py, minlength=others).astype(np.float64)
        self.xx = _without_diagonal(_kernel_sums(x, x, px, px, patients, patients))
        self.yy = _without_diagonal(_kernel_sums(y, y, py, py, others, others))
        self.xy = _kernel_sums(x, y, px, py, patients, others)
        self.shared = shared
        if shared:
            self.xy = _without_diagonal(self.xy)

    def distance(self, in_x: Array, in_y: Array) -> Array:
        """in_x: (R, P), in_y: (R, Q), 1 for a patient who takes part. (R,), NaN where there is no pair."""
        n, m = in_x * self.count_x, in_y * self.count_y
        pairs_x, pairs_y = n.sum(1) ** 2 - (n**2).sum(1), m.sum(1) ** 2 - (m**2).sum(1)
        pairs = n.sum(1) * m.sum(1) - ((n * m).sum(1) if self.shared else 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Array = (
                ((in_x @ self.xx) * in_x).sum(1) / pairs_x
                + ((in_y @ self.yy) * in_y).sum(1) / pairs_y
                - 2 * ((in_x @ self.xy) * in_y).sum(1) / pairs
            )
        return found


def _without_diagonal(sums: Array) -> Array:
    np.fill_diagonal(sums, 0)
    return sums


def _kernel_sums(x: Array, y: Array, px: Numbers, py: Numbers, patients: int, others: int) -> Array:
    """(P, Q): the kernel summed over the images of patient p and those of patient q."""
    made = np.zeros((patients, others))
    order = np.argsort(py, kind="stable")
    there, first = np.unique(py[order], return_index=True)
    columns = y[order].T / x.shape[1]
    for start in range(0, len(x), _AT_ONCE):
        block = (x[start : start + _AT_ONCE] @ columns + 1) ** 3
        by_patient = np.zeros((len(block), others))
        by_patient[:, there] = np.add.reduceat(block, first, axis=1)
        np.add.at(made, px[start : start + _AT_ONCE], by_patient)
    return made
