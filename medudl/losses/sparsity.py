"""Sparsity penalties Omega(y) on the activations y (B, Z) of a code, never on weights.

l1 and l2 give (B,): a SUM over units, one value an image. kl is of the batch: a scalar. All are in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor


def l1(activation: Tensor) -> Tensor:
    """Sum over units of |y_j| (Olshausen & Field 1996; Laplace prior): (B, Z) -> (B,).

    Its pull does not weaken towards 0, so that units fall silent. Smaller y with a larger decoder evades it: bound
    the decoder's columns.
    """
    return activation.float().abs().sum(dim=1)


def l2(activation: Tensor) -> Tensor:
    """Sum over units of y_j^2 (Gaussian prior): (B, Z) -> (B,).

    It does NOT sparsify: its pull vanishes at 0, so it makes all activations smaller and none of them 0. For comparison
    with those that do.
    """
    return activation.float().square().sum(dim=1)


def kl(activation: Tensor, rho: float) -> Tensor:
    """Sum over units of KL(rho, r_j), r_j the mean of y_j over the batch (Ng 2011): (B, Z) -> scalar.

        KL(rho, r) = rho log(rho / r) + (1 - rho) log((1 - rho) / (1 - r))

    in nats, of Bernoulli distributions: y must lie in (0, 1), so it ends in a sigmoid. 0 where every unit's mean is
    rho. A value of the BATCH: r of few images is noisy, which raises it.
    """
    # A sigmoid reaches 0 and 1 in float32; there the logarithms would be infinite.
    mean = activation.float().mean(dim=0).clamp(1e-6, 1 - 1e-6)
    return (rho * torch.log(rho / mean) + (1 - rho) * torch.log((1 - rho) / (1 - mean))).sum()
