"""Variational autoencoder: linear, dense or convolutional."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.divergence import kl_to_standard_normal
from medudl.methods.coding import Coding, coarse_features
from medudl.methods.likelihood import error_map
from medudl.methods.method import Objective
from medudl.methods.observation import Model, advice, observation
from medudl.methods.posterior import CodeUse, Moments, fixed_noise, reparametrise
from medudl.networks import coder
from medudl.networks.blocks import Norm
from medudl.networks.dense import DenseEncoder

Goal = Literal["elbo", "reconstruction", "kl"]

_VALIDATION_PAIRS = 1  # of points of the code's distribution, see `fixed_noise`
_SCORE_PAIRS = 4


class VariationalAutoencoder(Coding):
    """Variational autoencoder (Kingma & Welling 2013); with beta other than 1 the beta-VAE (Higgins et al. 2017).

        q(z given x) = N(mean(x), sigma(x)^2),   z = mean + sigma * noise,   minimise
        -ELBO = -E_q log p(x given z) + beta * KL(q, N(0, I))

    The likelihood is complete, its constants included, and summed over the foreground's voxels (every voxel without a
    `foreground`); the divergence is summed over the Z code dimensions; both are averaged over the batch only. Outside
    training the code is its mean.

    latent: Z. network: linear (probabilistic PCA: one sigma a code dimension for all images), dense (`hidden`: sizes of
    the encoder's hidden layers, mirrored in the decoder), convolutional (`width`, `levels`, `norm` as in autoencoder).
    likelihood: gaussian, laplace, or bernoulli (logits; images clipped to [0, 1]). sigma: the spread of the first two
    (laplace: scale b) in intensities, stated; without it one is learned. There is no bare squared error: it is a
    gaussian of sigma = .71 in disguise, which leaves most code dimensions unused.
    beta: weight of the divergence. warmup: beta rises linearly from 0 over this many updates (Bowman et al. 2016).
    objective: elbo; reconstruction (beta 0) or kl alone, for pictures of what either term does.

    sample draws z from N(0, I) and gives the expected image, without the likelihood's noise.
    Scores: elbo is -ELBO at beta 1 in nats, averaged over 8 fixed points of q (`fixed_noise`), each voxel weighed by
    the share of training images whose foreground it was in; kl in nats; latent_distance of the mean code.
    """

    score_names: ClassVar[tuple[str, ...]] = ("elbo", "kl", "latent_distance")

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: Annotated[int, Field(ge=1)] = 64,
        network: coder.Network = "convolutional",
        hidden: tuple[Annotated[int, Field(ge=1)], ...] = (512,),
        width: Annotated[int, Field(ge=1)] = 32,
        levels: Annotated[int, Field(ge=1, le=8)] = 4,
        norm: Norm = "group",
        likelihood: Model = "gaussian",
        sigma: Annotated[float | None, Field(gt=0)] = None,
        beta: Annotated[float, Field(ge=0)] = 1.0,
        warmup: Annotated[int, Field(ge=0)] = 0,
        objective: Goal = "elbo",
    ) -> None:
        super().__init__(shape, latent)
        if latent >= math.prod(shape):
            raise UserError(
                f"method.latent: {latent} is no bottleneck for images of {math.prod(shape)} values; lower it"
            )
        self.latent = latent
        twice = 2 * latent  # mean and log variance
        self.encoder = (
            _Linear(shape, latent)
            if network == "linear"
            else coder.encoder(network, shape, twice, hidden=hidden, width=width, levels=levels, norm=norm)
        )
        self.decoder = coder.decoder(network, shape, latent, hidden=hidden, width=width, levels=levels, norm=norm)
        self.likelihood = observation(likelihood, sigma)
        weights: Mapping[Goal, tuple[float, float]] = {"elbo": (1, beta), "reconstruction": (1, 0), "kl": (0, 1)}
        self.weights = weights[objective]  # of the two terms
        self.warmup = warmup
        self.updates = 0  # begun so far, up to `warmup`
        self.use = CodeUse(latent)
        self.seen: Tensor
        self.register_buffer("seen", torch.ones(1, *shape[1:]))

    def players(self) -> dict[str, nn.Module]:
        """One: the whole autoencoder."""
        return {"autoencoder": self}

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update: draw a code, draw the image, both terms."""
        mean, log_var = self.posterior(batch["image"])
        z = reparametrise(mean, log_var, torch.randn_like(mean))  # (B, Z)
        nll = self.likelihood(self.decoder(z), batch["image"], batch.get("foreground"))  # (B,)
        kl = kl_to_standard_normal(mean, log_var)  # (B,)
        loss = self._objective(nll, kl, self._rise()).mean()
        yield Objective("autoencoder", loss, {"reconstruction": nll.detach().mean(), "kl": kl.detach().mean()})

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss, reconstruction, kl: (B,)}: what training minimises once beta has risen, at fixed points of q."""
        nll, kl = self.bound(batch["image"], batch.get("foreground"), fixed_noise(_VALIDATION_PAIRS, self.latent))
        return {"loss": self._objective(nll, kl, 1.0), "reconstruction": nll, "kl": kl}

    def posterior(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z given x): (B, C, *S) -> (B, Z) twice, float32 at the least."""
        both: Tensor = self.encoder(image)  # (B, 2Z)
        mean, log_var = both.to(torch.promote_types(both.dtype, torch.float32)).chunk(2, dim=1)
        result: tuple[Tensor, Tensor] = (mean, log_var)
        return result

    def bound(self, image: Tensor, foreground: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of -ELBO, in nats: -E_q log p(x given z) and KL(q, p), (B,) each.

        noise: (P, Z), the points that stand for N(0, I); the expectation is the average over them.
        """
        mean, log_var = self.posterior(image)
        nll = torch.zeros(len(image), dtype=mean.dtype, device=mean.device)
        for point in noise.to(mean):
            output = self.decoder(reparametrise(mean, log_var, point))
            nll = nll + self.likelihood(output, image, foreground) / len(noise)
        return nll, kl_to_standard_normal(mean, log_var)

    def encode(self, image: Tensor) -> Tensor:
        """Mean of q: (B, C, *S) -> (B, Z)."""
        return self.posterior(image)[0]

    def uncertainty(self, image: Tensor) -> Tensor:
        """Standard deviation of q: (B, C, *S) -> (B, Z), > 0. 1 where the image says nothing of that dimension."""
        return torch.exp(0.5 * self.posterior(image)[1])

    def decode(self, code: Tensor) -> Tensor:
        """The expected image of a code: (B, Z) -> (B, C, *S)."""
        return self.likelihood.mean(self.decoder(code))

    def reconstruct(self, image: Tensor) -> Tensor:
        """The expected image of the mean code: (B, C, *S) -> (B, C, *S)."""
        return self.decode(self.encode(image))

    def draw(self, count: int) -> Tensor:
        """Codes from the prior N(0, I): (count, Z)."""
        return torch.randn(count, self.latent, device=self.seen.device)

    def sample(self, count: int) -> Tensor:
        """Expected images of codes drawn from the prior N(0, I): (count, C, *S)."""
        return self.decode(self.draw(count))

    def feature_map(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *s), the encoder's coarsest features. UserError: the network is not convolutional."""
        return coarse_features(self.encoder, image)

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """|x - x^|, mean over channels: map (B, 1, *S), and its mean over voxels (B,)."""
        return error_map(self.reconstruct(image), image)

    def scores(self, image: Tensor) -> dict[str, Tensor]:
        """{elbo, kl, latent_distance: (B,)}, see the class."""
        nll, kl = self.bound(image, self.seen, fixed_noise(_SCORE_PAIRS, self.latent))
        return {"elbo": nll + kl, "kl": kl, **super().scores(image)}

    @torch.no_grad()
    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure the codes' spread, which of them are in use, and where the foreground lies."""
        voxels, foregrounds = Moments(), Moments()
        parts: list[tuple[Tensor, Tensor]] = []
        for batch in batches:
            parts.append(self.posterior(batch["image"]))
            voxels.add(batch["image"].flatten(1))
            foregrounds.add(batch.get("foreground", torch.ones_like(batch["image"][:, :1])))
        mean, log_var = (torch.cat(column) for column in zip(*parts, strict=True))
        self.codes.fit([mean])
        self.use.fit(mean, log_var, voxels.variance.max())
        self.seen.copy_(foregrounds.mean)

    def notes(self) -> list[str]:
        """How many code dimensions are in use, and what to do where they are few."""
        return self.use.notes(advice(self.likelihood))

    def extra_state(self) -> dict[str, object]:
        """How far the warm-up is."""
        return {"updates": self.updates}

    def load_extra_state(self, state: dict[str, object]) -> None:
        """Restore what `extra_state` gave."""
        self.updates = int(str(state["updates"]))

    def _rise(self) -> float:
        """How much of beta this update has, and one update on."""
        if self.updates == self.warmup:
            return 1.0
        self.updates += 1
        return (self.updates - 1) / self.warmup

    def _objective(self, nll: Tensor, kl: Tensor, rise: float) -> Tensor:
        reconstruction, divergence = self.weights[0], self.weights[1] * rise
        return _weighed(reconstruction, nll) + _weighed(divergence, kl)


def _weighed(weight: float, term: Tensor) -> Tensor:
    return term if weight == 1 else weight * term


class _Linear(nn.Module):
    """Mean affine in the image, variance the same for all: the posterior of probabilistic PCA is of this form."""

    def __init__(self, shape: tuple[int, ...], latent: int) -> None:
        super().__init__()
        self.mean = DenseEncoder(shape, latent, hidden=())
        self.log_var = nn.Parameter(torch.zeros(latent))

    def forward(self, image: Tensor) -> Tensor:
        mean: Tensor = self.mean(image)
        return torch.cat([mean, self.log_var.to(mean.dtype).expand_as(mean)], dim=1)  # (B, 2Z)
