"""What is measured on the features of the training images in one pass: moments, a random sample, pooled statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medudl.errors import UserError

_STILL = 1e-6  # a standard deviation below this share of the mean is rounding: that channel does not vary


class Moments:
    """Weighted mean and covariance of vectors that come in parts, in float64 on the CPU (Chan et al. 1979)."""

    def __init__(self, size: int) -> None:
        self.weight = 0.0
        self.mean = torch.zeros(size, dtype=torch.float64)
        self.scatter = torch.zeros(size, size, dtype=torch.float64)

    def add(self, values: Tensor, weight: Tensor | None = None) -> None:
        """values: (N, Z). weight: (N,), >= 0; 1 for all where it is None."""
        x = values.detach().double().cpu()
        w = torch.ones(len(x), dtype=torch.float64) if weight is None else weight.detach().double().cpu()
        new = float(w.sum())
        if new == 0:
            return
        own = (w @ x) / new
        away, step, total = x - own, own - self.mean, self.weight + new
        self.scatter += (away * w[:, None]).T @ away + torch.outer(step, step) * (self.weight * new / total)
        self.mean += step * (new / total)
        self.weight = total

    @property
    def std(self) -> Tensor:
        """(Z,), divided by N; 1 where a value does not vary."""
        spread = (self.scatter.diagonal() / max(self.weight, 1.0)).clamp(min=0).sqrt()
        return torch.where(spread > _STILL * self.mean.abs().clamp(min=1e-6), spread, torch.ones_like(spread))

    def axes(self) -> tuple[Tensor, Tensor]:
        """Principal axes of the standardised values, most variance first, as columns (Z, Z); and their variances."""
        if self.weight == 0:
            raise UserError("there is no foreground in the training images to measure features on")
        std = self.std
        variances, axes = torch.linalg.eigh(self.scatter / self.weight / torch.outer(std, std))
        return axes.flip(1), variances.flip(0).clamp(min=0)


class Reservoir:
    """A uniform random sample of at most `size` of all vectors that come in parts; the same at every call (seed 0)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.generator = torch.Generator().manual_seed(0)
        self.keys = torch.empty(0, dtype=torch.float64)
        self.kept: Tensor | None = None

    def add(self, values: Tensor) -> None:
        """values: (N, Z)."""
        values = values.detach().float().cpu()
        # The vectors with the smallest random keys stay: that is a uniform sample without knowing how many will come.
        keys = torch.cat([self.keys, torch.rand(len(values), generator=self.generator, dtype=torch.float64)])
        both = values if self.kept is None else torch.cat([self.kept, values])
        chosen = keys.topk(min(self.size, len(keys)), largest=False).indices.sort().values
        self.keys, self.kept = keys[chosen], both[chosen]


def pooled(features: Sequence[Tensor]) -> Tensor:
    """Mean and standard deviation over space of each channel of each stage: [(B, C_s, *S_s)] -> (B, 2 * sum C_s)."""
    parts = []
    for stage in features:
        flat = stage.float().flatten(2)
        parts += [flat.mean(dim=2), flat.std(dim=2, correction=0)]
    return torch.cat(parts, dim=1)


class PooledScores(nn.Module):
    """How unusual an image's pooled features are beside those of the training images.

        p = (pooled(x) - mean) / std,  each number by itself
        residual(x) = |p - A A' p|^2 / Z,  A: the first `components` principal axes (a linear autoencoder's optimum)
        neighbours(x) = mean distance |p - p_i| / sqrt(Z) to the nearest `near` of the training images kept in `bank`

    Buffers: mean, std (Z,); axes (Z, components); bank (size, Z), its first `count` rows in use. Before `fit`, p is
    pooled(x) itself, A is 0 and the bank is a single 0.
    """

    mean: Tensor
    std: Tensor
    axes: Tensor
    bank: Tensor
    count: Tensor

    def __init__(self, size: int, components: int, bank: int, near: int) -> None:
        super().__init__()
        if components >= size:
            raise UserError(f"method.components: {components} of {size} pooled numbers is no bottleneck; lower it")
        self.near = near
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.register_buffer("axes", torch.zeros(size, components))
        self.register_buffer("bank", torch.zeros(bank, size))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def fit(self, moments: Moments, sample: Reservoir) -> None:
        """moments: of the pooled features of all training images; sample: those for the bank."""
        axes, _ = moments.axes()
        self.mean.copy_(moments.mean)
        self.std.copy_(moments.std)
        self.axes.copy_(axes[:, : self.axes.shape[1]])
        assert sample.kept is not None
        self.bank.zero_()
        self.bank[: len(sample.kept)] = self.standardised(sample.kept.to(self.bank.device))
        self.count.fill_(len(sample.kept))

    def standardised(self, p: Tensor) -> Tensor:
        """(B, Z) -> (B, Z)."""
        return (p - self.mean) / self.std

    def residual(self, p: Tensor) -> Tensor:
        """Standardised (B, Z) -> (B,)."""
        return (p - (p @ self.axes) @ self.axes.T).square().mean(dim=1)

    def neighbours(self, p: Tensor) -> Tensor:
        """Standardised (B, Z) -> (B,)."""
        # By products, in double precision, where that is exact enough; in single precision a copy would lie off itself.
        point, bank = p.double(), self.bank.double()
        squared = point.square().sum(dim=1, keepdim=True) - 2 * point @ bank.T + bank.square().sum(dim=1)  # (B, size)
        # No branch on how many are in use, nor a slice of the bank: the same graph before and after `fit`.
        count = self.count.clamp(min=1)
        unused = torch.arange(len(bank), device=p.device) >= count
        squared = squared.clamp(min=0).masked_fill(unused, torch.inf)
        nearest = squared.topk(min(self.near, len(bank)), largest=False).values.sqrt()
        known = nearest.isfinite()
        mean = torch.where(known, nearest, 0).sum(dim=1) / known.sum(dim=1)
        return (mean / math.sqrt(p.shape[1])).float()
