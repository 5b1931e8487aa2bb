"""Lesion masks on the grid of a scan: label images, DICOM segmentations, RT structure sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medudl.data.dicom_header import LABEL_MAP, RTSTRUCT, SEG, DicomHeader
from medudl.data.dicom_parse import read_header
from medudl.data.dicom_pixels import read_frames
from medudl.data.dicom_rtstruct import rasterise, read_structures
from medudl.data.fault import unusable
from medudl.data.geometry import lps_to_ras
from medudl.data.read import read_volume
from medudl.data.volume import Volume
from medudl.errors import UserError

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]
_FORMATS = {
    ".nii": "nifti", ".gz": "nifti", ".nrrd": "nrrd", ".nhdr": "nrrd", ".mha": "mha", ".mhd": "mha",
    ".png": "png", ".jpg": "png", ".jpeg": "png",
}  # fmt: skip


def read_mask(path: str | Path, *, shape: tuple[int, ...], affine: Array) -> Mask:
    """Read a mask onto a grid of (X, Y, Z) `shape` and RAS `affine`: True in a lesion.

    path: a label image (every value above 0 counts) or a folder of DICOM slices of one, a DICOM segmentation (all
    segments; fractions from one half), or an RT structure set (see `read_structures`). On another grid the nearest
    voxel decides. Raises UserError: not readable, or it does not touch the scan at all.
    """
    path = Path(path)
    shape = (shape[0], shape[1], shape[2])
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        return _resampled(path, read_volume(files, "dicom"), shape, affine)
    if path.suffix.lower() in _FORMATS:
        return _resampled(path, read_volume([path], _FORMATS[path.suffix.lower()]), shape, affine)
    header = read_header(path)
    if header.sop_class == RTSTRUCT:
        return rasterise(path, read_structures(path), shape, affine)
    if header.sop_class in (SEG, LABEL_MAP):
        return _segmentation(header, shape, affine)
    return _resampled(path, read_volume([path], "dicom"), shape, affine)


def same_grid(shape: tuple[int, ...], affine: Array, other_shape: tuple[int, ...], other_affine: Array) -> bool:
    """Equal sizes, and no corner further away than a tenth of a voxel."""
    if tuple(shape) != tuple(other_shape):
        return False
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])])
    apart = np.linalg.norm((corners @ (affine - other_affine).T)[:, :3], axis=1).max()
    return bool(apart <= 0.1 * np.linalg.norm(affine[:3, :3], axis=0).min())


def _resampled(path: Path, volume: Volume, shape: tuple[int, int, int], affine: Array) -> Mask:
    labels = volume.voxels > 0
    if same_grid(volume.voxels.shape, volume.affine, shape, affine):
        return labels
    to_labels = np.linalg.inv(volume.affine) @ affine
    mask = np.zeros(shape, dtype=bool)
    touched = False
    for k in range(shape[2]):
        place = np.rint(_slice_places(to_labels, shape, k)).astype(np.int64)
        inside = ((place >= 0) & (place < np.array(labels.shape).reshape(3, 1, 1))).all(axis=0)
        touched = touched or bool(inside.any())
        mask[..., k][inside] = labels[tuple(place[:, inside])]
    if not touched:
        raise _elsewhere(path)
    return mask


def _slice_places(matrix: Array, shape: tuple[int, int, int], k: int) -> Array:
    """(3, X, Y): where the voxels of slice k lie in another grid, in its voxels."""
    i, j = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    m = matrix[:3]
    return m[:, 0, None, None] * i + m[:, 1, None, None] * j + (m[:, 2] * k + m[:, 3])[:, None, None]


def _segmentation(header: DicomHeader, shape: tuple[int, int, int], affine: Array) -> Mask:
    """Each frame is a slab of its own: segmentations often store only the slices that hold something."""
    threshold = header.max_fraction / 2 if header.segmentation_type == "FRACTIONAL" else 0.5
    mask = np.zeros(shape, dtype=bool)
    touched = False
    for frame, slab in zip(read_frames(header), _slabs(header, affine), strict=True):
        to_frame = np.linalg.inv(slab) @ affine
        for k in _slices_within(to_frame, shape):
            place = _slice_places(to_frame, shape, k)
            column, row = np.rint(place[0]).astype(np.int64), np.rint(place[1]).astype(np.int64)
            inside = (np.abs(place[2]) <= 0.5) & (column >= 0) & (column < header.columns)
            inside &= (row >= 0) & (row < header.rows)
            touched = touched or bool(inside.any())
            mask[..., k][inside] |= frame[row[inside], column[inside]] >= threshold
    if not touched:
        raise _elsewhere(header.path)
    return mask


def _slabs(header: DicomHeader, affine: Array) -> list[Array]:
    """The RAS affine of every frame, its third axis as long as the frame is thick."""
    frames = header.frame_list
    if any(not f.position or not f.orientation or f.pixel_spacing is None for f in frames):
        raise unusable(header.path, "a segmentation whose frames have no place")
    row, column = np.array(frames[0].orientation[:3]), np.array(frames[0].orientation[3:])
    depths = np.unique(np.round(np.array([f.position for f in frames]) @ np.cross(row, column), 3))
    steps = [float(step) for step in np.diff(depths) if step > 1e-2]
    # Frames that hold nothing may be left out: the nearest two are one step apart at most if their thickness agrees.
    thick = min([*steps, *([header.thickness] if header.thickness else [])], default=_step(affine))
    slabs = []
    for frame in frames:
        row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
        down, across = frame.pixel_spacing or (1.0, 1.0)
        lps = np.eye(4)
        lps[:3] = np.column_stack([row * across, column * down, np.cross(row, column) * thick, frame.position])
        slabs.append(lps_to_ras(lps))
    return slabs


def _step(affine: Array) -> float:
    return float(np.linalg.norm(affine[:3, 2]))


def _slices_within(to_frame: Array, shape: tuple[int, int, int]) -> list[int]:
    """Slices of the grid that come within half a thickness of a frame."""
    corners = np.array([[i, j] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1)])
    flat = corners @ to_frame[2, :2] + to_frame[2, 3]
    depth = flat[None, :] + to_frame[2, 2] * np.arange(shape[2])[:, None]
    return [int(k) for k in np.flatnonzero((depth.min(axis=1) <= 0.5) & (depth.max(axis=1) >= -0.5))]


def _elsewhere(path: Path) -> UserError:
    return unusable(path, "a mask that lies outside its scan", "name the mask that was drawn on this scan")
