"""Inception score (Salimans et al. 2016), of any classifier's probabilities."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.subsampling import Array, delete_interval, patients_of, subsamples


def inception_score(
    probability: ArrayLike, groups: ArrayLike | None = None, repeats: int = 200, seed: int = 0
) -> Estimate:
    """Inception score (Salimans et al. 2016): 1 (all alike, or none sure) to K (each sure, all classes equally often).

        exp mean KL(p(y | x), p(y)),   p(y) = mean p(y | x)

    probability: (n, K), rows that add up to 1, of a named classifier. It knows nothing of real images: a generator that
    draws one perfect image a class has the best score. At small n it is too low, for p(y) is taken from the same images
    (`inception_bias`), and can never pass n. Interval by patient, on the logarithm, a fifth left out at a time; n of
    the result is the number of patients. Raises UserError for rows that are no probabilities.
    """
    p = _probabilities(probability)
    patient = patients_of(len(p), groups)
    kept, factor = subsamples(int(patient.max()) + 1, repeats, seed)
    value = float(_log_score(p, np.ones((1, len(p))))[0])
    values = _log_score(p, kept[:, patient].astype(np.float64))
    found = delete_interval(value, values, factor, kept.shape[1], low=0.0, high=math.log(p.shape[1]))
    return Estimate(math.exp(value), math.exp(found.low), math.exp(found.high), found.n)


def inception_bias(probability: ArrayLike, groups: ArrayLike | None = None) -> float:
    """By how much the score is expected to miss that of infinitely many images, by jackknife over patients: <= 0.

    exp(a) - exp(a - b),   b = (P - 1) (mean log score without one patient - log score with all)
    """
    p = _probabilities(probability)
    patient = patients_of(len(p), groups)
    count = int(patient.max()) + 1
    log_score = float(_log_score(p, np.ones((1, len(p))))[0])
    without = _log_score(p, (np.arange(count)[:, None] != patient).astype(np.float64))
    bias = (count - 1) * (float(np.mean(without)) - log_score) if count > 1 else math.nan
    return math.exp(log_score) - math.exp(log_score - bias)


def _log_score(p: Array, weight: Array) -> Array:
    """Entropy of the mean minus mean of the entropies: weight (R, n) -> (R,)."""
    share = weight / np.maximum(weight.sum(1, keepdims=True), 1e-300)
    found: Array = entr(share @ p).sum(1) - share @ entr(p).sum(1)
    return found


def _probabilities(probability: ArrayLike) -> Array:
    p = np.asarray(probability, np.float64)
    if p.ndim != 2 or len(p) == 0:
        raise UserError(f"inception score: probabilities are a table (images, classes), not of shape {p.shape}")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-3)):
        raise UserError("inception score: rows must be probabilities that add up to 1; apply a softmax to the logits")
    normalised: Array = p / p.sum(1, keepdims=True)
    return normalised
