"""Ranking figures from counts of sick and healthy items at each score: AUROC, average precision, Dice.

Everything here reads two arrays `sick` and `healthy` of shape (..., K): the weight of sick and of healthy items (scans
or voxels) at each of K distinct scores, HIGHEST SCORE FIRST. Leading axes are resamples: a bootstrap is one call.
Equal scores share one place, so ties are treated as scikit-learn treats them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def ranked(truth: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> tuple[Array, Array, Array]:
    """Distinct scores (K,), highest first, and the weight of sick and healthy items at each, (..., K).

    truth: (N,) bool; score: (N,) without NaN; weight: (..., N), default 1 each.
    """
    truth, score = np.asarray(truth, bool).ravel(), np.asarray(score, np.float64).ravel()
    if np.isnan(score).any():
        raise ValueError("a score is not a number")
    weight = np.ones(len(score)) if weight is None else np.asarray(weight, np.float64)
    levels, place = np.unique(-score, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(levels)))
    sick = np.add.reduceat((weight * truth)[..., order], starts, axis=-1)
    healthy = np.add.reduceat((weight * ~truth)[..., order], starts, axis=-1)
    return -levels, sick, healthy


def auroc_of(sick: Array, healthy: Array) -> Array:
    """P(score of a sick item > score of a healthy one) + 1/2 P(equal); NaN where one class is missing. (...,)"""
    above = np.cumsum(sick, -1) - sick / 2
    pairs = sick.sum(-1) * healthy.sum(-1)
    return _ratio((above * healthy).sum(-1), pairs)


def average_precision_of(sick: Array, healthy: Array) -> Array:
    """sum_k (R_k - R_{k-1}) P_k over the K scores, without interpolation; NaN where nothing is sick. (...,)"""
    found = np.cumsum(sick, -1)
    called = found + np.cumsum(healthy, -1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return _ratio((sick * precision).sum(-1), sick.sum(-1))


def dice_of(sick: Array, healthy: Array) -> Array:
    """Dice 2 TP / (called + sick) when everything down to and including score k is called sick. (..., K)"""
    found = np.cumsum(sick, -1)
    called = found + np.cumsum(healthy, -1)
    return _ratio(2 * found, called + sick.sum(-1, keepdims=True))


def auroc(truth: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve of N scores; NaN where one class is missing."""
    _, sick, healthy = ranked(truth, score)
    return float(auroc_of(sick, healthy))


def average_precision(truth: ArrayLike, score: ArrayLike) -> float:
    """Average precision of N scores, exact (by sorting); NaN where nothing is sick."""
    _, sick, healthy = ranked(truth, score)
    return float(average_precision_of(sick, healthy))


def roc_points(sick: Array, healthy: Array) -> tuple[Array, Array]:
    """False-positive rate and true-positive rate (K + 1,), from (0, 0) to (1, 1)."""
    return _from_zero(_ratio(np.cumsum(healthy), healthy.sum())), _from_zero(_ratio(np.cumsum(sick), sick.sum()))


def precision_recall_points(sick: Array, healthy: Array) -> tuple[Array, Array]:
    """Recall and precision (K,), highest score first."""
    found = np.cumsum(sick)
    return _ratio(found, sick.sum()), _ratio(found, found + np.cumsum(healthy))


def _from_zero(values: Array) -> Array:
    return np.concatenate([[0.0], values])


def _ratio(above: Array, below: Array) -> Array:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    result: Array = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return result
