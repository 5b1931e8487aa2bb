"""What one training item is: a slice, a slice with its neighbours, a patch, or a whole volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medudl.config import Data
from medudl.data.pipeline import Prepared

_TRIES = 20  # places tried for a patch before the fullest of them is taken


@dataclass(frozen=True)
class Item:
    """Number `index` of case `case` (its place in the loader): the slice, or the how-manieth patch."""

    case: int
    index: int


def items_of(case: int, prepared: Prepared, data: Data, lesion_free: bool, paired: bool = False) -> list[Item]:
    """The training items of one case: those with at least `min_foreground`, and off the lesion mask if so wanted.

    slices: a slice each. patches: as many as would cover the volume; where they lie is drawn anew each epoch.
    lesion_free: slices at most `lesion_margin` slices from a mask voxel are left out; a patch or volume has no such
    place of its own, so a case with a lesion has none then.
    paired: of a registered pair; slices without any foreground, which one side may lack, are left out whatever
    `min_foreground` says.
    """
    share = prepared.foreground[0].mean(axis=(1, 2))
    kept = np.flatnonzero(slices_off_lesion(prepared.mask, data.lesion_margin)) if lesion_free else range(len(share))
    if data.dims == 2:
        wanted = (share >= data.min_foreground) & ((share > 0) | (not paired))
        return [Item(case, int(index)) for index in kept if wanted[index]]
    if len(kept) < len(share):
        return []
    if data.view == "volume":
        return [Item(case, 0)] if share.mean() >= data.min_foreground else []
    assert data.size is not None
    count = -(-prod(prepared.image.shape[1:]) // prod(data.size)) if share.any() else 0
    return [Item(case, index) for index in range(count)]


def slices_off_lesion(mask: NDArray[np.bool_] | None, margin: int) -> NDArray[np.bool_]:
    """(D,): True for slices more than `margin` slices away from any mask voxel; none where the mask is unknown."""
    if mask is None:
        return np.zeros(1, dtype=bool)
    touched = mask[0].any(axis=(1, 2))
    if margin and touched.any():
        touched = ndimage.binary_dilation(touched, iterations=margin)
    return np.asarray(~touched)


def window(prepared: Prepared, index: int, data: Data, seed: Sequence[int]) -> tuple[slice, slice, slice]:
    """The voxels (D, H, W) of an item. A patch is drawn from `seed`, around a foreground voxel, full if possible."""
    _, depth, height, width = prepared.image.shape
    whole = slice(0, depth), slice(0, height), slice(0, width)
    if data.dims == 2:
        return slice(index, index + 1), whole[1], whole[2]
    if data.view == "volume":
        return whole
    assert data.size is not None
    random, best, fullest = np.random.default_rng(list(seed)), whole, -1.0
    for _ in range(_TRIES):
        place = _around(_foreground_voxel(prepared.foreground[0], random), prepared.image.shape[1:], data.size)
        share = float(prepared.foreground[0][place].mean())
        if share >= data.min_foreground:
            return place
        if share > fullest:
            best, fullest = place, share
    return best


def cut(
    prepared: Prepared, place: tuple[slice, slice, slice], data: Data, sources: int | None = None
) -> dict[str, NDArray[Any]]:
    """An item's voxels: image (C, *S), foreground (1, *S) and, where it is known, mask (1, *S).

    Views, except for an image with its neighbours (slices_25d): slice after slice, the edge repeated. sources: of a
    registered pair, how many channels are the image; the others are its target (C', *S), without neighbours.
    """
    voxels: Any = (slice(None), place[0].start if data.dims == 2 else place[0], place[1], place[2])
    found = {"image": prepared.image[voxels][:sources], "foreground": prepared.foreground[voxels]}
    if sources is not None:
        found["target"] = prepared.image[voxels][sources:]
    if data.view == "slices_25d":
        middle, last = place[0].start, prepared.image.shape[1] - 1
        near = [min(max(middle + offset, 0), last) for offset in range(-data.neighbours, data.neighbours + 1)]
        found["image"] = np.concatenate([prepared.image[:sources, index] for index in near])
    if prepared.mask is not None:
        found["mask"] = prepared.mask[voxels]
    return found


def _foreground_voxel(foreground: NDArray[np.bool_], random: np.random.Generator) -> list[int]:
    """Drawn by trial: a volume is mostly foreground, and listing all its voxels would take milliseconds an item."""
    for _ in range(1000):
        voxel = [int(random.integers(n)) for n in foreground.shape]
        if foreground[tuple(voxel)]:
            return voxel
    voxels = np.argwhere(foreground)
    return [int(i) for i in voxels[random.integers(len(voxels))]]


def _around(voxel: Sequence[int], shape: Sequence[int], size: Sequence[int]) -> tuple[slice, slice, slice]:
    starts = [min(max(v - s // 2, 0), n - s) for v, n, s in zip(voxel, shape, size, strict=True)]
    d, h, w = (slice(start, start + s) for start, s in zip(starts, size, strict=True))
    return d, h, w
