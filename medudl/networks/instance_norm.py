"""Instance norm (Ulyanov et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medudl.errors import UserError


class InstanceNormalisation(nn.Module):
    """Instance norm (Ulyanov et al. 2016): each channel of each image by its own mean and variance over space.

        y = (x - m) / sqrt(v + eps) * weight + bias        (without `affine`: no weight, no bias)

    A constant channel (an empty slice) gives the bias, and finite gradients: eps stays under the root.
    x: (B, C, *s) of 2 voxels at least; one voxel would lose all it says. Returns the same, computed in float32
    (float64 stays). UserError: one voxel.
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
        with torch.autocast(x.device.type, enabled=False):
            wide = x.to(torch.promote_types(x.dtype, torch.float32)).flatten(2)  # (B, C, P)
            variance, mean = torch.var_mean(wide, dim=2, correction=0, keepdim=True)
            y = (wide - mean) * (variance + self.eps).rsqrt()
            if self.weight is not None and self.bias is not None:
                y = y * self.weight[:, None] + self.bias[:, None]
        return y.view_as(x).to(x.dtype)
