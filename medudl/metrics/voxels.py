"""Voxel figures in bounded memory: each patient's voxels are counted by score, rounded to ten significant bits.

A float32 keeps its order when its bits are read as an integer (with negative numbers mirrored). Its upper 18 bits are
sign, exponent and 9 bits of mantissa: bins .1 to .2 % wide at any scale, chosen before a map is seen. Figures are exact
for maps rounded so. A patient takes a few thousand counts instead of millions of voxels, and a bootstrap over patients
is a matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS = 18
_SHIFT = 32 - BITS


def codes(score: NDArray[np.float32]) -> NDArray[np.int64]:
    """Bin of each score, rising with it: int64 in [0, 2^18)."""
    bits = np.ascontiguousarray(score, np.float32).view(np.uint32)
    ordered = np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))
    return (ordered >> _SHIFT).astype(np.int64)


def highest_in(code: int) -> float:
    """Upper end of a bin, the largest float32 in it: exactly the voxels of higher bins lie above it."""
    ordered = np.uint32((code << _SHIFT) | ((1 << _SHIFT) - 1))
    bits = ordered ^ np.uint32(1 << 31) if ordered >> np.uint32(31) else ~ordered
    return float(np.array([bits], np.uint32).view(np.float32)[0])


@dataclass(frozen=True)
class Counts:
    """One scan's voxels by bin: `code` (K,) rising, `sick` and `healthy` (K,) how many voxels of each."""

    code: NDArray[np.int64]
    sick: NDArray[np.int64]
    healthy: NDArray[np.int64]


def count(score: NDArray[np.float32], truth: NDArray[np.bool_] | None = None) -> Counts:
    """Count the voxels of one scan. score: (N,) float32; truth: (N,) bool, None where all is healthy."""
    code = codes(score.ravel())
    every = np.bincount(code, minlength=1 << BITS)
    sick = np.zeros_like(every) if truth is None else np.bincount(code[truth.ravel()], minlength=1 << BITS)
    present = np.flatnonzero(every)
    return Counts(present, sick[present], (every - sick)[present])


class Tally:
    """Counts of many scans, gathered by patient.

    code: (K,) bins, HIGHEST FIRST, as `metrics.curves` wants them; sick, healthy: (P, K), one row a patient.
    """

    def __init__(self, scans: list[Counts], patients: list[int], total: int) -> None:
        self.code = np.unique(np.concatenate([scan.code for scan in scans]))[::-1] if scans else np.zeros(0, np.int64)
        self.sick = np.zeros((total, len(self.code)), np.float32)
        self.healthy = np.zeros((total, len(self.code)), np.float32)
        for scan, patient in zip(scans, patients, strict=True):
            place = len(self.code) - 1 - np.searchsorted(self.code[::-1], scan.code)
            self.sick[patient, place] += scan.sick
            self.healthy[patient, place] += scan.healthy

    def coarser(self, bits: int) -> Tally:
        """The same counts with `bits` bits fewer a score: up to 2^bits times fewer bins, for intervals."""
        made = Tally([], [], 0)
        group = self.code >> bits
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        made.code = group[starts]
        made.sick = np.add.reduceat(self.sick, starts, axis=1) if len(starts) else self.sick
        made.healthy = np.add.reduceat(self.healthy, starts, axis=1) if len(starts) else self.healthy
        return made

    def pooled(self, drawn: NDArray[np.int64] | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sick and healthy (..., K) over all patients, each counted as often as drawn: (..., P), default once."""
        weight = np.ones(len(self.sick)) if drawn is None else drawn.astype(np.float64)
        # Not `@`: on a busy machine the threads of BLAS cost more than these small products.
        sick = np.einsum("...p,pk->...k", weight, self.sick, dtype=np.float64)
        return sick, np.einsum("...p,pk->...k", weight, self.healthy, dtype=np.float64)

    def above(self, threshold: float) -> NDArray[np.bool_]:
        """Which bins lie above a threshold made by `percentile` (its bin does not): (K,)."""
        over: NDArray[np.bool_] = self.code > codes(np.array([threshold], np.float32))[0]
        return over

    def percentile(self, percent: float) -> float:
        """The lowest bin edge that at most 100 - percent of the HEALTHY voxels exceed; voxels weigh the same."""
        healthy = self.pooled()[1]
        over = np.cumsum(healthy) - healthy  # strictly above bin k
        allowed = np.flatnonzero(over <= (1 - percent / 100) * healthy.sum() + 1e-9)
        return highest_in(int(self.code[allowed[-1]]))
