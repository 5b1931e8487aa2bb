"""NRRD and MetaImage (MHA, MHD), through SimpleITK, after a look at what the text header claims."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medudl.data.fault import unusable
from medudl.data.geometry import lps_to_ras
from medudl.data.image_header import (
    ImageHeader,
    cannot_read,
    checked_affine,
    checked_shape,
    checked_size,
    checked_voxels,
    size_of,
)
from medudl.data.volume import Volume

_HEADER_BYTES = 65_536
_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 8, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}
_NRRD_BYTES = {"8": 1, "char": 1, "16": 2, "short": 2, "32": 4, "int": 4, "64": 8, "long": 8, "float": 4, "double": 8}


def check_itk(path: str | Path) -> ImageHeader:
    """Shape and affine of a NRRD or MetaImage file.

    Raises UserError: another kind of file, truncated, a claim that cannot be true, voxels in a file elsewhere, colour.
    """
    import SimpleITK

    path = Path(path)
    _check_claims(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(_io(path))
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise unusable(path, "its header cannot be read", "export it again") from None
    if reader.GetNumberOfComponents() > 1:
        raise unusable(path, "several values a voxel (colour or vectors)", "leave it out")
    affine = _affine(reader.GetDimension(), reader.GetDirection(), reader.GetSpacing(), reader.GetOrigin())
    shape = checked_shape(path, tuple(reader.GetSize()))
    kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    return ImageHeader(path, shape, checked_affine(path, affine), kind)


def read_itk(path: str | Path) -> Volume:
    """Read one NRRD or MetaImage volume. Raises UserError as `check_itk`, and for NaN."""
    import SimpleITK

    header = check_itk(path)
    try:
        image = SimpleITK.ReadImage(str(header.path), imageIO=_io(header.path))
    except RuntimeError:
        raise unusable(header.path, "broken or truncated: its voxels cannot be read", "copy it again") from None
    voxels = SimpleITK.GetArrayViewFromImage(image).T.reshape(header.shape).astype(np.float32)
    return Volume(checked_voxels(header.path, voxels), header.affine)


def _io(path: Path) -> str:
    return "NrrdImageIO" if path.suffix.lower() in (".nrrd", ".nhdr") else "MetaImageIO"


def _affine(dimension: int, direction: object, spacing: object, origin: object) -> NDArray[np.float64]:
    affine = np.eye(4)
    cosines = np.asarray(direction, dtype=np.float64).reshape(dimension, dimension)
    n = min(dimension, 3)
    affine[:n, :n] = (cosines * np.asarray(spacing, dtype=np.float64))[:n, :n]
    affine[:n, 3] = np.asarray(origin, dtype=np.float64)[:n]
    return lps_to_ras(affine)


def _check_claims(path: Path) -> None:
    """Sizes in the text header against the bytes that are there."""
    size_of(path)
    try:
        with path.open("rb") as file:
            text = file.read(_HEADER_BYTES).decode("latin-1")
    except OSError as error:
        raise cannot_read(path, error) from None
    nrrd = text.startswith("NRRD")
    if not nrrd and not re.search(r"^\s*(ObjectType|NDims|DimSize)\s*=", text, re.MULTILINE):
        raise unusable(path, "not a NRRD or MetaImage file", "export it again")
    sizes, bytes_each, packed, data_file = _nrrd(text) if nrrd else _meta(text)
    if not sizes or not bytes_each:
        raise unusable(path, "its header names no size or number type", "export it again")
    checked_shape(path, sizes)
    data = path if not data_file else path.parent / data_file
    # A header that points elsewhere could have any file of this machine read as voxels.
    if data_file and (Path(data_file).name != data_file or not data.is_file()):
        raise unusable(path, "its voxels lie in a file that is not beside it", "put both into one folder")
    needed = bytes_each
    for size in sizes:
        needed *= size
    checked_size(path, needed, deflated=packed, present=size_of(data))


def _nrrd(text: str) -> tuple[tuple[int, ...], int, bool, str]:
    text = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    fields = dict(re.findall(r"^([a-z ]+):=?\s*(.*?)\s*$", text, re.MULTILINE))
    kind = fields.get("type", "").removeprefix("signed ").removeprefix("unsigned ")
    each = next((n for name, n in _NRRD_BYTES.items() if re.search(rf"\b(u?int)?{name}(_t)?\b", kind)), 0)
    packed = fields.get("encoding", "raw") not in ("raw", "txt", "text", "ascii", "hex")
    return _integers(fields.get("sizes", "")), each, packed, fields.get("data file") or fields.get("datafile", "")


def _meta(text: str) -> tuple[tuple[int, ...], int, bool, str]:
    fields = dict(re.findall(r"^\s*(\w+)\s*=\s*(.*?)\s*$", text, re.MULTILINE))
    kind = fields.get("ElementType", "").removeprefix("MET_").removeprefix("U").removesuffix("_ARRAY")
    data_file = fields.get("ElementDataFile", "")
    packed = fields.get("CompressedData", "False").lower() == "true"
    return _integers(fields.get("DimSize", "")), _META_BYTES.get(kind, 0), packed, data_file.replace("LOCAL", "", 1)


def _integers(text: str) -> tuple[int, ...]:
    parts = text.split()
    return tuple(int(part) for part in parts) if parts and all(part.isdecimal() for part in parts) else ()
