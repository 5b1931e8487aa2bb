"""Lesion-wise figures of one scan: which lesions were met, what was called where nothing is, what lies on the rim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
OVERLAP = 0.1  # a lesion counts as met when this share of it is called; a single voxel would flatter noisy maps


def components(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Connected areas (corners touch: 26 neighbours in 3-D), numbered from 1, and how many there are."""
    labels, number = ndimage.label(mask, structure=np.ones((3,) * mask.ndim, int))
    return labels, int(number)


def areas(called: Mask, smallest: int) -> tuple[NDArray[np.int32], int]:
    """Connected areas of at least `smallest` voxels, numbered from 1, and how many there are."""
    labels, _ = components(called)
    sizes = np.bincount(labels.ravel())
    keep = sizes >= smallest
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return number[labels], int(keep.sum())


@dataclass(frozen=True)
class Lesions:
    """What became of one scan's lesions. sizes: voxels of each; met: whether it was; false: areas that meet none."""

    sizes: NDArray[np.int64]
    met: Mask
    false: int


def lesions(called: NDArray[np.int32], truth: Mask, overlap: float = OVERLAP) -> Lesions:
    """Lesion by lesion. called: numbered areas from `areas`; truth: mask of the same shape.

    A lesion (connected area of the mask) is met when at least `overlap` of its voxels are called. A called area is
    false when it shares no voxel with any lesion.
    """
    labels, number = components(truth)
    sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    inside = np.bincount(labels[called > 0], minlength=number + 1)[1:]
    true = np.unique(called[truth])
    return Lesions(sizes, inside >= np.maximum(overlap * sizes, 1), int(called.max(initial=0)) - int((true > 0).sum()))


def rim_share(score: NDArray[np.float32], foreground: Mask, inner: Mask) -> tuple[float, float]:
    """Share of the map's sum that lies on the rim (foreground outside `inner`), and the rim's share of voxels.

    An even map has both equal; a map that mostly draws the outline has the first far above the second. NaN, NaN for an
    empty foreground, NaN for the first where the map is zero.
    """
    rim = foreground & ~inner
    total, voxels = float(score[foreground].sum()), int(foreground.sum())
    return (float(score[rim].sum()) / total if total > 0 else np.nan, float(rim.sum() / voxels) if voxels else np.nan)
