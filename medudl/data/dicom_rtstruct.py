"""RT structure sets: outlines drawn on slices, filled to a mask."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.data.dicom_header import opened
from medudl.data.dicom_scan import ScanError, scan
from medudl.data.fault import unusable
from medudl.data.geometry import lps_to_ras

Array = NDArray[np.float64]
_ROIS, _ROI_NUMBER, _ROI_NAME = 0x30060020, 0x30060022, 0x30060026
_CONTOURED, _CONTOURS, _KIND, _POINTS = 0x30060039, 0x30060040, 0x30060042, 0x30060050
_OBSERVED, _TYPE, _REFERENCED = 0x30060080, 0x300600A4, 0x30060084
_WANTED: Mapping[int, Any] = {
    _ROIS: {_ROI_NUMBER: None, _ROI_NAME: None},
    _CONTOURED: {_CONTOURS: {_KIND: None, _POINTS: None}, _REFERENCED: None},
    _OBSERVED: {_REFERENCED: None, _TYPE: None},
}
# Outlines of the patient, of healthy organs and of the machine are no lesions.
_NO_LESION_TYPES = {
    "EXTERNAL", "ORGAN", "AVOIDANCE", "SUPPORT", "FIXATION", "BOLUS", "ISOCENTER", "MARKER", "REGISTRATION",
    "CAVITY", "DOSE_REGION", "CONTROL", "DOSE_MEASUREMENT", "BRACHY_CHANNEL", "BRACHY_ACCESSORY",
}  # fmt: skip
_NO_LESION_NAMES = re.compile(r"(?i)^(body|external|skin|couch.*|outer contour|patient)$")


@dataclass(frozen=True)
class Structure:
    """One outlined region. outlines: (N, 3) points of closed planar contours, LPS mm."""

    name: str
    type: str
    outlines: tuple[Array, ...]


def read_structures(path: str | Path) -> list[Structure]:
    """The regions of a structure set that can be lesions.

    If any is a gross tumour volume (type GTV, or a name that starts so), those; else all that are not the patient's
    outline, an organ or a part of the machine. Raises UserError: broken, or no such region.
    """
    path = Path(path)
    with opened(path) as buffer:
        try:
            values = scan(buffer, _WANTED).values
        except ScanError as error:
            raise unusable(path, str(error), "copy it again, or leave it out") from None
    names = {item.get(_ROI_NUMBER): _text(item.get(_ROI_NAME)) for item in values.get(_ROIS, [])}
    types = {item.get(_REFERENCED): _text(item.get(_TYPE)).upper() for item in values.get(_OBSERVED, [])}
    found = []
    for item in values.get(_CONTOURED, []):
        number = item.get(_REFERENCED)
        outlines = tuple(_outlines(path, item.get(_CONTOURS, [])))
        if outlines:
            found.append(Structure(names.get(number, ""), types.get(number, ""), outlines))
    tumours = [s for s in found if s.type == "GTV" or s.name.upper().startswith("GTV")]
    lesions = tumours or [s for s in found if s.type not in _NO_LESION_TYPES and not _NO_LESION_NAMES.match(s.name)]
    if not lesions:
        raise unusable(path, "a structure set without an outlined lesion")
    return lesions


def rasterise(
    path: Path, structures: Sequence[Structure], shape: tuple[int, int, int], affine: Array
) -> NDArray[np.bool_]:
    """Fill outlines on the grid (X, Y, Z) of `shape` and RAS `affine`: a voxel belongs if its centre does.

    Even-odd rule within a region and slice, so that an outline inside another is a hole; regions are joined. A slice
    takes the outlines that lie nearest to it, at most half their own distance away. Raises UserError: outlines that
    do not run within slices of this grid, or lie outside it.
    """
    to_voxels = np.linalg.inv(lps_to_ras(affine))
    mask = np.zeros(shape, dtype=bool)
    for structure in structures:
        flat = [points @ to_voxels[:3, :3].T + to_voxels[:3, 3] for points in structure.outlines]
        if any(np.ptp(points[:, 2]) > 0.5 for points in flat):
            raise unusable(path, "its outlines do not lie in slices of this scan", "name the scan it was drawn on")
        planes = np.array([points[:, 2].mean() for points in flat])
        levels = np.unique(np.round(planes, 2))
        reach = max(0.5, float(np.diff(levels).min()) / 2) if len(levels) > 1 else 0.5
        for k in range(shape[2]):
            level = levels[np.argmin(np.abs(levels - k))]
            if abs(level - k) <= reach + 1e-3:
                near = [points[:, :2] for points, plane in zip(flat, planes, strict=True) if abs(plane - level) < 0.05]
                mask[..., k] |= even_odd(near, shape[:2])
    if not mask.any():
        raise unusable(path, "a mask that lies outside its scan", "name the mask that was drawn on this scan")
    return mask


def even_odd(outlines: Sequence[Array], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels (X, Y) whose centres an odd number of closed outlines (N, 2) surrounds.

    Each edge that crosses a pixel row toggles all pixels to its right: summed over edges, that is the even-odd rule.
    """
    toggles = np.zeros((shape[0] + 1, shape[1]), dtype=bool)
    for points in outlines:
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            low, high = sorted((y0, y1))
            rows = np.arange(max(0, int(np.ceil(low))), min(shape[1], int(np.ceil(high))))
            if len(rows):
                crossing = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
                columns = np.clip(np.ceil(crossing), 0, shape[0]).astype(np.int64)
                toggles[columns, rows] ^= True
    return np.asarray(np.logical_xor.accumulate(toggles, axis=0)[:-1])


def _outlines(path: Path, contours: Sequence[Mapping[int, Any]]) -> list[Array]:
    found = []
    for contour in contours:
        if not _text(contour.get(_KIND)).startswith("CLOSED"):
            continue
        try:
            numbers = np.array([float(part) for part in _text(contour.get(_POINTS)).split("\\")])
        except ValueError:
            raise unusable(path, "broken: an outline holds something that is no number") from None
        if len(numbers) % 3 or not np.isfinite(numbers).all():
            raise unusable(path, "broken: an outline's points are not three numbers each")
        if len(numbers) >= 9:
            found.append(numbers.reshape(-1, 3))
    return found


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("latin-1").strip("\0 ")
