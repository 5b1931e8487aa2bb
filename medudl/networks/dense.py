"""Dense encoder and decoder: every voxel meets every unit. Without hidden layers each is one affine map."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn


class DenseEncoder(nn.Module):
    """Affine maps with SiLU between them: (B, C, *S) -> (B, Z). hidden: units of each layer between, none = linear."""

    def __init__(self, shape: Sequence[int], latent: int, *, hidden: Sequence[int] = ()) -> None:
        super().__init__()
        self.body = _layers([math.prod(shape), *hidden, latent])

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, Z)."""
        code: Tensor = self.body(image.flatten(1))
        return code


class DenseDecoder(nn.Module):
    """Mirror of the encoder: (B, Z) -> (B, C, *S). hidden: in the encoder's order. The output is linear."""

    def __init__(self, shape: Sequence[int], latent: int, *, hidden: Sequence[int] = ()) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.body = _layers([latent, *reversed(hidden), math.prod(shape)])

    def forward(self, code: Tensor) -> Tensor:
        """(B, Z) -> (B, C, *S)."""
        image: Tensor = self.body(code).unflatten(1, self.shape)
        return image


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
