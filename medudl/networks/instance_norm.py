"""Instance norm (Ulyanov et al. 2016)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.errors import UserError
from medudl.networks import blocks

Norm = Literal["instance", "batch", "none"]


class InstanceNormalisation(nn.Module):
    """Instance norm (Ulyanov et al. 2016): each channel of each image by its own mean and variance over space.

        y = (x - m) / sqrt(v + eps) * weight + bias        (without `affine`: no weight, no bias)

    A constant channel (an empty slice) gives the bias, and finite gradients: eps stays under the root.
    x: (B, C, *s) of 2 voxels at least; one voxel would lose all it says. Returns the same; m and v are computed in
    float32 (float64 stays). UserError: one voxel.
    """

    def __init__(self, channels: int, affine: bool, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *s) -> the same."""
        if x.shape[2:].numel() < 2:
            raise UserError(
                "tricks: instance_norm: a layer has but one voxel, which would come out 0 whatever it was; leave its"
                " player out, or train on larger images (data.size)"
            )
        # Groups of one channel: the numbers of torch's instance norm, whose kernel takes two to seven times as long on
        # a CPU. Contiguous: where channels lie last, torch takes the variance as a difference of squares.
        with torch.autocast(x.device.type, enabled=False):
            y = F.group_norm(x.contiguous(), x.shape[1], eps=self.eps)
            if self.weight is None or self.bias is None:
                return y
            # By itself: the kernel would multiply first and take the mean away afterwards.
            weight, bias = (p.to(y.dtype)[(..., *[None] * (x.ndim - 2))] for p in (self.weight, self.bias))
            return torch.addcmul(bias, y, weight)


def norm(kind: Norm, dims: int, channels: int) -> nn.Module:
    """Normalisation layer. instance: over one image, without weight and bias; batch: over the batch; none: identity."""
    return InstanceNormalisation(channels, affine=False) if kind == "instance" else blocks.norm(kind, dims, channels)
