"""PatchGAN (Isola et al. 2017): a discriminator that judges every patch of an image, for 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.errors import UserError
from medudl.networks.blocks import halve
from medudl.networks.dcgan import CONV, first_weights
from medudl.networks.instance_norm import Norm
from medudl.networks.instance_norm import norm as norm_layer

ReceptiveField = Literal[1, 16, 34, 70, 142, 286]

_HALVINGS: Mapping[ReceptiveField, int] = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
_MOST = 8  # times `width`: channels double with each layer up to this
_SLOPE = 0.2  # of the leaky ReLU


class PatchDiscriminator(nn.Module):
    """Image -> one logit a patch (Isola et al. 2017): n convolutions 4 x 4 (x 4) of stride 2, one and the head of 1.

    Leaky ReLU behind all but the head, norm behind all but the first and the head. Channels double from `width` to
    8 times it. receptive_field: voxels a side of a patch, 16, 34, 70, 142, 286 for n = 1 to 5; 1 is the published
    PixelGAN, three 1 x 1 convolutions.

    channels: of image and condition together. norm: instance has no weight and bias. scales (Wang et al. 2018): the
    image is also judged once, twice ... halved by averaging, by layers of their own, so that a patch there is twice,
    four times ... as large.
    No convolution before a norm has a bias, for the norm takes it away again; the published code keeps it beside
    instance norm (896 numbers at width 64 and field 70).
    """

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        width: int = 64,
        receptive_field: ReceptiveField = 70,
        norm: Norm = "instance",
        scales: int = 1,
    ) -> None:
        super().__init__()
        self.field, halvings = receptive_field, _HALVINGS[receptive_field]
        self.least = _least(receptive_field, scales)
        self.judges = nn.ModuleList(_judge(dims, channels, width, halvings, norm) for _ in range(scales))
        first_weights(self)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, *S), (B, K) or (B, K, *S) -> logits (B, scales, *s), in each place of the finest scale's patches.

        Those of a coarser scale are repeated, so that a mean weighs all scales alike. UserError: too small an image.
        """
        logits = [hidden[-1] for hidden in self._judged(image, condition)]
        size = logits[0].shape[2:]
        return torch.cat([logits[0], *(F.interpolate(coarser, size) for coarser in logits[1:])], dim=1)

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """What the layers before the head give, the finest scale's first: (B, K_i, *s_i)."""
        return [layer for hidden in self._judged(image, condition) for layer in hidden[:-1]]

    def _judged(self, image: Tensor, condition: Tensor | None) -> Iterator[list[Tensor]]:
        """What each layer gives, of each scale."""
        x = _joined(image, condition)
        self._look(x)
        for scale, judge in enumerate(self.judges):
            x = halve(x) if scale else x
            found = [x]
            for layer in judge:  # type: ignore[attr-defined]
                found.append(layer(found[-1]))
            yield found[1:]

    def _look(self, image: Tensor) -> None:
        if min(image.shape[2:]) >= self.least:
            return
        size, scales = " x ".join(map(str, image.shape[2:])), len(self.judges)
        fitting = [field for field in _HALVINGS if _least(field, scales) <= min(image.shape[2:])]
        smaller = f"choose {fitting[-1]}" if fitting else "choose fewer scales"
        asked = f"{self.field} at {scales} scales" if scales > 1 else f"{self.field}"
        raise UserError(
            f"method.receptive_field: {asked} needs {self.least} voxels along each side, and images have {size};"
            f" {smaller}, or larger images (data.size)"
        )


def _least(field: ReceptiveField, scales: int) -> int:
    """Voxels of the shortest side that give a patch, of two a side at least in the last hidden layer."""
    halvings = _HALVINGS[field]
    return int(2 ** (scales - 1) * (3 * 2**halvings if halvings else 2))


def _judge(dims: int, channels: int, width: int, halvings: int, norm: Norm) -> nn.Sequential:
    """Layers of one scale."""
    make, bias = CONV[dims], norm == "none"
    widths = [width * min(_MOST, 2**i) for i in range(halvings + 1 if halvings else 2)]
    shape = (4, 2, 1) if halvings else (1, 1, 0)  # kernel, stride, padding
    layers = [nn.Sequential(make(channels, width, *shape), nn.LeakyReLU(_SLOPE, inplace=True))]
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False), start=1):
        last = halvings and i == halvings
        convolution = make(a, b, *((4, 1, 1) if last else shape), bias=bias)
        layers.append(nn.Sequential(convolution, norm_layer(norm, dims, b), nn.LeakyReLU(_SLOPE, inplace=True)))
    head = make(widths[-1], 1, *((4, 1, 1) if halvings else shape))
    return nn.Sequential(*layers, head)


def _joined(image: Tensor, condition: Tensor | None) -> Tensor:
    if condition is None:
        return image
    if condition.ndim == 2:
        condition = condition[(..., *[None] * (image.ndim - 2))].expand(-1, -1, *image.shape[2:])
    return torch.cat([image, condition.to(image.dtype)], dim=1)
