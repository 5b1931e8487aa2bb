"""Any supported file to a Volume, and the look at its header that comes first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from medudl.data.dicom import read_dicom, read_header, stack_headers
from medudl.data.fault import unusable
from medudl.data.image_header import ImageHeader
from medudl.data.images import check_picture, read_picture
from medudl.data.itk import check_itk, read_itk
from medudl.data.nifti import check_nifti, read_nifti
from medudl.data.npz import npz_items, read_npz
from medudl.data.volume import Volume
from medudl.errors import UserError

_Entry = TypeVar("_Entry")
FORMATS = ("dicom", "nifti", "nrrd", "mha", "png", "npz")
_CHECKS = {"nifti": check_nifti, "nrrd": check_itk, "mha": check_itk, "png": check_picture}
_READERS = {"nifti": read_nifti, "nrrd": read_itk, "mha": read_itk, "png": read_picture}


def read_volume(files: Sequence[str | Path], format: str, *, fragment: str = "", repair: bool = False) -> Volume:
    """Read one scan.

    files: all files of a DICOM series in any order, or the one file of another format. fragment: which image of an
    .npz, "<split>/<number>". repair: resample tilted or uneven DICOM stacks instead of refusing them.
    Raises UserError: anything that stands against reading it, in one line. Files nobody has looked at yet are to be
    read inside `guard`.
    """
    if format == "dicom":
        return read_dicom(files, repair=repair)
    if len(files) != 1:
        raise UserError(f"{len(files)} files for one {format} scan; name exactly one")
    if format == "npz":
        return read_npz(files[0], fragment)
    return _of(_READERS, format)(files[0])


def check_header(path: str | Path, format: str) -> ImageHeader:
    """Shape and place of one file without its voxels; what it claims is checked against what it can hold.

    For DICOM a single file; for .npz its first image. Raises UserError: anything that stands against reading it.
    """
    path = Path(path)
    if format == "dicom":
        header = read_header(path)
        found = stack_headers([header])
        if found.faults:
            raise unusable(path, "; ".join(found.faults), "leave it out")
        kind = f"{'int' if header.signed else 'uint'}{header.bits_allocated}"
        return ImageHeader(path, (header.columns, header.rows, header.frames), found.affine, kind)
    if format == "npz":
        first = npz_items(path)[0]
        volume = read_npz(path, first.fragment)
        return ImageHeader(path, first.shape, volume.affine, "")
    return _of(_CHECKS, format)(path)


def _of(table: dict[str, _Entry], format: str) -> _Entry:
    if format not in table:
        raise UserError(f"format {format!r} is unknown; known: {', '.join(FORMATS)}")
    return table[format]
