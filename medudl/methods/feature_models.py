"""What expects the features of healthy images, position by position: linear, convolutional, nearest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.methods.feature_statistics import Moments, Reservoir
from medudl.networks.blocks import conv

Model = Literal["linear", "convolutional", "nearest"]

_CHUNK = 4096  # positions compared with all prototypes at a time


class Standardise(nn.Module):
    """z = (f - mean) / std for each channel over all positions of the training images, measured while steps go on.

    Buffers: mean, scatter (C,) float64, weight (). Before the first step a batch is taken by its own statistics, so
    that losses can be compared from the start.
    """

    mean: Tensor
    scatter: Tensor
    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("scatter", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def measure(self, features: Tensor, weight: Tensor) -> None:
        """Add features (B, C, *S) of weight (B, 1, *S)."""
        mean, scatter, new = _moments(features, weight)
        total = (self.weight + new).clamp(min=1e-12)
        step = mean - self.mean
        self.scatter += scatter + step.square() * self.weight * new / total
        self.mean += step * new / total
        self.weight += new

    def fit(self, moments: Moments) -> None:
        """Replace what was measured in passing by exact moments."""
        self.mean.copy_(moments.mean)
        self.scatter.copy_(moments.std.square() * moments.weight)
        self.weight.fill_(moments.weight)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S)."""
        own_mean, own_scatter, own = _moments(features, torch.ones_like(features[:, :1]))
        begun = self.weight > 0
        mean = torch.where(begun, self.mean, own_mean)
        variance = torch.where(begun, self.scatter / self.weight.clamp(min=1e-12), own_scatter / own)
        std = variance.sqrt()
        std = torch.where(std > 1e-6 * mean.abs().clamp(min=1e-6), std, torch.ones_like(std)).float()
        return (features - _over_space(mean.float(), features)) / _over_space(std, features)


def _moments(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, w = features.detach().double().movedim(1, -1).flatten(0, -2), weight.double().flatten()  # (N, C), (N,)
    total = w.sum()
    mean = (w @ x) / total.clamp(min=1e-12)
    return mean, w @ (x - mean).square(), total


def _over_space(values: Tensor, features: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (features.ndim - 2))


class FeatureModel(nn.Module, ABC):
    """standardised features (B, C, *S) -> what healthy images would have there, (B, C, *S). It has parameters.

    sample: how many positions of the training images `fit` wants to see, at random; 0 for none.
    closed: whether `fit` puts the whole model in; one that is kept as trained keeps the scale it was trained on, too.
    """

    sample = 0
    closed = True

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S)."""

    @abstractmethod
    def fit(self, moments: Moments, sample: Reservoir) -> str:
        """After the last step: put in what is known in closed form. Returns a few words on what the model is now."""


class Linear(FeatureModel):
    """Linear autoencoder of each position: z^ = D (E z + e) + d (B, C, *S), E: (Z, C).

    Its optimum spans the first Z principal axes (Baldi & Hornik 1989). Steps approach it; `fit` puts it in exactly:
    E = A', D = A, e = d = 0, A the axes of the standardised features of all training positions.
    """

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.encode = nn.Linear(channels, latent)
        self.decode = nn.Linear(latent, channels)

    def forward(self, z: Tensor) -> Tensor:
        """See `FeatureModel`."""
        expected: Tensor = self.decode(self.encode(z.movedim(1, -1)))
        return expected.movedim(-1, 1)

    @torch.no_grad()
    def fit(self, moments: Moments, sample: Reservoir) -> str:
        """See `FeatureModel`."""
        axes, variances = moments.axes()
        kept = len(self.encode.bias)
        self.encode.weight.copy_(axes[:, :kept].T)
        self.decode.weight.copy_(axes[:, :kept])
        self.encode.bias.zero_()
        self.decode.bias.zero_()
        return f"linear, {kept} components, {variances[:kept].sum() / variances.sum():.0%} of the variance"


class Convolutional(FeatureModel):
    """Autoencoder of 1 x 1 (x 1) convolutions (Shi et al. 2021): C -> (C + Z) / 2 -> Z -> (C + Z) / 2 -> C, ReLU."""

    closed = False

    def __init__(self, channels: int, latent: int, dims: int) -> None:
        super().__init__()
        middle = max(latent, (channels + latent) // 2)
        self.latent = latent
        self.body = nn.Sequential(
            conv(dims, channels, middle, kernel=1),
            nn.ReLU(),
            conv(dims, middle, latent, kernel=1),
            conv(dims, latent, middle, kernel=1),
            nn.ReLU(),
            conv(dims, middle, channels, kernel=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        """See `FeatureModel`."""
        expected: Tensor = self.body(z)
        return expected

    def fit(self, moments: Moments, sample: Reservoir) -> str:
        """Nothing is known in closed form: it stays as it was trained."""
        return f"convolutional, {self.latent} channels"


class Nearest(FeatureModel):
    """The nearest of K prototypes: z^ = argmin over p_k of |z - p_k| at each position.

    Steps are those of online k-means (MacQueen 1967: only the nearest moves); `fit` replaces the prototypes by K random
    positions of the training images (as Roth et al. 2022, with a random sample in place of their coreset).
    """

    def __init__(self, channels: int, prototypes: int) -> None:
        super().__init__()
        # All near the mean at first, so that each has a share of the positions.
        self.prototypes = nn.Parameter(0.1 * torch.randn(prototypes, channels))
        self.sample = prototypes

    def forward(self, z: Tensor) -> Tensor:
        """See `FeatureModel`."""
        flat = z.movedim(1, -1).flatten(0, -2)  # (N, C)
        with torch.no_grad():
            # A graph that is exported takes any number of positions, so how many parts they make cannot stand in it.
            parts = (flat,) if torch.compiler.is_compiling() else torch.split(flat, _CHUNK)
            nearest = torch.cat([_closest(part, self.prototypes) for part in parts])
        return torch.unflatten(self.prototypes[nearest], 0, (-1, *z.shape[2:])).movedim(-1, 1)

    @torch.no_grad()
    def fit(self, moments: Moments, sample: Reservoir) -> str:
        """See `FeatureModel`."""
        assert sample.kept is not None
        kept = sample.kept[torch.arange(len(self.prototypes)) % len(sample.kept)]  # all over again where there are few
        self.prototypes.copy_((kept - moments.mean.float()) / moments.std.float())
        return f"nearest of {min(len(sample.kept), len(self.prototypes))} positions of training images"


def _closest(points: Tensor, prototypes: Tensor) -> Tensor:
    """Number of the nearest prototype: (N, C), (K, C) -> (N,). |z|^2 is left out, being the same for all of them."""
    return (prototypes.square().sum(dim=1) - 2 * points @ prototypes.T).argmin(dim=1)


def feature_model(model: Model, channels: int, latent: int, dims: int) -> FeatureModel:
    """latent: numbers a position is squeezed into; for `nearest`, prototypes. Raises UserError: no bottleneck."""
    if model == "nearest":
        return Nearest(channels, latent)
    if latent >= channels:
        raise UserError(f"method.latent: {latent} of a stage's {channels} channels is no bottleneck; lower it")
    return Linear(channels, latent) if model == "linear" else Convolutional(channels, latent, dims)
