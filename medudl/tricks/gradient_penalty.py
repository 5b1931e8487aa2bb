"""Gradient penalty (Gulrajani et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, one_sided: bool = False
) -> Tensor:
    """Gradient penalty (Gulrajani et al. 2017): keep the critic's slope near 1.

        (|| d critic(x) / dx || - 1)^2   at   x = a*real + (1 - a)*fake,   a ~ U(0, 1) per image

    real, fake: (B, C, *S) on the same scale. one_sided: only slopes above 1 are punished (Petzka et al. 2018).
    Returns (B,): one penalty per image, unweighted, in float32 whatever the loop's autocast: the square root and the
    second derivative lose too many digits in 16 bits.
    """
    with torch.autocast(real.device.type, enabled=False):
        real, fake = real.detach().float(), fake.detach().float()
        a = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
        mixed = (a * real + (1 - a) * fake).requires_grad_()
        # Summing gives each image its own slope, but only while the critic has no batch norm.
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        excess = slope.flatten(1).norm(dim=1) - 1
        penalised: Tensor = excess.clamp(min=0) if one_sided else excess
        return penalised.square()
