"""Does an uncertainty map tell where a regression errs, and by how much? One scan at a time, NumPy and SciPy only.

Voxels of a scan are not independent: intervals come by patient, from the figures of many scans (`image.over_patients`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from medudl.metrics.curves import auroc

Array = NDArray[np.float64]

WITHIN_ONE = 0.6827  # share of a Gaussian inside 1 standard deviation, and inside 2
WITHIN_TWO = 0.9545


@dataclass(frozen=True)
class Calibration:
    """Error against uncertainty of one scan; NaN where a figure cannot be had.

    kept: (bins,) share of voxels kept, 1/bins to 1, the least uncertain first; error: (bins,) their mean |error|;
    oracle: (bins,) what it would be had the voxels of least error been kept.
    area, oracle_area: means of the two curves (area under the error-retention curve), in the error's unit.
    excess: (area - oracle's) / (mean error - oracle's): 0 as good as knowing the error, 1 no better than chance, above
    1 misleading. spearman: rank correlation of |error| and uncertainty. within_one, within_two: share of |error| <= 1,
    2 standard deviations, to be compared with .6827 and .9545: below them the uncertainty is too small.
    """

    kept: Array
    error: Array
    oracle: Array
    area: float
    oracle_area: float
    excess: float
    spearman: float
    within_one: float
    within_two: float
    voxels: int


def error_against_uncertainty(error: ArrayLike, uncertainty: ArrayLike, mask: ArrayLike, bins: int = 20) -> Calibration:
    """Sparsification (Ilg et al. 2018), rank correlation and coverage of a Gaussian, over the voxels of a mask.

        error(r) = mean |error| of the share r of voxels that are least uncertain,   r = 1/bins, 2/bins, ..., 1

    error: signed or not, any shape; uncertainty: of the same shape, at least 0, a standard deviation in the error's
    unit for the two shares (the others read its order alone). Voxels of equal uncertainty count as their mean error, so
    that a constant map is chance whatever the order of voxels. ValueError: another shape, an impossible uncertainty.
    """
    size, sigma = _inside(error, uncertainty, mask)
    kept = np.arange(1, bins + 1) / bins
    if len(size) == 0:
        nan, none = math.nan, np.full(bins, math.nan)
        return Calibration(kept, none, none, nan, nan, nan, nan, nan, nan, 0)
    curve, oracle = _retained(size, sigma, kept), _retained(size, size, kept)
    area, best = float(curve.mean()), float(oracle.mean())
    room = float(size.mean()) - best
    return Calibration(
        kept,
        curve,
        oracle,
        area,
        best,
        # Equal errors everywhere leave nothing to know; rounding must not be divided by rounding.
        (area - best) / room if room > 1e-9 * float(size.mean()) else math.nan,
        spearman(size, sigma),
        float((size <= sigma).mean()),
        float((size <= 2 * sigma).mean()),
        len(size),
    )


def auroc_of_large_errors(error: ArrayLike, uncertainty: ArrayLike, mask: ArrayLike, above: float) -> float:
    """P(a voxel of |error| > above is more uncertain than another) + 1/2 P(equal); NaN where one kind is missing."""
    size, sigma = _inside(error, uncertainty, mask)
    return auroc(size > above, sigma)


def auroc_of_lesion(uncertainty: ArrayLike, lesion: ArrayLike, mask: ArrayLike) -> float:
    """P(a voxel of the lesion is more uncertain than another of the mask) + 1/2 P(equal); NaN where one is missing."""
    inside, sick = np.asarray(mask, bool), np.asarray(lesion, bool)
    return auroc(sick[inside], np.asarray(uncertainty, np.float64)[inside])


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation of (N,) and (N,), ties at their mean rank; NaN where one of them is constant."""
    ranks = [stats.rankdata(part) for part in (a, b)]
    centred = [rank - rank.mean() for rank in ranks]
    size = math.sqrt(float(centred[0] @ centred[0]) * float(centred[1] @ centred[1]))
    return float(centred[0] @ centred[1]) / size if size > 0 else math.nan


def _inside(error: ArrayLike, uncertainty: ArrayLike, mask: ArrayLike) -> tuple[Array, Array]:
    """|error| and uncertainty of the mask's voxels: (N,), (N,)."""
    size, sigma, inside = (
        np.abs(np.asarray(error, np.float64)),
        np.asarray(uncertainty, np.float64),
        np.asarray(mask, bool),
    )
    if not size.shape == sigma.shape == inside.shape:
        raise ValueError(f"maps on one grid are compared, not {size.shape}, {sigma.shape} and mask {inside.shape}")
    size, sigma = size[inside], sigma[inside]
    if not (np.isfinite(size).all() and (sigma >= 0).all()):
        raise ValueError("an error inside the mask is not finite, or an uncertainty is negative or missing")
    return size, sigma


def _retained(error: Array, uncertainty: Array, kept: Array) -> Array:
    """Mean error of each share of voxels, least uncertain first; ties share their error."""
    levels, place, count = np.unique(uncertainty, return_inverse=True, return_counts=True)
    total = np.concatenate([[0.0], np.cumsum(np.bincount(place, error, len(levels)))])
    voxels = kept * len(error)
    # Between two levels the sum rises by the mean error of those that tie.
    found: Array = np.interp(voxels, np.concatenate([[0], np.cumsum(count)]), total) / voxels
    return found
