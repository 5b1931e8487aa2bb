"""Images of any size through networks that halve."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last voxels until each side of (B, C, *S) is a multiple; no copy where it already is."""
    missing = [-side % multiple for side in x.shape[2:]]
    if not any(missing):
        return x
    # F.pad counts sides from the last one: (left, right) of W, then of H, then of D.
    widths = [w for side in reversed(missing) for w in (side // 2, side - side // 2)]
    return F.pad(x, widths, mode="replicate")


def crop_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """Undo `pad_to_multiple`: the middle `size` of (B, C, *S)."""
    for axis, side in enumerate(size, start=2):
        x = x.narrow(axis, (x.shape[axis] - side) // 2, side)
    return x
