"""What a file claims to hold, checked before anything of that size is allocated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medudl.data.fault import unusable
from medudl.data.geometry import orientation, spacing
from medudl.errors import UserError

MARK = "medudl model output: "  # what the NIfTI description of every volume that a model made begins with
MAX_VOXELS = 2**30  # 4 GB as float32
DEFLATE_RATIO = 1032  # no deflated stream grows by more (zlib's technical details)


@dataclass(frozen=True)
class ImageHeader:
    """Size and place of one image file. shape: (X, Y, Z); affine: (4, 4) RAS; kind: the numbers' type as stored.

    model_output: whether it says that a model of ours made it.
    """

    path: Path
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    kind: str
    model_output: bool = False

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along X, Y, Z."""
        return spacing(self.affine)

    @property
    def orientation(self) -> str:
        """Axes' directions such as "RAS"."""
        return orientation(self.affine)


def checked_shape(path: Path, sizes: tuple[int, ...], what: str = "it") -> tuple[int, int, int]:
    """(X, Y, Z) of a claimed shape of any dimension. Raises UserError: no image, a series of volumes, too large."""
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes = sizes[:-1]
    if len(sizes) < 2 or min(sizes) < 1:
        raise unusable(path, f"not an image: {what} claims a size of {_times(sizes)} voxels")
    if len(sizes) > 3:
        raise unusable(
            path, f"{len(sizes)}-D ({_times(sizes)}): several volumes in one file", "split it into single volumes"
        )
    count = 1
    for size in sizes:
        count *= int(size)
    if count > MAX_VOXELS:
        raise unusable(path, f"claims {count:,} voxels, more than can be read ({MAX_VOXELS:,})")
    if count == 1:
        raise unusable(path, "a single voxel is no image", "leave it out")
    x, y, z = (*(int(size) for size in sizes), 1)[:3]
    return x, y, z


def checked_size(path: Path, needed: int, *, deflated: bool, present: int | None = None) -> None:
    """Compare the bytes that the voxels need with those of the file. Raises UserError: truncated, or impossible."""
    there = path.stat().st_size if present is None else present
    if not deflated and there < needed:
        raise unusable(path, f"truncated: {there:,} of {needed:,} bytes are there", "copy it again")
    if deflated and there * DEFLATE_RATIO < needed:
        raise unusable(path, f"truncated, or a bomb: {there:,} bytes claim to hold {needed:,}", "copy it again")


def checked_affine(path: Path, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine, if voxels have a place by it. Raises UserError: not finite, or flat."""
    matrix = np.asarray(affine, dtype=np.float64)
    lengths = np.linalg.norm(matrix[:3, :3], axis=0) if np.isfinite(matrix).all() else np.zeros(3)
    if lengths.min() <= 1e-9 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-3:
        raise unusable(path, "its affine gives the voxels no place in space", "mend its header")
    return matrix


def checked_voxels(path: Path, voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The voxels, if all are numbers."""
    bad = voxels.size - int(np.isfinite(voxels).sum())
    if bad:
        raise unusable(path, f"{bad:,} voxels are no number (NaN or infinite)", "replace them, or leave the file out")
    return voxels


def size_of(path: Path) -> int:
    """Bytes of a regular file. Raises UserError if there is none."""
    try:
        if not path.is_file():
            raise unusable(path, "not a file", "check its name")
        size = path.stat().st_size
    except OSError as error:
        raise cannot_read(path, error) from None
    if size == 0:
        raise unusable(path, "an empty file", "copy it again, or leave it out")
    return size


def cannot_read(path: Path, error: OSError) -> UserError:
    """UserError for a file that the system does not give."""
    return unusable(path, f"cannot be read ({error.strerror})", "check the file and its permissions")


def _times(sizes: tuple[int, ...]) -> str:
    return "x".join(str(int(size)) for size in sizes) or "no"
