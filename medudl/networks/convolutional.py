"""Convolutional encoder and decoder with a code of Z numbers between them; no skips."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from medudl.networks.blocks import Norm, conv, norm
from medudl.networks.padding import crop_to, pad_to_multiple


def _coarse(size: Sequence[int], levels: int) -> tuple[int, ...]:
    return tuple(math.ceil(side / 2**levels) for side in size)


class ConvEncoder(nn.Module):
    """Strided convolutions, then one dense layer: (B, C, *S) -> (B, Z).

    Channels double at each of `levels` halvings, from `width`. S is fixed by `shape` (C, *S); any side will do.
    """

    def __init__(self, shape: Sequence[int], latent: int, *, width: int, levels: int, kind: Norm) -> None:
        super().__init__()
        channels, *size = shape
        dims = len(size)
        widths = [width * 2**i for i in range(levels)]
        layers: list[nn.Module] = []
        for a, b in zip([channels, *widths], widths, strict=False):
            layers += [conv(dims, a, b, stride=2), nn.SiLU(), norm(kind, dims, b)]
        self.multiple = 2**levels
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1] * math.prod(_coarse(size, levels)), latent)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, Z)."""
        code: Tensor = self.head(self.features(image).flatten(1))
        return code

    def features(self, image: Tensor) -> Tensor:
        """The coarsest features, before the dense layer: (B, C, *S) -> (B, width * 2^(levels - 1), *S / 2^levels)."""
        x: Tensor = self.body(pad_to_multiple(image, self.multiple))
        return x


class ConvDecoder(nn.Module):
    """Mirror of the encoder: (B, Z) -> (B, C, *S), by nearest-voxel enlargement and convolution (no checkerboard).

    The output is linear: an intensity for squared errors, a logit for cross-entropy.
    """

    def __init__(self, shape: Sequence[int], latent: int, *, width: int, levels: int, kind: Norm) -> None:
        super().__init__()
        channels, *self.size = shape
        dims = len(self.size)
        widths = [width * 2**i for i in reversed(range(levels))]
        self.coarse = (widths[0], *_coarse(self.size, levels))
        self.head = nn.Linear(latent, math.prod(self.coarse))
        layers: list[nn.Module] = [nn.SiLU()]
        for a, b in zip(widths, [*widths[1:], width], strict=True):
            layers += [nn.Upsample(scale_factor=2, mode="nearest"), conv(dims, a, b), nn.SiLU(), norm(kind, dims, b)]
        self.body = nn.Sequential(*layers, conv(dims, width, channels))

    def forward(self, code: Tensor) -> Tensor:
        """(B, Z) -> (B, C, *S)."""
        x = self.head(code).unflatten(1, self.coarse)
        return crop_to(self.body(x), self.size)
