"""Where the slices of a synthetic volume lie, and which images of its source each of them comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medudl.data.dicom_group import stack_headers
from medudl.data.dicom_header import DicomHeader
from medudl.data.fault import unusable
from medudl.data.geometry import Stack, lps_to_ras, stack

Array = NDArray[np.float64]
_SAME_MM = 1e-3
# Cosines and pixel sizes of a resampled stack against its source's: resampling squares rows and columns.
_PARALLEL = 0.02


@dataclass(frozen=True)
class Place:
    """Slices in DICOM's own terms, LPS mm.

    positions: (Z, 3), centre of each slice's first pixel. orientation: (6,), cosines of a row, then of a column.
    pixels: mm between rows, mm between columns. step: mm between slices, None for a single one. thickness: mm, None
    where unknown. origins: for each slice the source images it comes from, as (file, frame) counted from 0.
    resampled: the source's own grid was not the volume's, so that a slice may lie between two images.
    """

    positions: Array
    orientation: Array
    pixels: tuple[float, float]
    step: float | None
    thickness: float | None
    origins: tuple[tuple[tuple[int, int], ...], ...]
    resampled: bool = False


def place_of(headers: Sequence[DicomHeader], shape: tuple[int, ...], affine: Array) -> Place:
    """Place of a volume of `shape` (X, Y, Z) that was made from the images of `headers`.

    On the source's own grid every slice has its image's own position. A volume that was resampled along the slices
    (`repair`) is placed by `affine` (voxel -> RAS mm), and a slice comes from the one or two images nearest to it.
    Raises UserError: the source is no volume, or `affine` puts the volume elsewhere.
    """
    if not headers:
        raise unusable("(no files)", "not a volume: no files", "name at least one")
    where = headers[0].path if len(headers) == 1 else headers[0].path.parent
    found = stack_headers(headers)
    frames = [frame for header in headers for frame in header.frame_list]
    if any(not (frame.position and frame.orientation and frame.pixel_spacing) for frame in frames):
        raise unusable(where, "has no place in the patient (a projection image?)", "write NIfTI files of it instead")
    if found.faults and not found.repairable:
        raise unusable(where, "; ".join(found.faults), "leave it out")
    places = np.array([frames[i].position for i in found.order])
    images = [(file, frame) for file, header in enumerate(headers) for frame in range(header.frames)]
    sources = [images[i] for i in found.order]
    own = (headers[0].columns, headers[0].rows, len(sources))
    if not found.faults and tuple(shape) == own and _apart(found.affine, affine, own) <= _SAME_MM:
        return _placed(found.affine, places, headers[0].thickness, tuple((one,) for one in sources))
    fault = _elsewhere(found, places, shape, affine)
    if fault:
        raise unusable(where, f"the synthetic volume {fault}", "bring it onto the source's grid first")
    lps = lps_to_ras(affine)
    positions = lps[:3, 3] + np.arange(shape[2])[:, None] * lps[:3, 2]
    near = _nearest(places, positions, lps)
    origins = tuple(tuple(sources[i] for i in between) for between in near)
    return _placed(affine, positions, headers[0].thickness, origins, resampled=True)


def _placed(
    affine: Array, positions: Array, thickness: float | None, origins: tuple[tuple[tuple[int, int], ...], ...],
    *, resampled: bool = False,
) -> Place:  # fmt: skip
    lps = lps_to_ras(affine)[:3]
    width, height, step = (float(np.linalg.norm(lps[:, axis])) for axis in range(3))
    orientation = np.concatenate([lps[:, 0] / width, lps[:, 1] / height])
    return Place(positions, orientation, (height, width), step if len(positions) > 1 else None, thickness, origins,
                 resampled)  # fmt: skip


def _apart(one: Array, other: Array, shape: tuple[int, ...]) -> float:
    """Largest distance in mm between the corners of a volume under two affines."""
    ends = np.array(np.meshgrid(*[(0, size - 1) for size in shape])).reshape(3, -1)
    corners = np.vstack([ends, np.ones(ends.shape[1])])
    return float(np.linalg.norm(((one - other) @ corners)[:3], axis=0).max())


def _elsewhere(found: Stack, places: Array, shape: tuple[int, ...], affine: Array) -> str:
    """Why a volume is no resampling of its source along the slices; empty if it may be."""
    if np.abs(_in_plane(found.affine) - _in_plane(affine)).max() > _PARALLEL:
        return "has other rows, columns or pixel sizes than its source"
    first = lps_to_ras(affine)
    indices = (np.linalg.inv(first) @ np.vstack([places.T, np.ones(len(places))]))[:3]
    # The slices of the source begin inside the volume, half a voxel given or taken.
    if (indices < -0.5).any() or (indices.max(axis=1) > np.array(shape) - 0.5).any():
        return "does not lie where its source lies"
    positions = first[:3, 3] + np.arange(shape[2])[:, None] * first[:3, 2]
    place = _placed(affine, positions, None, ())
    planned = stack(positions, np.tile(place.orientation, (shape[2], 1)), np.tile(place.pixels, (shape[2], 1)))
    return "; ".join(planned.faults)


def _in_plane(affine: Array) -> Array:
    size = np.linalg.norm(affine[:3, :2], axis=0)
    return np.vstack([affine[:3, :2] / size, np.log(size)])


def _nearest(places: Array, positions: Array, lps: Array) -> list[tuple[int, ...]]:
    """For each position the source slice at its depth, or the two it lies between."""
    normal = np.cross(lps[:3, 0], lps[:3, 1])
    normal /= np.linalg.norm(normal)
    depths = places @ normal
    near = []
    for depth in positions @ normal:
        above = int(np.searchsorted(depths, depth - _SAME_MM).clip(1, len(depths) - 1))
        distances = np.abs(depths[[above - 1, above]] - depth)
        same = [int(i) for i in np.flatnonzero(distances <= 2 * _SAME_MM)]
        near.append(tuple(above - 1 + i for i in same or (0, 1)))
    return near
