"""DCGAN (Radford et al. 2016): a generator and a discriminator made of convolutions alone, for 2-D and 3-D."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.networks.blocks import Norm
from medudl.networks.blocks import norm as norm_layer
from medudl.networks.few_voxels import is_few
from medudl.networks.padding import crop_to, pad_to_multiple
from medudl.networks.thin_volumes import Conv3d, ConvTranspose3d, conv_transpose3d

Upsampling = Literal["resize", "transposed"]

_COARSEST = 4  # voxels along the shortest side between projection and first convolution, at least
_MOST = 8  # times `width`: channels double with each halving up to this
_SLOPE = 0.2  # of the leaky ReLU
_SPREAD = 0.02  # standard deviation of the first weights
_FEW = 128  # voxels of a batch, up to which `ResizeConv` enlarges first; measured on a CPU, 2-D
# What each of the 3 weights adds to the 4 of the transposed convolution's kernel, which runs the other way.
_SHIFTED = [[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]

CONV: Mapping[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: Conv3d}
TRANSPOSED: Mapping[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: ConvTranspose3d}
_SPREAD_OUT: Mapping[int, Callable[..., Tensor]] = {2: F.conv_transpose2d, 3: conv_transpose3d}


def levels_of(size: Sequence[int]) -> int:
    """How often an image of `size` is halved: 28 -> 2, 64 -> 4, 256 -> 6; at least once."""
    return max(1, math.floor(math.log2(min(size) / _COARSEST)))


class ResizeConv(nn.Module):
    """Enlarge twofold by repeating voxels, then convolve 3 x 3 (x 3) (Odena et al. 2016): (B, C, *S) -> (B, C', *2S).

    Of constant features it makes constant ones away from the border, whatever its weights: no checkerboard. Both at
    once are a transposed convolution of stride 2 whose kernel of 4 is the sum of the kernel of 3 and its shifts by one
    voxel; that takes 4/9 of the multiplications in 2-D, 8/27 in 3-D. Of few voxels the sums would take longer than
    that saves, and the two are done apart.
    """

    sums: Tensor

    def __init__(self, dims: int, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.conv: Any = CONV[dims](inputs, outputs, 3, padding=1, bias=bias)
        self.spread_out, self.kernel = _SPREAD_OUT[dims], (4,) * dims
        sums = functools.reduce(torch.kron, [torch.tensor(_SHIFTED)] * dims)  # (3^dims, 4^dims)
        self.register_buffer("sums", sums, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *2S)."""
        if is_few(x, _FEW):
            found: Tensor = self.conv(F.interpolate(x, scale_factor=2.0))
            return found
        kernel = self.conv.weight.transpose(0, 1).flatten(2) @ self.sums  # (C, C', 4^dims)
        return self.spread_out(x, kernel.unflatten(2, self.kernel), self.conv.bias, stride=2, padding=1)


class Generator(nn.Module):
    """Code -> image (Radford et al. 2016), no dense layer behind the code's own projection.

    The code is projected to the coarsest grid and enlarged twofold `levels_of(size)` times; batch norm and ReLU
    everywhere but at the output, which is a tanh. Channels halve with each level, down to `width` before the last.

    shape: (C, *S), any sides: made at the next multiple of 2^levels and cropped. latent: Z. upsampling: resize (see
    `ResizeConv`) or transposed (4 x 4 kernels of stride 2 as published, which make checkerboards). condition: K
    numbers that the image is to have, joined to the code.
    """

    def __init__(
        self, shape: Sequence[int], latent: int, width: int, norm: Norm, upsampling: Upsampling, condition: int = 0
    ) -> None:
        super().__init__()
        channels, *self.size = shape
        dims, levels = len(self.size), levels_of(self.size)
        widths = [width * min(_MOST, 2**i) for i in reversed(range(levels))]
        plain = norm == "batch"  # which takes any bias away again
        coarse = _coarse(self.size, levels)
        project = TRANSPOSED[dims](latent + condition, widths[0], coarse, bias=not plain)
        stages = [nn.Sequential(project, norm_layer(norm, dims, widths[0]), nn.ReLU())]
        for a, b in zip(widths, widths[1:], strict=False):
            larger = enlarge(upsampling, dims, a, b, bias=not plain)
            stages.append(nn.Sequential(larger, norm_layer(norm, dims, b), nn.ReLU()))
        last = enlarge(upsampling, dims, widths[-1], channels, bias=True)
        self.body = nn.Sequential(*stages, nn.Sequential(last, nn.Tanh()))
        first_weights(self)

    def forward(self, code: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, Z), (B, K) -> (B, C, *S) in [-1, 1]."""
        given = code if condition is None else torch.cat([code, condition], dim=1)
        return crop_to(self.body(given[(..., *[None] * len(self.size))]), self.size)


class Discriminator(nn.Module):
    """Image -> logit (Radford et al. 2016): 4 x 4 convolutions of stride 2, leaky ReLU, no hidden dense layer.

    Batch norm everywhere but at the input; none at the output. Channels double with each level, from `width`.

    shape: (C, *S), any sides: the last voxels are repeated up to a multiple of 2^levels. condition: K numbers that the
    image is said to have, joined to it as K more channels, each constant.
    """

    def __init__(self, shape: Sequence[int], width: int, norm: Norm, condition: int = 0) -> None:
        super().__init__()
        channels, *size = shape
        dims, levels = len(size), levels_of(size)
        widths = [width * min(_MOST, 2**i) for i in range(levels)]
        stages = [nn.Sequential(_halve(dims, channels + condition, width, bias=True), nn.LeakyReLU(_SLOPE))]
        for a, b in zip(widths, widths[1:], strict=False):
            halve = _halve(dims, a, b, bias=norm != "batch")
            stages.append(nn.Sequential(halve, norm_layer(norm, dims, b), nn.LeakyReLU(_SLOPE)))
        self.multiple = 2**levels
        self.body = nn.Sequential(*stages)
        self.head = nn.Sequential(CONV[dims](widths[-1], 1, _coarse(size, levels)), nn.Flatten(0))
        first_weights(self)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, *S), (B, K) -> logits (B,)."""
        logits: Tensor = self.head(self.body(self._joined(image, condition)))
        return logits

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """What each level gives, finest first: (B, K_i, *s_i)."""
        found = [self._joined(image, condition)]
        for stage in self.body:
            found.append(stage(found[-1]))
        return found[1:]

    def _joined(self, image: Tensor, condition: Tensor | None) -> Tensor:
        if condition is not None:
            places = condition[(..., *[None] * (image.ndim - 2))].expand(-1, -1, *image.shape[2:])
            image = torch.cat([image, places.to(image.dtype)], dim=1)
        return pad_to_multiple(image, self.multiple)


def _coarse(size: Sequence[int], levels: int) -> tuple[int, ...]:
    return tuple(math.ceil(side / 2**levels) for side in size)


def _halve(dims: int, inputs: int, outputs: int, bias: bool) -> nn.Module:
    return CONV[dims](inputs, outputs, 4, stride=2, padding=1, bias=bias)


def enlarge(upsampling: Upsampling, dims: int, inputs: int, outputs: int, bias: bool) -> nn.Module:
    """Twice the size: `ResizeConv`, or a transposed convolution 4 x 4 (x 4) of stride 2."""
    if upsampling == "resize":
        return ResizeConv(dims, inputs, outputs, bias)
    return TRANSPOSED[dims](inputs, outputs, 4, stride=2, padding=1, bias=bias)


def first_weights(network: nn.Module) -> None:
    """As published: normal(0, .02); scales of batch norm normal(1, .02), where 0 would shut every channel."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            nn.init.normal_(layer.weight, 0.0, _SPREAD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(layer.weight, 1.0, _SPREAD)
