"""Divergences between the distribution of a code and its prior, one value an image: (B,)."""

from __future__ import annotations

import torch
from torch import Tensor


def kl_to_standard_normal(mean: Tensor, log_var: Tensor, *, by_dimension: bool = False) -> Tensor:
    """Kullback-Leibler divergence of a diagonal Gaussian q = N(mean, exp(log_var)) from the prior p = N(0, I), in nats.

        KL(q, p) = 1/2 sum (mean^2 + sigma^2 - 1 - log sigma^2),   sigma^2 = exp(log_var)

    q comes first: the expectation is over q, as in the evidence lower bound. The sum is over the Z code dimensions.
    mean, log_var: (B, Z). Returns (B,), >= 0, or the terms (B, Z) with by_dimension=True; float32 at the least.
    """
    full = torch.promote_types(mean.dtype, torch.float32)
    mean, log_var = mean.to(full), log_var.to(full)
    # expm1(v) - v is exact where q is nearly p, and exp(v) - 1 - v would cancel.
    terms = 0.5 * (mean.square() + (torch.expm1(log_var) - log_var))
    return terms if by_dimension else terms.sum(dim=1)
