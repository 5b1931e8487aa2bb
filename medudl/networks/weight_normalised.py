"""A discriminator of K classes, weight-normalised and noisy (Salimans et al. 2016), for 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from medudl.networks.dcgan import CONV, levels_of
from medudl.networks.padding import pad_to_multiple

_MOST = 4  # times `width`: channels double with each halving up to this
_SLOPE = 0.2  # of the leaky ReLU


class GaussianNoise(nn.Module):
    """x + sigma * N(0, I) in training, from torch's global generator; x in evaluation. Any shape."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x + self.sigma * torch.randn_like(x) if self.training and self.sigma else x


class NoisyDiscriminator(nn.Module):
    """Image -> K logits and S, the logit of its being real (Salimans et al. 2016):

        f = mean over space of body(x + noise),   l = W f + b,   S = logsumexp(l)

    body: a level is a 3 x 3 convolution and one of stride 2, then dropout; behind the last one 3 x 3 and 1 x 1. Each
    is weight-normalised (W = g v / |v|, Salimans & Kingma 2016), with leaky ReLU and noise behind it; noise and dropout
    are there in training mode only. No norm looks across the batch: what is said of an image depends on no other.

    shape: (C, *S), any sides: the last voxels are repeated up to a multiple of 2^levels, and a level is a halving down
    to 4 voxels (`levels_of`). width: channels of the finest level, which double up to F = 4 * width at most.
    noise, input_noise: standard deviations, the latter of images in [-1, 1].
    """

    def __init__(
        self, shape: Sequence[int], classes: int, width: int, dropout: float, noise: float, input_noise: float
    ) -> None:
        super().__init__()
        channels, *sides = shape
        dims, levels = len(sides), levels_of(sides)
        widths = [width * min(_MOST, 2**level) for level in range(levels + 1)]
        self.multiple, self.code = 2**levels, widths[-1]
        self.entry = GaussianNoise(input_noise)
        self.body = nn.Sequential()
        for inputs, outputs in zip([channels, *widths], widths[:-1], strict=False):
            same = _layer(dims, inputs, outputs, 3, 1, noise)
            self.body.append(nn.Sequential(same, _layer(dims, outputs, outputs, 3, 2, noise), nn.Dropout(dropout)))
        last = _layer(dims, widths[-2], self.code, 3, 1, noise), _layer(dims, self.code, self.code, 1, 1, noise)
        self.body.append(nn.Sequential(*last))
        self.head = weight_norm(nn.Linear(self.code, classes))

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        """S: (B, C, *S) in [-1, 1] -> (B,). There is no condition; the argument is that of every discriminator."""
        logits = self.classify(image)
        return logits.to(torch.promote_types(logits.dtype, torch.float32)).logsumexp(dim=1)

    def classify(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> l (B, K)."""
        logits: Tensor = self.head(self.encode(image))
        return logits

    def encode(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> f (B, F)."""
        return self.features(image)[-1]

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """What each level gives, finest first, (B, K_i, *s_i); the last is f, (B, F)."""
        found = [self.entry(pad_to_multiple(image, self.multiple))]
        for stage in self.body:
            found.append(stage(found[-1]))
        return [*found[1:-1], found[-1].flatten(2).mean(dim=2)]


def _layer(dims: int, inputs: int, outputs: int, kernel: int, stride: int, noise: float) -> nn.Module:
    """A weight-normalised convolution, leaky ReLU, noise."""
    conv: Any = CONV[dims](inputs, outputs, kernel, stride=stride, padding=kernel // 2)
    # The first norms decide how large activations are: variance neither grows nor falls from layer to layer (He 2015).
    nn.init.kaiming_normal_(conv.weight, a=_SLOPE)
    nn.init.zeros_(conv.bias)
    return nn.Sequential(weight_norm(conv), nn.LeakyReLU(_SLOPE), GaussianNoise(noise))
