"""Building blocks, for 2-D and 3-D alike: `dims` chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.networks.thin_volumes import Conv3d

Norm = Literal["group", "batch", "none"]

_CONV: Mapping[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: Conv3d}
_CONV_TRANSPOSE: Mapping[int, type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
_BATCH_NORM: Mapping[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_CONVOLVE: Mapping[int, Callable[..., Tensor]] = {2: F.conv2d, 3: F.conv3d}
_AVERAGE: Mapping[int, Callable[[Tensor, int], Tensor]] = {2: F.avg_pool2d, 3: F.avg_pool3d}


def conv(dims: int, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    """Convolution that keeps the size at stride 1 (zeros outside: the background of a scan)."""
    return _CONV[dims](inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def conv_transpose(dims: int, inputs: int, outputs: int) -> nn.Module:
    """Learned doubling of the size; kernel = stride, so no voxel is written twice."""
    return _CONV_TRANSPOSE[dims](inputs, outputs, 2, stride=2)


def halve(x: Tensor) -> Tensor:
    """Mean over 2 x 2 (x 2) voxels: (B, C, *S) -> (B, C, *S/2)."""
    return _AVERAGE[x.ndim - 2](x, 2)


def norm(kind: Norm, dims: int, channels: int) -> nn.Module:
    """Normalisation layer. group: sqrt-many groups over one image; batch: over the batch; none: identity."""
    layers: Mapping[Norm, Callable[[], nn.Module]] = {
        "group": lambda: nn.GroupNorm(groups_of(channels), channels),
        "batch": lambda: _BATCH_NORM[dims](channels),
        "none": nn.Identity,
    }
    return layers[kind]()


def groups_of(channels: int) -> int:
    """The middle divisor of `channels`, at least its square root: 64 -> 8, 32 -> 8, 7 -> 7."""
    return next(d for d in range(1, channels + 1) if channels % d == 0 and d * d >= channels)


def space_to_channels(x: Tensor, patch: int) -> Tensor:
    """Fold cubes of `patch` voxels a side into channels: (B, C, *S) -> (B, C * patch^dims, *S / patch).

    Nothing is lost. In 2-D the same as torch's pixel_unshuffle.
    """
    dims = x.ndim - 2
    for axis in range(dims):
        x = torch.unflatten(x, 2 + 2 * axis, (-1, patch))  # (B, C, H/p, p, W/p, p)
    within = range(3, 3 + 2 * dims, 2)
    x = x.permute(0, 1, *within, *range(2, 2 + 2 * dims, 2))  # (B, C, p, p, H/p, W/p)
    return x.flatten(1, 1 + dims)


def channels_to_space(x: Tensor, patch: int) -> Tensor:
    """Undo `space_to_channels`: (B, C * patch^dims, *S) -> (B, C, *S * patch)."""
    dims = x.ndim - 2
    x = torch.unflatten(x, 1, (-1, *[patch] * dims))  # (B, C, p, p, H, W)
    interleaved = [i for axis in range(dims) for i in (2 + dims + axis, 2 + axis)]
    x = x.permute(0, 1, *interleaved)  # (B, C, H, p, W, p)
    for axis in range(dims):
        x = x.flatten(2 + axis, 3 + axis)
    return x


class StandardisedConv(nn.Module):
    """Convolution with weight standardisation (Qiao et al. 2019).

        w^ = (w - mean(w)) / std(w)   per output channel, before convolving

    Goes with group norm. (B, C, *S) -> (B, C', *S), 3 x 3 (x 3), zeros outside.
    """

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        plain = conv(dims, inputs, outputs)
        assert isinstance(plain.weight, Tensor) and isinstance(plain.bias, Tensor)
        self.weight = nn.Parameter(plain.weight.detach())
        self.bias = nn.Parameter(plain.bias.detach())
        self.convolve = _CONVOLVE[dims]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *S)."""
        # In full precision: the mean is small beside the weights, and the tensor is tiny beside the image.
        with torch.autocast(x.device.type, enabled=False):
            w = self.weight.flatten(1)
            spread, mean = torch.std_mean(w, dim=1, keepdim=True)
            w = ((w - mean) / (spread + 1e-5)).view_as(self.weight)
        return self.convolve(x, w, self.bias, padding=1)


class ConvBlock(nn.Sequential):
    """Twice: 3 x 3 (x 3) convolution, SiLU, normalisation. (B, C, *S) -> (B, C', *S).

    Weights are standardised where group norm follows (it takes the scale away again); elsewhere they are plain.
    """

    def __init__(self, dims: int, inputs: int, outputs: int, kind: Norm) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            convolution = StandardisedConv if kind == "group" else conv
            layers += [convolution(dims, channels, outputs), nn.SiLU(), norm(kind, dims, outputs)]
        super().__init__(*layers)
