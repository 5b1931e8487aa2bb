"""The calibration curve: how many unusual areas a healthy scan shows at each of a row of voxel thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from medudl.metrics.intervals import bootstrap, poisson_interval, resamples
from medudl.metrics.thresholds import patient_weights
from medudl.metrics.voxels import Tally

REPEATS, SEED = 2000, 0
FEW = 100  # areas in all scans together: with more, a Poisson interval is the narrower one
# Percentiles of the healthy voxels. At 100 no healthy voxel lies above: the rate there is a bound, never "none".
PERCENTILES = (95.0, 97.0, 98.0, 99.0, 99.3, 99.5, 99.7, 99.8, 99.9, 99.95, 99.97, 99.99, 99.995, 99.999, 100.0)
# One of each two opposite neighbours of a voxel: 13 of 26.
_HALF = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


def thresholds(tally: Tally, own: float) -> list[tuple[float, float]]:
    """(percentile, voxel threshold) of the healthy voxels, both rising; `own` is the run's percentile, always in.

    Percentiles that fall on one threshold (few voxels) are told once, by the run's own or else the highest.
    """
    found: dict[float, float] = {}
    for percent in (*sorted({*PERCENTILES} - {own}), own):
        found[tally.percentile(percent)] = percent
    return [(found[value], value) for value in sorted(found)]


def area_counts(smooth: NDArray[np.float32], levels: Sequence[float], smallest: int) -> list[int]:
    """How many areas of at least `smallest` touching voxels lie above each of the rising `levels`.

    smooth: (D, H, W). The same numbers as `metrics.detection.areas`, at the cost of the voxels above the first level
    alone: their neighbourhood is found once, and each level keeps the pairs of which both ends lie above it.
    """
    above = np.argwhere(smooth > levels[0])
    if not len(above):
        return [0] * len(levels)
    values, pairs = smooth[tuple(above.T)], _touching(above)
    lower = np.minimum(values[pairs[0]], values[pairs[1]])
    return [_count(values > level, pairs[:, lower > level], smallest) for level in levels]


def _touching(voxels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs (2, P) of numbers of `voxels` (N, 3) that touch, corners included, each pair once."""
    corner = voxels.min(axis=0) - 1
    shape = voxels.max(axis=0) - corner + 2  # a rim of one voxel, so that a step never leaves the box
    place = np.ravel_multi_index(tuple((voxels - corner).T), tuple(shape))
    number = np.full(int(shape.prod()), -1, np.int32)
    number[place] = np.arange(len(place), dtype=np.int32)
    strides = (int(shape[1] * shape[2]), int(shape[2]), 1)
    found = []
    for step in _HALF:
        other = number[place + sum(a * b for a, b in zip(step, strides, strict=True))]
        here = np.flatnonzero(other >= 0)
        found.append(np.stack([here, other[here]]))
    return np.concatenate(found, axis=1)


def _count(kept: NDArray[np.bool_], pairs: NDArray[np.int64], smallest: int) -> int:
    edges = sparse.coo_array((np.ones(pairs.shape[1], np.int8), tuple(pairs)), shape=(len(kept), len(kept)))
    labels = connected_components(edges, directed=False)[1]
    return int((np.bincount(labels[kept]) >= smallest).sum())


def areas_per_scan(areas: ArrayLike, subjects: Sequence[str]) -> dict[str, Any]:
    """Unusual areas per healthy scan with a 95 % interval: bootstrap by patient, no narrower than exact Poisson.

    areas: (N,), of each scan; subjects: (N,), whose scan it is. Each patient weighs the same. The bootstrap of a few
    areas is too narrow, and that of none has no width at all; hence the second interval where there are few.
    """
    numbers = np.asarray(areas, float)
    weights, n = patient_weights(subjects)
    if not numbers.any():
        return {"per_healthy_scan": 0.0, "low": 0.0, "high": poisson_interval(0, n)[1], "interval": "exact Poisson"}
    names, place = np.unique(subjects, return_inverse=True)
    per_patient = np.bincount(place, weights * numbers * n, len(names))
    drawn = resamples(np.zeros(n), REPEATS, SEED)
    made = bootstrap(float(per_patient.mean()), drawn @ per_patient / n, n).as_dict()
    low, high, kind = made["low"], made["high"], "bootstrap by patient"
    if low is not None and high is not None and (total := per_patient.sum()) < FEW:
        low = min(low, poisson_interval(math.floor(total), n)[0])
        high = max(high, poisson_interval(math.ceil(total), n)[1])
        kind = "bootstrap by patient, no narrower than exact Poisson"
    return {"per_healthy_scan": made["value"], "low": low, "high": high, "interval": kind}


def curve(
    maps: Iterable[NDArray[np.float32]], subjects: Sequence[str], levels: Sequence[tuple[float, float]], smallest: int
) -> tuple[list[dict[str, Any]], NDArray[np.int64]]:
    """One row a level, rising: percentile, threshold, and areas per healthy scan with their 95 % interval.

    Beside them the areas themselves, (scans, levels).
    maps: (D, H, W) each, zero where nothing counts; one at a time is held. levels: as `thresholds` gives them.
    """
    values = [threshold for _, threshold in levels]
    counts = np.array([area_counts(map, values, smallest) for map in maps], np.int64)
    rows = [
        {"percentile": percent, "threshold": threshold, **areas_per_scan(counts[:, place], subjects)}
        for place, (percent, threshold) in enumerate(levels)
    ]
    return rows, counts


def origin(n: int, part: bool) -> str:
    """Where the curve comes from, as a sentence: its promise is that of the scans that also set the thresholds."""
    who = "1 held-out healthy patient" if n == 1 else f"{n} held-out healthy patients"
    text = f"Measured on the {who} that also set the thresholds: new patients may show more."
    return text + (" Lesion-free slices of patients with a lesion stand in for healthy scans." if part else "")
