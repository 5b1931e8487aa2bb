"""From a raw map to a reported one: eroded foreground, median filter, scan score, unusual areas.

The same for the model and for every baseline it is compared with, and fixed before any test scan is seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medudl.config import Detect
from medudl.metrics.detection import areas

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
OwnScores = Mapping[str, NDArray[np.float64]]


def inner(foreground: Mask, settings: Detect, dims: int) -> Mask:
    """The foreground (D, H, W) without its rim of `settings.erode` voxels, in each slice (dims 2) or in 3-D.

    The image's own border counts as rim too. erode: 0 switches it off.
    """
    if settings.erode == 0:
        return foreground
    cross = ndimage.generate_binary_structure(3, 1)
    if dims == 2:
        cross[[0, 2]] = False
    return np.asarray(ndimage.binary_erosion(foreground, cross, iterations=settings.erode))


def filtered(raw: Map, inside: Mask, settings: Detect, dims: int) -> Map:
    """The map (D, H, W) inside the eroded foreground, zero elsewhere, then median-filtered there.

    median: 0 switches the filter off. It looks `median` voxels wide in each slice (dims 2) or in 3-D; voxels outside
    count as zero.
    """
    out = np.where(inside, raw, 0).astype(np.float32)
    if settings.median <= 1 or not inside.any():
        return out
    box = ndimage.find_objects(inside.astype(np.uint8))[0]  # outside it, all is zero and stays so
    size = (1 if dims == 2 else settings.median, settings.median, settings.median)
    smooth = ndimage.median_filter(out[box], size=size, mode="constant", cval=0.0)
    out[box] = np.where(inside[box], smooth, 0)
    return out


OWN_BESIDE = "top"  # how maps without scores of their own (the baselines) are summed up where settings.score is one


def scan_score(smooth: Map, inside: Mask, settings: Detect, own: OwnScores | None = None) -> float:
    """One number a scan, over the eroded foreground: the mean, the mean of the highest top_percent, or the maximum.

    own: the method's own scores of each slice, patch or volume by name; where settings.score names one of them, it is
    the mean of that one, over the slices that hold foreground. NaN where the eroded foreground is empty: such a scan
    cannot be scored.
    """
    values = smooth[inside]
    if len(values) == 0:
        return float("nan")
    if own is not None and settings.score in own:
        return own_score(own[settings.score], inside)
    kind = settings.score if settings.score in ("mean", "top", "max") else OWN_BESIDE
    if kind == "max":
        return float(values.max())
    if kind == "top":
        count = max(1, round(len(values) * settings.top_percent / 100))
        values = np.partition(values, len(values) - count)[-count:]
    return float(values.mean(dtype=np.float64))


def own_score(values: NDArray[np.float64], inside: Mask) -> float:
    """Mean of a method's own scores (N,), over the slices that hold foreground where N counts slices."""
    kept = np.asarray(inside.any(axis=(1, 2)))
    return float(values[kept].mean() if len(values) == len(kept) else values.mean())


def unusual(smooth: Map, threshold: float, settings: Detect) -> tuple[NDArray[np.int32], int]:
    """Numbered areas above the voxel threshold, of at least `min_voxels` voxels that touch, and how many there are."""
    return areas(smooth > threshold, settings.min_voxels)
