"""Tilted, gapped or unevenly spaced slices onto an even, orthogonal grid, on request only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medudl.data.geometry import lps_to_ras

Voxels = NDArray[np.float32]
Array = NDArray[np.float64]


def resample_stack(voxels: Voxels, positions: Array, affine: Array, *, fill: float) -> tuple[Voxels, Array, str]:
    """Resample slices, linearly, onto a grid whose axes are the rows, the columns and the normal of the slices.

    voxels: (X, Y, Z), slices ascending along the normal; positions: (Z, 3) their first voxels' centres, LPS mm;
    affine: (4, 4) RAS, its first two columns right; fill: value where no slice reaches.
    In plane each slice is shifted by its own fraction of a pixel; between two slices values are mixed by distance.
    A field that is linear in space comes out exact. In plane the pixel size stays; along the normal the step is the
    lower quartile of the scan's steps, so that the finer part of an uneven scan keeps its detail; the grid is wide
    enough for every slice. Returns the voxels, their RAS affine, and a sentence on what was done.
    """
    lps = lps_to_ras(affine)
    size_x, size_y = np.linalg.norm(lps[:3, :2], axis=0)
    row, column = lps[:3, 0] / size_x, lps[:3, 1] / size_y
    # Rows and columns that are not quite at right angles would leave the new grid sheared.
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    column = np.cross(normal, row)
    depths = positions @ normal
    step = float(np.quantile(np.diff(depths), 0.25, method="lower"))
    across = (positions @ row - (positions @ row).min()) / size_x
    down = (positions @ column - (positions @ column).min()) / size_y
    shape = (
        voxels.shape[0] + int(np.ceil(across.max() - 1e-6)),
        voxels.shape[1] + int(np.ceil(down.max() - 1e-6)),
        int(np.floor((depths[-1] - depths[0]) / step + 1e-6)) + 1,
    )
    result = np.full(shape, fill, dtype=np.float32)
    below = above = -1
    lower = upper = result[..., 0]
    for k in range(shape[2]):
        depth = min(depths[0] + k * step, depths[-1])
        index = min(int(np.searchsorted(depths, depth, side="right")) - 1, len(depths) - 2)
        if index != below:
            lower = upper if index == above else _shifted(voxels[..., index], across[index], down[index], shape)
            below, above = index, index + 1
            upper = _shifted(voxels[..., above], across[above], down[above], shape)
        weight = np.float32((depth - depths[below]) / (depths[above] - depths[below]))
        result[..., k] = _mixed(lower, upper, weight, fill)
    corner = row * (positions @ row).min() + column * (positions @ column).min() + normal * depths[0]
    new = np.eye(4)
    new[:3] = np.column_stack([row * size_x, column * size_y, normal * step, corner])
    return result, lps_to_ras(new), f"resampled to even slices {step:.3g} mm apart"


def _shifted(image: Voxels, across: float, down: float, shape: tuple[int, ...]) -> Voxels:
    """Put a slice at a fractional offset on the new grid; NaN where it does not reach."""
    image = _shifted_axis(image, across, shape[0], 0)
    return _shifted_axis(image, down, shape[1], 1)


def _shifted_axis(image: Voxels, offset: float, size: int, axis: int) -> Voxels:
    """Linear shift by `offset` voxels along one axis into `size` voxels; NaN outside."""
    image = np.moveaxis(image, axis, 0)
    whole = round(offset) if abs(offset - round(offset)) < 1e-6 else int(np.floor(offset))
    part = np.float32(offset - whole)
    result = np.full((size, *image.shape[1:]), np.nan, dtype=np.float32)
    if abs(part) < 1e-6:
        result[whole : whole + len(image)] = image
    else:
        result[whole + 1 : whole + len(image)] = image[1:] * (1 - part) + image[:-1] * part
    return np.moveaxis(result, 0, axis)


def _mixed(lower: Voxels, upper: Voxels, weight: np.float32, fill: float) -> Voxels:
    """(1 - weight) lower + weight upper; where one slice does not reach, nothing is known."""
    if weight < 1e-6 or weight > 1 - 1e-6:
        mixed = lower if weight < 0.5 else upper
    else:
        mixed = lower * (1 - weight) + upper * weight
    return np.where(np.isnan(mixed), np.float32(fill), mixed)
