"""NIfTI-1 and -2, plain or gzipped: sizes are checked before anything is allocated."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from medudl.data.fault import unusable
from medudl.data.image_header import (
    MARK,
    ImageHeader,
    cannot_read,
    checked_affine,
    checked_shape,
    checked_size,
    checked_voxels,
    size_of,
)
from medudl.data.volume import Volume

_HEADER_BYTES = 540  # NIfTI-2; NIfTI-1 has 348


def check_nifti(path: str | Path) -> ImageHeader:
    """Shape and affine from the header alone.

    The affine is the s-form, else the q-form, else the voxel sizes (nibabel's rule). Raises UserError: no NIfTI,
    truncated, a claim that cannot be true, 4-D, colour or complex voxels, a single voxel, no place in space.
    """
    return _checked(Path(path))[0]


def read_nifti(path: str | Path) -> Volume:
    """Read one volume: value = scl_slope * stored + scl_inter. Raises UserError as `check_nifti`, and for NaN."""
    path = Path(path)
    header, raw = _checked(path)
    kind, offset = raw.get_data_dtype(), int(raw.get_data_offset())
    data = _bytes(path, offset + int(np.prod(header.shape)) * kind.itemsize)
    voxels = np.frombuffer(data, kind, offset=offset).reshape(header.shape, order="F")
    slope, intercept = raw.get_slope_inter()
    if slope is not None and (slope, intercept) != (1.0, 0.0):
        voxels = voxels * np.float64(slope) + np.float64(intercept)
    with np.errstate(over="ignore"):  # beyond float32 it is infinite, which is told
        values = voxels.astype(np.float32)
    return Volume(checked_voxels(path, values), header.affine)


def _checked(path: Path) -> tuple[ImageHeader, Any]:
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    size = size_of(path)
    start = _bytes(path, _HEADER_BYTES, at_least=348)
    kinds = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
    sizes = (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    wanted = next((length for length in kinds if length in sizes), 0)
    if not wanted or len(start) < wanted:
        raise unusable(path, "not a NIfTI file, or a broken one", "export it again")
    raw = kinds[wanted](start[:wanted], check=False)
    if bytes(raw["magic"])[:2] != b"n+":
        raise unusable(path, "its voxels lie in a second file (.hdr and .img)", "convert it to a single .nii.gz")
    try:
        shape = checked_shape(path, tuple(int(n) for n in raw.get_data_shape()))
        kind = raw.get_data_dtype()
        raw.get_slope_inter()
        affine = checked_affine(path, raw.get_best_affine())
    except (HeaderDataError, ValueError, TypeError, KeyError) as error:
        raise unusable(path, f"its header makes no sense ({type(error).__name__})", "export it again") from None
    if kind.fields is not None:
        raise unusable(path, "a colour image: its voxels have no single grey value", "leave it out")
    if kind.kind not in "iuf":
        raise unusable(path, f"voxels of type {kind} are not supported", "store the magnitude")
    offset = int(raw.get_data_offset())
    if not 0 <= offset < 2**31:
        raise unusable(path, "its header makes no sense (offset)", "export it again")
    needed = offset + shape[0] * shape[1] * shape[2] * kind.itemsize
    checked_size(path, needed, deflated=_gzipped(path), present=size)
    ours = bytes(raw["descrip"].tobytes()).startswith(MARK.encode())
    return ImageHeader(path, shape, affine, kind.newbyteorder("=").name, model_output=ours), raw


def _gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _bytes(path: Path, count: int, at_least: int | None = None) -> bytes:
    """The first `count` bytes of the content. Raises UserError if there are fewer (than `at_least`)."""
    try:
        with gzip.open(path) if _gzipped(path) else path.open("rb") as file:
            data: bytes = file.read(count)
            if at_least is None:
                file.read(1)  # so that a compressed stream is checked to its end
    except EOFError:
        raise unusable(path, "truncated: its compressed data ends early", "copy it again") from None
    except (zlib.error, gzip.BadGzipFile):
        raise unusable(path, "its compressed data is broken", "copy it again") from None
    except OSError as error:
        raise cannot_read(path, error) from None
    if len(data) < (count if at_least is None else at_least):
        raise unusable(path, f"truncated: it ends after {len(data):,} of {count:,} bytes", "copy it again")
    return data
