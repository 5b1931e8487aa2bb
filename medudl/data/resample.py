"""Put voxels from one grid onto another, exactly where the grids' voxels coincide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mode = Literal["linear", "nearest"]
_SNAP = 1e-4  # voxels: a coordinate this close to a voxel's centre is that voxel


def resample(
    voxels: NDArray[Any], to_voxels: NDArray[np.float64], shape: Sequence[int], mode: Mode = "linear", fill: float = 0.0
) -> NDArray[Any]:
    """Values of `voxels` (X, Y, Z) on a grid of `shape`, whose index i lies at `to_voxels` @ (i, 1) in `voxels`.

    Between the outermost centres and the faces of the outermost voxels the edge is repeated; beyond the faces lies
    `fill`. Grids with parallel axes are done axis by axis, and values are copied bit by bit where centres coincide.
    """
    parallel = _parallel_axes(to_voxels, shape)
    if parallel is None:
        return _affine(voxels, to_voxels, shape, mode, fill)
    out = voxels.transpose(parallel)  # its axis a is now parallel to the wanted axis a
    for axis, source in enumerate(parallel):
        at = to_voxels[source, axis] * np.arange(shape[axis]) + to_voxels[source, 3]
        out = _along(out, axis, at, mode, fill)
    return np.ascontiguousarray(out)


def overlap(to_voxels: NDArray[np.float64], shape: Sequence[int], source: Sequence[int]) -> NDArray[np.bool_]:
    """Which voxels of a grid of `shape` lie inside the `source` grid."""
    inside = np.ones(tuple(shape), dtype=bool)
    index = np.ogrid[tuple(slice(n) for n in shape)]
    for axis in range(3):
        at = sum(to_voxels[axis, a] * index[a] for a in range(3)) + to_voxels[axis, 3]
        inside &= (at >= -0.5 - _SNAP) & (at <= source[axis] - 0.5 + _SNAP)
    return inside


def _parallel_axes(matrix: NDArray[np.float64], shape: Sequence[int]) -> tuple[int, int, int] | None:
    """For each wanted axis the source axis parallel to it, or None where some axis runs askew."""
    drift = np.abs(matrix[:3, :3]) * (np.asarray(shape) - 1).clip(1)  # voxels of the source, along the whole grid
    order = [int(a) for a in np.abs(matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)).argmax(axis=0)]
    askew = drift.copy()
    askew[order, range(3)] = 0
    if sorted(order) != [0, 1, 2] or askew.max() > 1e-2:
        return None
    return order[0], order[1], order[2]


def _along(voxels: NDArray[Any], axis: int, at: NDArray[np.float64], mode: Mode, fill: float) -> NDArray[Any]:
    size = voxels.shape[axis]
    whole = np.rint(at)
    at = np.where(np.abs(at - whole) < _SNAP, whole, at)
    inside = (at >= -0.5 - _SNAP) & (at <= size - 0.5 + _SNAP)
    if mode == "nearest" or bool(np.all((at == whole) | ~inside)):
        out = np.take(voxels, np.floor(at + 0.5).astype(int).clip(0, size - 1), axis=axis)
    else:
        at = at.clip(0, size - 1)
        low = np.floor(at).astype(int)
        weight = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        below = np.take(voxels, low, axis=axis)
        above = np.take(voxels, (low + 1).clip(0, size - 1), axis=axis)
        out = below + weight * (above - below)
    if not inside.all():
        out[tuple(~inside if a == axis else slice(None) for a in range(3))] = fill
    return np.asarray(out)


def _affine(
    voxels: NDArray[Any], matrix: NDArray[np.float64], shape: Sequence[int], mode: Mode, fill: float
) -> NDArray[Any]:
    flat = voxels.astype(np.uint8) if voxels.dtype == bool else voxels
    out = ndimage.affine_transform(
        flat, matrix[:3, :3], matrix[:3, 3], tuple(shape), order=int(mode == "linear"), mode="nearest", prefilter=False
    )
    out = out.astype(voxels.dtype, copy=False)
    out[~overlap(matrix, shape, voxels.shape)] = fill
    return np.asarray(out)
