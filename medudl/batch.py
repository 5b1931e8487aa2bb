"""The currency between data, methods and training.

Legend, here and everywhere: B batch, C channel, *S = H, W (2-D) or D, H, W (3-D), Z latent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from torch import Tensor


class Batch(TypedDict, total=False):
    """What a loader yields and a method's `step` reads. Only `image` is always there."""

    image: Tensor  # (B, C, *S) float32, nominally in [0, 1]; brighter voxels may exceed 1
    target: Tensor  # (B, C', *S) the other domain of a translation, paired or not
    label: Tensor  # (B,) int64, -1 = none
    condition: Tensor  # (B, K) float32, what data.condition tells a conditional generator; absent where it is empty
    mask: Tensor  # (B, 1, *S) bool, lesion
    foreground: Tensor  # (B, 1, *S) bool, head, body or brain; absent where every voxel of every image is of it
    id: list[str]  # pseudonymous name of each item, "<case>/<slice>"


def to_device(batch: Batch, device: object) -> Batch:
    """The loader's batch with every tensor on `device` (copied without waiting where memory is pinned)."""
    if getattr(device, "type", device) == "cpu":  # where the loader made it
        return batch
    moved = {k: v.to(device, non_blocking=True) if hasattr(v, "to") else v for k, v in batch.items()}
    return moved  # type: ignore[return-value]
