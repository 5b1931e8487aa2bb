"""Test-only methods that use every corner of the contract before the real ones exist. Tiny, and 2-D or 3-D alike.

`register(monkeypatch)` puts them into METHODS, so that `methods.build` and a config find them by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.methods import METHODS
from medudl.methods.method import Method, Objective, Phase
from medudl.tricks.gradient_penalty import gradient_penalty

TOYS = {
    "toy_wasserstein": "toys:ToyWasserstein",
    "toy_unrolled": "toys:ToyUnrolled",
    "toy_staged_rbm": "toys:ToyStagedRBM",
}


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the toys to METHODS until the test ends."""
    for name, place in TOYS.items():
        monkeypatch.setitem(METHODS, name, place)


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Softplus(), nn.Linear(hidden, outputs))


class Generator(nn.Module):
    """z (B, Z) -> image (B, C, *S) in [0, 1]."""

    def __init__(self, shape: tuple[int, ...], latent: int, hidden: int) -> None:
        super().__init__()
        self.shape = shape
        self.net = mlp(latent, hidden, math.prod(shape))

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.net(z)).unflatten(1, self.shape)


class ImagePool:
    """The last `size` fakes; a query returns each image or, half the time, an older one in its place."""

    def __init__(self, shape: tuple[int, ...], size: int) -> None:
        self.images = torch.zeros(size, *shape)
        self.count = 0

    def query(self, fakes: Tensor) -> Tensor:
        self.images = self.images.to(fakes.device)
        given = []
        for fake in fakes.detach().float():
            full = self.count == len(self.images)
            place = int(torch.randint(len(self.images), ())) if full else self.count
            old = full and torch.rand(()) < 0.5
            given.append(self.images[place].clone() if old else fake)
            self.images[place] = fake
            self.count = min(self.count + 1, len(self.images))
        return torch.stack(given)


class ToyGAN(Method):
    """What both toy GANs share: a generator, its samples, and how far the nearest sample is from an image."""

    monitor = "distance"

    def __init__(self, shape: tuple[int, ...], latent: int, hidden: int) -> None:
        super().__init__(shape)
        self.latent = latent
        self.generator = Generator(self.shape, latent, hidden)

    def noise(self, count: int) -> Tensor:
        return torch.randn(count, self.latent, device=next(self.parameters()).device)

    def sample(self, count: int) -> Tensor:
        images: Tensor = self.generator(self.noise(count)).float()
        return images

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        image = batch["image"]
        z = torch.randn(32, self.latent, generator=torch.Generator().manual_seed(0)).to(image.device)
        samples = self.generator(z).float()
        return {"distance": (image[:, None] - samples[None]).flatten(2).square().mean(2).min(1).values}


class ToyWasserstein(ToyGAN):
    """WGAN-GP: the critic is updated `critic_steps` times for one update of the generator; an image pool."""

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: int = 2,
        hidden: int = 16,
        critic_steps: int = 2,
        pool: int = 16,
        penalty: float = 10.0,
    ) -> None:
        super().__init__(shape, latent, hidden)
        self.critic_steps = critic_steps
        self.penalty = penalty
        self.critic = nn.Sequential(nn.Flatten(), mlp(math.prod(shape), hidden, 1))
        self.pool = ImagePool(self.shape, pool)

    def players(self) -> dict[str, nn.Module]:
        return {"critic": self.critic, "generator": self.generator}

    def step(self, batch: Batch) -> Iterator[Objective]:
        real = batch["image"]
        for _ in range(self.critic_steps):
            with torch.no_grad():
                fake = self.generator(self.noise(len(real)))
            fake = self.pool.query(fake)
            parts = {
                "wasserstein": self.critic(fake).mean() - self.critic(real).mean(),
                "penalty": self.penalty * gradient_penalty(self.critic, real, fake).mean(),
            }
            yield Objective("critic", parts["wasserstein"] + parts["penalty"], _detached(parts))
        # Frozen while the graph is recorded: no gradient of the critic is computed in the generator's turn.
        self.critic.requires_grad_(False)
        loss = -self.critic(self.generator(self.noise(len(real)))).mean()
        self.critic.requires_grad_(True)
        yield Objective("generator", loss, {"generator": loss.detach()})

    def extra_state(self) -> dict[str, object]:
        return {"pool": {"images": self.pool.images, "count": self.pool.count}}

    def load_extra_state(self, state: dict[str, object]) -> None:
        pool = state["pool"]
        assert isinstance(pool, dict)
        self.pool.images = pool["images"].clone()
        self.pool.count = int(pool["count"])


class ToyUnrolled(ToyGAN):
    """Unrolled GAN (Metz et al. 2017): G's gradient goes through `unroll` steps of D, of a rate of their own."""

    def __init__(
        self, shape: tuple[int, ...], *, latent: int = 2, hidden: int = 16, unroll: int = 3, rate: float = 0.1
    ) -> None:
        super().__init__(shape, latent, hidden)
        self.unroll = unroll
        self.rate = rate
        self.discriminator = nn.Sequential(nn.Flatten(), mlp(math.prod(shape), hidden, 1))

    def players(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def step(self, batch: Batch) -> Iterator[Objective]:
        real = batch["image"]
        with torch.no_grad():
            fake = self.generator(self.noise(len(real)))
        loss = self.discriminator_loss(self.weights(), real, fake)
        yield Objective("discriminator", loss, {"discriminator": loss.detach()})
        loss = self.generator_loss(real, self.noise(len(real)))
        yield Objective("generator", loss, {"generator": loss.detach()})

    def weights(self) -> dict[str, Tensor]:
        return dict(self.discriminator.named_parameters())

    def discriminator_loss(self, weights: dict[str, Tensor], real: Tensor, fake: Tensor) -> Tensor:
        of_real = functional_call(self.discriminator, weights, (real,))
        of_fake = functional_call(self.discriminator, weights, (fake,))
        return F.softplus(-of_real).mean() + F.softplus(of_fake).mean()

    def generator_loss(self, real: Tensor, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            fake = self.generator(z)
            weights = {name: w.detach().clone().requires_grad_() for name, w in self.weights().items()}
            for _ in range(self.unroll):
                loss = self.discriminator_loss(weights, real, fake)
                slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
                weights = {n: w - self.rate * g for (n, w), g in zip(weights.items(), slopes, strict=True)}
            return F.softplus(-functional_call(self.discriminator, weights, (fake,))).mean()


class ToyRBM(nn.Module):
    """Bernoulli-Bernoulli RBM; `cd1` is the hand-written gradient of contrastive divergence."""

    def __init__(self, visible: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.01 * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def mean_hiddens(self, v: Tensor) -> Tensor:
        return torch.sigmoid(v @ self.weight + self.hidden_bias).float()

    def mean_visibles(self, h: Tensor) -> Tensor:
        return torch.sigmoid(h @ self.weight.T + self.visible_bias).float()

    @torch.no_grad()
    def cd1(self, v: Tensor) -> dict[str, Tensor]:
        h = self.mean_hiddens(v)
        v1 = self.mean_visibles(torch.bernoulli(h))
        h1 = self.mean_hiddens(v1)
        weight = (v1.T @ h1 - v.T @ h).float() / len(v)
        return {"weight": weight, "visible_bias": (v1 - v).mean(0), "hidden_bias": (h1 - h).mean(0)}


class ToyStagedRBM(Method):
    """Two RBMs trained one after the other, each in a phase of its own, by ready gradients."""

    def __init__(self, shape: tuple[int, ...], *, hidden: int = 12) -> None:
        super().__init__(shape)
        self.first = ToyRBM(math.prod(shape), hidden)
        self.second = ToyRBM(hidden, hidden)
        self.active = "first"

    def players(self) -> dict[str, nn.Module]:
        return {"first": self.first, "second": self.second}

    def phases(self) -> tuple[Phase, ...]:
        return Phase("first", 0.5), Phase("second", 0.5)

    def enter_phase(self, phase: Phase) -> None:
        self.active = phase.name

    def step(self, batch: Batch) -> Iterator[Objective]:
        rbm, v = self._layer(batch["image"])
        parts = {"reconstruction": self._error(rbm, v).mean()}
        yield Objective(self.active, None, parts, rbm.cd1(v))

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self._error(*self._layer(batch["image"]))}

    def encode(self, image: Tensor) -> Tensor:
        return self.second.mean_hiddens(self.first.mean_hiddens(image.flatten(1)))

    def reconstruct(self, image: Tensor) -> Tensor:
        hidden = self.second.mean_visibles(self.encode(image))
        return self.first.mean_visibles(hidden).unflatten(1, self.shape)

    @torch.no_grad()
    def _layer(self, image: Tensor) -> tuple[ToyRBM, Tensor]:
        v = image.flatten(1).clamp(0, 1)
        return (self.first, v) if self.active == "first" else (self.second, self.first.mean_hiddens(v))

    @torch.no_grad()
    def _error(self, rbm: ToyRBM, v: Tensor) -> Tensor:
        return (rbm.mean_visibles(rbm.mean_hiddens(v)) - v).square().mean(1)


def _detached(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: part.detach() for name, part in parts.items()}
