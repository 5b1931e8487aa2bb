"""A worker's part: one scan of untrusted files to raw voxels of the smallest exact type. Runs inside `Guard`."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.viewer.order import Decoded, Order, too_large
from medudl.data.foreground import AIR_HU, otsu
from medudl.data.masks import read_mask
from medudl.data.read import check_header, read_volume
from medudl.data.resample import overlap, resample
from medudl.data.volume import Volume

_SAMPLE = 400_000  # values that percentiles are taken from
_TYPES = ("<u1", "<i2", "<u2")


def measure(order: Order) -> int:
    """Voxels that a scan claims to have, from one header. Raises UserError: it cannot be read at all."""
    if order.grid and order.recipe == "mask":
        return math.prod(check_header(order.grid[0], order.grid_format).shape) * len(order.grid)
    return math.prod(check_header(order.files[0], order.format).shape) * len(order.files)


def decode(order: Order) -> Decoded:
    """Write a scan's voxels to order.target: little endian, X fastest, then Y, then Z.

    Raises UserError: not readable, or more than order.limit bytes.
    """
    volume = _read(order)
    extent = (float(volume.voxels.min()), float(volume.voxels.max()))
    kind = _written(volume.voxels, extent, order)
    x, y, z = volume.voxels.shape
    return Decoded(
        shape=(x, y, z),
        dtype=np.dtype(kind).name,
        affine=volume.affine.tolist(),
        spacing=volume.spacing,
        unit=volume.unit,
        range=(0.0, 1.0) if order.recipe == "mask" else shown_range(volume.voxels, volume.unit),
        extent=extent,
        repaired=volume.repaired,
    )


def _read(order: Order) -> Volume:
    if order.recipe == "mask":
        return _mask(order)
    if not order.recipe:
        return read_volume(order.files, order.format, fragment=order.fragment, repair=True)
    made, *looked = (read_volume((file,), order.format) for file in order.files)
    truth = read_volume(order.grid, order.grid_format, repair=True)
    return difference(made, truth, looked[0] if looked else None, scaled=order.recipe == "scaled difference")


def difference(made: Volume, truth: Volume, looked: Volume | None = None, *, scaled: bool) -> Volume:
    """|made - truth| on the grid of `made`, 0 where `truth` has no voxel.

    looked: on the grid of `made`; beyond the box of its values other than 0 nothing was made, and the difference is 0.
    scaled: each from the start of its own shown range on, darker counts as the start, and `truth` is stretched so that
    both ranges are as wide: the difference is then in the unit of `made`.
    """
    to_voxels = np.linalg.inv(truth.affine) @ made.affine
    shape = made.voxels.shape
    other = resample(truth.voxels, to_voxels, shape)
    one = made.voxels
    if scaled:
        (low, high), (start, end) = shown_range(one, ""), shown_range(truth.voxels, "")
        one = np.maximum(one - low, 0)
        other = np.maximum(other - start, 0) * ((high - low) / max(end - start, 1e-9))
    apart = np.abs(one - other) * overlap(to_voxels, shape, truth.voxels.shape)
    if looked is not None and looked.voxels.shape == shape and looked.voxels.any():
        inside = np.zeros(shape, bool)
        inside[tuple(slice(at.min(), at.max() + 1) for at in np.nonzero(looked.voxels))] = True
        apart *= inside
    return Volume(apart.astype(np.float32), made.affine)


def _mask(order: Order) -> Volume:
    """A mask on its own grid, or on that of the scan it was drawn on."""
    if order.grid:
        scan = read_volume(order.grid, order.grid_format, repair=True)
        path = order.files[0] if len(order.files) == 1 else order.files[0].parent
        mask = read_mask(path, shape=scan.voxels.shape, affine=scan.affine)
        return Volume(mask.astype(np.float32), scan.affine)
    labels = read_volume(order.files, order.format, fragment=order.fragment)
    return Volume((labels.voxels > 0).astype(np.float32), labels.affine)


def exact_types(voxels: NDArray[np.float32], extent: tuple[float, float]) -> list[str]:
    """Types that may hold all values exactly, the smallest first; float32 always does."""
    fitting = [t for t in _TYPES if np.iinfo(t).min <= extent[0] and extent[1] <= np.iinfo(t).max]
    sample = _sample(voxels)
    whole = bool(fitting) and np.array_equal(sample.astype(fitting[0]), sample)
    return [fitting[0], "<f4"] if whole else ["<f4"]


def _written(voxels: NDArray[np.float32], extent: tuple[float, float], order: Order) -> str:
    """Write in the first type that proves exact; its name."""
    types: Sequence[str] = exact_types(voxels, extent)
    for kind in types:
        need = voxels.size * np.dtype(kind).itemsize
        if need > order.limit:
            raise too_large(need, order.limit)
        if _write(voxels, kind, order.target):
            return kind
    raise AssertionError("float32 holds float32")


def _write(voxels: NDArray[np.float32], kind: str, target: str) -> bool:
    """Slice by slice, so that converting and comparing stay in the processor's cache. False: a value is not exact."""
    with open(target, "r+b", buffering=0) as file:
        for k in range(voxels.shape[2]):
            flat = voxels[:, :, k].T
            packed = np.ascontiguousarray(flat, dtype=kind)
            if kind != "<f4" and not np.array_equal(packed, flat):
                return False
            _write_all(file.fileno(), packed.data.cast("B"))
        os.ftruncate(file.fileno(), voxels.size * np.dtype(kind).itemsize)
    return True


def _write_all(file: int, data: memoryview) -> None:
    while data:
        data = data[os.write(file, data) :]


def _sample(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values at a fixed stride in the order of memory; odd, so that it does not walk down one column."""
    return voxels.ravel(order="K")[:: max(1, voxels.size // _SAMPLE) | 1]


def shown_range(voxels: NDArray[np.float32], unit: str) -> tuple[float, float]:
    """1st and 99th percentile of what is not background: HU above air, else what Otsu's threshold leaves.

    Of a sample at a fixed stride, so the same file gives the same window. All of it where nothing else is left.
    """
    sample = _sample(voxels)
    if unit == "HU":
        inside = sample > AIR_HU
    else:
        root = np.sqrt(sample - sample.min())
        inside = root > otsu(root)
    values: NDArray[Any] = sample[inside] if inside.any() else sample
    low, high = np.percentile(values, [1, 99]).tolist()
    return (low, high) if high > low else (float(sample.min()), float(sample.max()))
