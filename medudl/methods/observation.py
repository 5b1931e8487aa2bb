"""What an image is, given what the decoder says of it: p(x given z), whole likelihoods with their spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.losses.reconstruction import gaussian_nll, laplace_nll
from medudl.methods.likelihood import Bernoulli, Likelihood

Model = Literal["gaussian", "laplace", "bernoulli"]

FIRST = 0.1  # where a learned spread begins, in intensities from 0 to 1: near enough that codes are of use at once
LEAST = 1e-3  # a learned spread stays above it: images without noise would drive it to 0 and the likelihood to infinity


class Spread(Likelihood):
    """Location and one spread for all voxels, learned or stated: the likelihoods that have a sigma.

        learned: sigma = LEAST + exp(s),   s a parameter, sigma = FIRST in the beginning

    spread: a stated sigma (gaussian: standard deviation; laplace: scale b), or None to learn it.
    """

    raw: Tensor

    def __init__(self, loss: Callable[..., Tensor], spread: float | None) -> None:
        super().__init__(loss)
        self.learned = spread is None
        if spread is None:
            self.raw = nn.Parameter(torch.tensor(math.log(FIRST - LEAST)))
        else:
            self.register_buffer("raw", torch.tensor(math.log(spread)))

    def log_spread(self) -> Tensor:
        """Logarithm of sigma, a scalar."""
        return torch.log(LEAST + torch.exp(self.raw)) if self.learned else self.raw

    def forward(self, output: Tensor, image: Tensor, foreground: Tensor | None) -> Tensor:
        """-log p(x given z), its constants included: output and image (B, C, *S) -> (B,), in nats."""
        return self.loss(output, image, self.log_spread(), foreground)


def observation(model: Model, sigma: float | None) -> Likelihood:
    """The observation model. UserError: a sigma stated for bernoulli, which has none."""
    if model == "bernoulli" and sigma is not None:
        raise UserError("method.sigma: a bernoulli likelihood has no spread; remove it, or take likelihood: gaussian")
    models: Mapping[Model, Callable[[], Likelihood]] = {
        "gaussian": lambda: Spread(gaussian_nll, sigma),
        "laplace": lambda: Spread(laplace_nll, sigma),
        "bernoulli": Bernoulli,
    }
    return models[model]()


def advice(likelihood: Likelihood) -> str:
    """How to bring more code dimensions into use."""
    rest = "lower method.beta, or raise method.warmup"
    if not isinstance(likelihood, Spread):
        return rest
    known = f"{'learned' if likelihood.learned else 'stated'}: {likelihood.log_spread().exp().item():.2g}"
    return f"state a smaller method.sigma ({known}), {rest}"
