"""Reconstruction losses, each the negative log-likelihood of a stated model: training loss and anomaly map are one.

All take prediction and image (B, C, *S) and give (B,): a SUM over channels and voxels, one value an image; average it
over the batch only. With voxelwise=True they give the map (B, 1, *S) whose sum over voxels is that value.
foreground (B, 1, *S), bool or weights: each voxel's term is multiplied by it, so outside (0) nothing counts.
All are computed in float32, so that a loop in 16 bits sums safely; float64 stays float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def squared_error(
    prediction: Tensor, image: Tensor, foreground: Tensor | None = None, *, voxelwise: bool = False
) -> Tensor:
    """Squared L2 distance, sum (x^ - x)^2, in squared intensities.

    Gaussian negative log-likelihood with sigma^2 fixed at 1/2, up to log(pi)/2 a voxel. Returns (B,) or (B, 1, *S).
    """
    return _reduce((_precise(prediction) - _precise(image)).square(), foreground, voxelwise)


def absolute_error(
    prediction: Tensor, image: Tensor, foreground: Tensor | None = None, *, voxelwise: bool = False
) -> Tensor:
    """L1 distance, sum |x^ - x|, in intensities.

    Laplace negative log-likelihood of scale 1, up to log 2 a voxel. Returns (B,) or (B, 1, *S).
    """
    return _reduce((_precise(prediction) - _precise(image)).abs(), foreground, voxelwise)


def gaussian_nll(
    prediction: Tensor, image: Tensor, log_sigma: Tensor, foreground: Tensor | None = None, *, voxelwise: bool = False
) -> Tensor:
    """Gaussian negative log-likelihood, complete, in nats:

        sum (x^ - x)^2 / (2 sigma^2) + log sigma + log(2 pi) / 2

    log_sigma: scalar or broadcastable to the image; sigma is part of the model, so learn it or state it.
    Returns (B,) or (B, 1, *S).
    """
    log_sigma = _precise(log_sigma)
    error = (_precise(prediction) - _precise(image)) * torch.exp(-log_sigma)
    return _reduce(0.5 * error.square() + log_sigma + 0.5 * math.log(2 * math.pi), foreground, voxelwise)


def laplace_nll(
    prediction: Tensor, image: Tensor, log_scale: Tensor, foreground: Tensor | None = None, *, voxelwise: bool = False
) -> Tensor:
    """Laplace negative log-likelihood, complete, in nats:

        sum |x^ - x| / b + log b + log 2

    log_scale: log b, scalar or broadcastable to the image; b is part of the model, so learn it or state it. The
    standard deviation is b sqrt(2). Returns (B,) or (B, 1, *S).
    """
    log_scale = _precise(log_scale)
    error = (_precise(prediction) - _precise(image)) * torch.exp(-log_scale)
    return _reduce(error.abs() + log_scale + math.log(2), foreground, voxelwise)


def bernoulli_cross_entropy(
    logits: Tensor, image: Tensor, foreground: Tensor | None = None, *, voxelwise: bool = False
) -> Tensor:
    """Bernoulli negative log-likelihood from logits l, p = sigmoid(l), in nats:

        sum -x log p - (1 - x) log(1 - p)

    x in [0, 1] is on the caller. For x in {0, 1} it is a likelihood; on grey values it is a loss but no likelihood:
    its least value, at p = x, is the entropy of x and not 0. Returns (B,) or (B, 1, *S).
    """
    nll = F.binary_cross_entropy_with_logits(_precise(logits), _precise(image), reduction="none")
    return _reduce(nll, foreground, voxelwise)


def _precise(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _full(x: Tensor) -> Tensor:
    """At least float32."""
    return x if x.dtype == torch.float64 else x.float()


def _reduce(values: Tensor, foreground: Tensor | None, voxelwise: bool) -> Tensor:
    per_voxel = values.sum(dim=1, keepdim=True)  # (B, 1, *S)
    if foreground is not None:
        per_voxel = per_voxel * foreground
    return per_voxel if voxelwise else per_voxel.flatten(1).sum(dim=1)
