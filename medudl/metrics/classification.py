"""How good class probabilities are: balanced accuracy, F1, AUROC, calibration. NumPy and SciPy only.

Everything reads truth (N,), class numbers from 0 to K - 1, probability (N, K), and weight (..., N): leading axes are
resamples, so that a bootstrap is one call. A class that a resample lacks does not count in its means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from medudl.metrics.curves import auroc_of, ranked

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
BINS = 10


def confusion(truth: Numbers, predicted: Numbers, classes: int, weight: Array) -> Array:
    """Weight of the scans of class t called p: (..., K, K), rows are the truth."""
    cells = np.zeros((len(truth), classes * classes))
    cells[np.arange(len(truth)), truth * classes + predicted] = 1
    return (np.asarray(weight, np.float64) @ cells).reshape(*np.shape(weight)[:-1], classes, classes)


def recalls(counts: Array) -> Array:
    """Share of each class that is called by its name, of a confusion (..., K, K): (..., K), NaN for an absent class."""
    return _ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1))


def balanced_accuracy(counts: Array) -> Array:
    """Mean of the recalls: (...,). Blind is 1 / K."""
    found = recalls(counts)
    return _mean_of_known(found)


def macro_f1(counts: Array) -> Array:
    """Mean over the classes of 2 TP / (called + there): (...,)."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    found = _ratio(2 * right, counts.sum(-1) + counts.sum(-2))
    return _mean_of_known(np.where(counts.sum(-1) > 0, found, np.nan))


def auroc_one_vs_rest(truth: Numbers, probability: Array, weight: Array) -> Array:
    """Mean over the classes of the AUROC of its probability against all others; with two classes the AUROC. (...,)"""
    classes = [1] if probability.shape[1] == 2 else range(probability.shape[1])
    found = [auroc_of(*ranked(truth == k, probability[:, k], weight)[1:]) for k in classes]
    return _mean_of_known(np.stack(found, axis=-1))


def calibration_error(truth: Numbers, probability: Array, weight: Array) -> Array:
    """Expected calibration error (Naeini et al. 2015): (...,), 0 is perfect.

    sum over ten bins of the highest probability of  share of scans * |share that is right - mean probability|
    """
    sure = probability.max(1)
    right = probability.argmax(1) == truth
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    there = np.zeros((len(truth), BINS))
    there[np.arange(len(truth)), bins] = 1
    gap = np.abs(weight @ (there * (right - sure)[:, None]))
    made: Array = gap.sum(-1) / np.asarray(weight).sum(-1)
    return made


def scan_log_probability(logits: Array, temperature: float) -> Array:
    """Log of the mean over a scan's slices of softmax(logits / T): (n, K) -> (K,)."""
    each = log_softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    made: Array = logsumexp(each, axis=0) - np.log(len(logits))
    return made


def fit_temperature(logits: Sequence[Array], truth: Sequence[int]) -> float:
    """Temperature T that makes held-out scans likeliest (Guo et al. 2017), within 1/20 and 20.

    logits: (n_i, K) of each scan's slices. Accuracy does not change where a scan is one image.
    """

    def loss(log_t: float) -> float:
        t = float(np.exp(log_t))
        return -float(np.mean([scan_log_probability(each, t)[k] for each, k in zip(logits, truth, strict=True)]))

    bound = float(np.log(20))
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def _mean_of_known(values: Array) -> Array:
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0).sum(-1), known.sum(-1))


def _ratio(above: Array, below: Array) -> Array:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    result: Array = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return result
