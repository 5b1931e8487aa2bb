"""What a worker is told and what it answers. Nothing heavy is imported here: the server starts with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from medudl.errors import UserError

NAME = "this scan"  # what a guard calls an item in its errors: no path of a patient's file leaves the server
_BYTES = {"uint8": 1, "int16": 2, "uint16": 2, "float32": 4}
Job = tuple[str, "Order"]  # the name comes first, for the guard's errors


@dataclass(frozen=True)
class Order:
    """What a worker is to decode.

    recipe: of `Source`; of a mask every value above 0 becomes 1. grid, grid_format: the scan that a DICOM segmentation
    or RT structure set was drawn on, or what a difference subtracts. target: an existing file that takes the voxels.
    limit: bytes that they may take.
    """

    files: tuple[Path, ...]
    format: str
    fragment: str = ""
    recipe: str = ""
    grid: tuple[Path, ...] = ()
    grid_format: str = ""
    target: str = ""
    limit: int = 0


@dataclass(frozen=True)
class Decoded:
    """What was decoded, besides the voxels themselves.

    shape: (X, Y, Z). dtype: uint8, int16, uint16 or float32. affine: voxel -> mm, RAS. unit: "HU" or "arbitrary".
    range: 1st and 99th percentile of what is not background. extent: lowest and highest value.
    """

    shape: tuple[int, int, int]
    dtype: str
    affine: list[list[float]]
    spacing: tuple[float, float, float]
    unit: str
    range: tuple[float, float]
    extent: tuple[float, float]
    repaired: str
    bytes: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bytes", math.prod(self.shape) * _BYTES[self.dtype])


def warm(job: tuple[str, None]) -> None:
    """Nothing: a worker that has answered has imported its readers."""
    import nibabel  # noqa: F401  (imported late by the NIfTI reader)

    import apps.viewer.decode  # noqa: F401


def measure(job: Job) -> int:
    """See `decode.measure`; its module is imported in the worker alone."""
    from apps.viewer import decode

    return decode.measure(job[1])


def decode(job: Job) -> Decoded:
    """See `decode.decode`."""
    from apps.viewer import decode

    return decode.decode(job[1])


def too_large(need: int, limit: int) -> UserError:
    """The sentence for a scan that does not fit into the viewer's memory."""
    return UserError(
        f"{NAME} takes {need / 2**30:.1f} GB, more than the viewer may hold ({limit / 2**30:.1f} GB); "
        f"start `medudl view` with --cache-gb {math.ceil(need / 2**30 * 1.25)}"
    )
