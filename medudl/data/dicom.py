"""DICOM files to one volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medudl.data.dicom_group import group_headers, stack_headers
from medudl.data.dicom_header import RTSTRUCT, SEG, DicomHeader, Frame
from medudl.data.dicom_parse import read_header
from medudl.data.dicom_pixels import read_frames
from medudl.data.fault import unusable
from medudl.data.geometry import Stack
from medudl.data.repair import resample_stack
from medudl.data.volume import Volume

__all__ = [
    "RTSTRUCT",
    "SEG",
    "DicomHeader",
    "Frame",
    "group_headers",
    "is_hounsfield",
    "read_dicom",
    "read_header",
    "stack_headers",
]
AIR = -1024.0


def read_dicom(files: Sequence[str | Path], *, repair: bool = False) -> Volume:
    """Read the files of one volume, in any order.

    The slices are ordered by position along their normal. Values are slope * stored + intercept of each frame; CT is
    in HU. Raises UserError that names what stands against stacking. `repair=True` resamples tilted, gapped and
    unevenly spaced stacks (linear, see `repair.resample_stack`) and says so in `Volume.repaired`; other faults stay
    errors. Voxels outside the field of view keep their padding value, as in SimpleITK; a resampled CT has air there,
    so that no tissue is mixed with it.
    """
    headers = [read_header(path) for path in files]
    if not headers:
        raise unusable("(no files)", "not a volume: no files", "name at least one")
    place = headers[0].path if len(headers) == 1 else headers[0].path.parent
    found = stack_headers(headers)
    if found.faults and not (repair and found.repairable):
        todo = "resample it on request (repair: true), or leave it out" if found.repairable else "leave it out"
        raise unusable(place, "; ".join(found.faults), todo)
    unit = "HU" if is_hounsfield(headers[0]) else "arbitrary"
    voxels = _stacked(headers, found)
    if not np.isfinite(voxels).all():
        raise unusable(place, "holds voxels that are no number (NaN or infinite)")
    if not found.faults:
        return Volume(voxels, found.affine, unit)
    frames = [frame for header in headers for frame in header.frame_list]
    places = np.array([frames[i].position for i in found.order])
    fill = AIR if unit == "HU" else float(voxels.min())
    if unit == "HU" and any(header.padding is not None for header in headers):
        voxels = np.maximum(voxels, AIR)
    voxels, affine, done = resample_stack(voxels, places, found.affine, fill=fill)
    return Volume(voxels, affine, unit, f"{done} ({'; '.join(found.faults)})")


def is_hounsfield(header: DicomHeader) -> bool:
    """CT whose rescaled values are Hounsfield units; MR never is."""
    return header.modality == "CT" and header.rescale_type in ("", "HU") and "LOCALIZER" not in header.image_type


def _stacked(headers: Sequence[DicomHeader], found: Stack) -> NDArray[np.float32]:
    """(X, Y, Z): columns, rows, slices in stack order."""
    place_of = {frame: place for place, frame in enumerate(found.order)}
    slices = np.empty((len(place_of), headers[0].rows, headers[0].columns), dtype=np.float32)
    first = 0
    for header in headers:
        for offset, frame in enumerate(read_frames(header)):
            slices[place_of[first + offset]] = frame
        first += header.frames
    return slices.T
