"""Convolution of images that have come down to a few voxels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from medudl.networks.thin_volumes import Conv3d

_FEW = 16  # voxels made of a batch, up to which a matrix product was the faster one


def is_few(x: Tensor, most: int) -> bool:
    """Whether a batch has so few voxels. Never in an exported graph, where the size of the batch is open."""
    return not torch.compiler.is_exporting() and len(x) * x.shape[2:].numel() <= most


class _FewVoxels(_ConvNd):
    """Over nn.Conv2d or nn.Conv3d: the same numbers; few of them, on a CPU, by one matrix product.

    With so few voxels a convolution is all weights, which torch's kernel on a CPU first brings into an order of its
    own; from 512 channels to 512 that took 1.2 to 3 times as long. padding: a number, with zeros.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *S')."""
        if x.device.type != "cpu" or not is_few(x, _FEW * math.prod(self.stride)):
            found: Tensor = super().forward(x)
            return found
        padding = cast("tuple[int, ...]", self.padding)
        patches = F.pad(x, [side for p in reversed(padding) for side in (p, p)])
        for axis, (kernel, stride) in enumerate(zip(self.kernel_size, self.stride, strict=True), start=2):
            patches = patches.unfold(axis, kernel, stride)  # (B, C, *S', *kernel) in the end
        rows = patches.movedim(1, x.ndim - 1).flatten(x.ndim - 1)  # (B, *S', C * kernel)
        return F.linear(rows, self.weight.flatten(1), self.bias).movedim(-1, 1)


class FewVoxelConv2d(_FewVoxels, nn.Conv2d):
    """Convolution that is quick where little is left of an image; see `_FewVoxels`."""


class FewVoxelConv3d(_FewVoxels, Conv3d):
    """Convolution that is quick where little is left of a volume; see `_FewVoxels`."""


FEW_VOXEL_CONV: Mapping[int, Callable[..., nn.Module]] = {2: FewVoxelConv2d, 3: FewVoxelConv3d}
