"""A denoising autoencoder as a generator: corrupt and sample the clean image, again and again (Bengio et al. 2013)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class Chain(BaseModel):
    """How samples are taken.

    start: where chains begin: at the mean training image, or at noise around it, one sigma wide.
    burn_in: rounds before the first sample. chains: run side by side, at most as many as samples are wanted; then each
    gives one sample every `thin` rounds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Literal["mean", "noise"] = "mean"
    burn_in: Annotated[int, Field(ge=1)] = 100
    thin: Annotated[int, Field(ge=1)] = 10
    chains: Annotated[int, Field(ge=1)] = 16


class ResidualSums:
    """What `Residual` is made from, counted batch by batch in float64 on the CPU. shape: (C, *S)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.images = 0
        self.total = torch.zeros(shape, dtype=torch.float64)
        self.squares = torch.zeros(shape, dtype=torch.float64)
        self.inside = torch.zeros((1, *shape[1:]), dtype=torch.float64)

    def add(self, image: Tensor, restored: Tensor, foreground: Tensor) -> None:
        """Count one batch: image and r(corrupt(image)) (B, C, *S), foreground (B, 1, *S)."""
        inside = foreground.double().cpu()
        self.images += len(image)
        self.total += image.double().sum(0).cpu()
        self.squares += ((image - restored).double().square().cpu() * inside).sum(0)
        self.inside += inside.sum(0)


class Residual(nn.Module):
    """What a denoiser leaves: p(x given corrupted) = N(r(corrupted), diag(variance)), measured on training images.

    variance: E (x - r(corrupt(x)))^2 of each voxel and channel, over the images whose foreground it lies in; before it
    is measured, `initial`. mean: the mean training image. seen: voxels that lie in some image's foreground; elsewhere r
    was never trained, and samples show the mean. Buffers (C, *S), seen (1, *S). Voxels are taken as independent given
    the corrupted image: what r leaves of a smooth image is smooth too, so samples are grainier than images are.
    """

    mean: Tensor
    variance: Tensor
    seen: Tensor

    def __init__(self, shape: tuple[int, ...], initial: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full(shape, 0.5))
        self.register_buffer("variance", torch.full(shape, initial))
        self.register_buffer("seen", torch.ones((1, *shape[1:]), dtype=torch.bool))

    def take(self, sums: ResidualSums) -> None:
        """Fill the buffers with what was counted; nothing counted leaves them as they are."""
        if sums.images:
            self.mean.copy_(sums.total / sums.images)
            self.seen.copy_(sums.inside > 0)
            self.variance.copy_(sums.squares / sums.inside.clamp(min=1))

    def draw(self, expected: Tensor) -> Tensor:
        """Sample p(x given corrupted), never its mean: expected r(corrupted) (B, C, *S) -> (B, C, *S)."""
        drawn = expected + self.variance.sqrt() * torch.randn_like(expected)
        return torch.where(self.seen, drawn, self.mean)


def run_chains(
    chain: Chain,
    corrupt: Callable[[Tensor], Tensor],
    restore: Callable[[Tensor], Tensor],
    residual: Residual,
    count: int,
) -> Tensor:
    """`count` samples: (count, C, *S). A round: x~ = corrupt(x), then x ~ p(x given x~)."""
    x = residual.mean.expand(min(count, chain.chains), *residual.mean.shape).clone()
    if chain.start == "noise":
        x = corrupt(x)
    found: list[Tensor] = []
    rounds = chain.burn_in
    while sum(map(len, found)) < count:
        for _ in range(rounds):
            x = residual.draw(restore(corrupt(x)))
        found.append(x)
        rounds = chain.thin
    return torch.cat(found)[:count]
