"""Layers of a stacked autoencoder: each encodes what the layer below gives, and can draw that again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from medudl.networks.blocks import conv
from medudl.networks.padding import crop_to


class Layer(nn.Module):
    """One autoencoder: `down` h -> f(W h + b), `up` its mirror. f is ELU, on the way up too, but for the first layer,
    whose `up` is linear because it draws the image.

    shape: of what it sees, (C, *S) or (Z,), without the batch; code: of what it gives.
    """

    def __init__(self, shape: Sequence[int], code: Sequence[int], *, first: bool) -> None:
        super().__init__()
        self.shape, self.code = tuple(shape), tuple(code)
        self.end: nn.Module = nn.Identity() if first else nn.ELU()


class DenseLayer(Layer):
    """Every input meets each of `units`: (B, *shape) -> (B, units)."""

    def __init__(self, shape: Sequence[int], units: int, *, first: bool) -> None:
        super().__init__(shape, (units,), first=first)
        self.encoder = nn.Linear(math.prod(shape), units)
        self.decoder = nn.Linear(units, math.prod(shape))
        self.bend = nn.ELU()

    def down(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, units)."""
        code: Tensor = self.bend(self.encoder(x.flatten(1)))
        return code

    def up(self, code: Tensor) -> Tensor:
        """(B, units) -> (B, *shape)."""
        x: Tensor = self.end(self.decoder(code))
        return x.reshape(-1, *self.shape)


class ConvLayer(Layer):
    """Strided convolution, and nearest-voxel enlargement with convolution: (B, C, *S) -> (B, channels, *S/2)."""

    def __init__(self, shape: Sequence[int], channels: int, *, first: bool) -> None:
        inputs, *size = shape
        super().__init__(shape, (channels, *(math.ceil(side / 2) for side in size)), first=first)
        dims = len(size)
        self.encoder = conv(dims, inputs, channels, stride=2)
        self.decoder = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv(dims, channels, inputs))
        self.bend = nn.ELU()

    def down(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, channels, *S/2), odd sides rounded up."""
        code: Tensor = self.bend(self.encoder(x))
        return code

    def up(self, code: Tensor) -> Tensor:
        """(B, channels, *S/2) -> (B, C, *S)."""
        x: Tensor = self.end(self.decoder(code))
        return crop_to(x, self.shape[1:])


def stack(shape: Sequence[int], channels: Sequence[int], sizes: Sequence[int]) -> list[DenseLayer | ConvLayer]:
    """A convolutional layer for each of `channels`, then a dense one for each of `sizes`, from the image upwards."""
    layers: list[DenseLayer | ConvLayer] = []
    for count in channels:
        layers.append(ConvLayer(layers[-1].code if layers else shape, count, first=not layers))
    for units in sizes:
        layers.append(DenseLayer(layers[-1].code if layers else shape, units, first=not layers))
    return layers
