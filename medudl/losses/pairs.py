"""What the structure losses share: two images channel by channel, in float32, and the voxels that count."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST: dict[int, Callable[..., Tensor]] = {2: F.max_pool2d, 3: F.max_pool3d}

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]


def per_channel(measure: Measure, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """measure(x, y, weight) of each channel, averaged over channels: (B,).

    x: (B, C, *S), y: (B, C', *S); where C and C' differ, both are averaged over their channels first. mask: (B, 1, *S),
    1 where a voxel counts; None: everywhere. measure gets (B * C, 1, *S) thrice and returns (B * C,). Whatever the
    autocast it works in float32; float64 stays float64. ValueError for images of different sizes.
    """
    if x.ndim not in (4, 5) or (len(x), *x.shape[2:]) != (len(y), *y.shape[2:]):
        raise ValueError(f"two batches of images of one size are compared, not {tuple(x.shape)} and {tuple(y.shape)}")
    batch, kind = len(x), torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        x, y = x.to(kind), y.to(kind)
        if x.shape[1] != y.shape[1]:
            x, y = x.mean(dim=1, keepdim=True), y.mean(dim=1, keepdim=True)
        weight = torch.ones_like(x[:, :1]) if mask is None else mask.to(kind)
        x, y, weight = (part.flatten(0, 1).unsqueeze(1) for part in (x, y, weight.expand_as(x)))  # (B * C, 1, *S)
        return measure(x, y, weight).view(batch, -1).mean(dim=1)


def shrunk(weight: Tensor, radius: int) -> Tensor:
    """Least weight in a cube of 2 radius + 1 voxels a side: (N, 1, *S). The image's own border takes nothing away.

    What looks `radius` voxels far sees nothing outside the mask where this is above 0.
    """
    return -_LEAST[weight.ndim - 2](-weight, 2 * radius + 1, stride=1, padding=radius)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over the voxels that count: (N, 1, *S) -> (N,); 0 where none does."""
    return (values * weight).flatten(1).sum(dim=1) / weight.flatten(1).sum(dim=1).clamp(min=1e-8)
