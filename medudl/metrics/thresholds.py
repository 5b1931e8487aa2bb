"""Thresholds from held-out healthy scans, and what they promise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Threshold:
    """A scan is flagged when its score is ABOVE `value`.

    promise: the false-alarm rate that the threshold guarantees for a new healthy patient, on average over calibrations.
    reached: whether `promise` is at most the rate asked for; with too few patients it cannot be.
    """

    value: float
    promise: float
    reached: bool


def conformal(scores: ArrayLike, patients: ArrayLike, alpha: float) -> Threshold:
    """Split-conformal threshold over patients (Vovk 2005; several scans a patient: Lee, Barber & Willett 2023).

        smallest t with   sum_i 1/(n+1) * (share of patient i's scans <= t)  >=  1 - alpha

    With one scan a patient this is the order statistic ceil((n + 1)(1 - alpha)). Where n is too small for it
    ((n + 1) alpha < 1), the highest score is used, whose promise is 1 / (n + 1).
    """
    scores = np.asarray(scores, np.float64)
    if len(scores) == 0:
        raise ValueError("no healthy scan to calibrate on")
    weight, n = patient_weights(patients)
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(weight[order]) * n / (n + 1)
    # A hair of slack: 19/20 summed in floats must still count as 19/20.
    reached = below >= 1 - alpha - 1e-9
    place = int(np.argmax(reached)) if reached.any() else len(scores) - 1
    value = float(scores[order][place])
    promise = 1 - float(weight[scores <= value].sum()) * n / (n + 1)
    return Threshold(value, promise, bool(reached.any()))


def percentile(scores: ArrayLike, patients: ArrayLike, alpha: float) -> float:
    """Smallest observed score that at least 1 - alpha of the healthy scans do not exceed, each patient weighing 1.

    Optimistic: it promises nothing about new patients.
    """
    scores = np.asarray(scores, np.float64)
    weight, _ = patient_weights(patients)
    order = np.argsort(scores, kind="stable")
    place = int(np.searchsorted(np.cumsum(weight[order]), 1 - alpha - 1e-9))
    return float(scores[order][min(place, len(scores) - 1)])


def patient_weights(patients: ArrayLike) -> tuple[NDArray[np.float64], int]:
    """Weight of each scan, (N,), summing to 1, so that each patient weighs the same; and the number of patients."""
    _, place, count = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    return 1 / (count[place] * len(count)), len(count)
