"""Ring of 8 Gaussians (Metz et al. 2017), on which a GAN that collapses can be counted; through the real loop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.config import Optimiser, Train
from medudl.losses.adversarial import Loss
from medudl.methods.adversarial import Adversarial
from medudl.methods.method import Objective
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks.trick import Trick

MODES, RADIUS, STD = 8, 2.0, 0.1
ANGLES = torch.arange(MODES) * (2 * math.pi / MODES)
CENTRES = RADIUS * torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)  # (8, 2); neighbours lie 15 std apart


@dataclass(frozen=True)
class Settings:
    """One training: two hidden layers of `hidden` units each; Adam for both players."""

    steps: int
    batch: int = 128
    latent: int = 2
    hidden: int = 128
    generator_lr: float = 1e-3
    discriminator_lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)
    loss: Loss = "non_saturating"


class RingDiscriminator(nn.Module):
    """Point (B, 2) -> logit (B,); `body` and `head` as tricks expect them."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.head: nn.Module = nn.Linear(hidden, 1)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.body(image)).squeeze(1)
        return logits

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        return [self.body[:2](image), self.body(image)]


class RingGAN(Adversarial):
    """Codes (B, Z) -> points (B, 2); one update of the discriminator, then one of the generator."""

    def __init__(self, settings: Settings, *, loss: Loss) -> None:
        super().__init__((2,), loss)
        self.latent, hidden = settings.latent, settings.hidden
        self.generator = nn.Sequential(
            nn.Linear(self.latent, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2)
        )
        self.discriminator = RingDiscriminator(hidden)

    def players(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def step(self, batch: Batch) -> Iterator[Objective]:
        real = batch["image"]
        with torch.no_grad():
            fake = self.sample(len(real))
        yield self.discriminator_turn(self.duel("discriminator", "generator", self.discriminator, real, fake))
        fake = self.sample(len(real))
        yield self.generator_turn(self.duel("discriminator", "generator", self.discriminator, real, fake))

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def sample(self, count: int) -> Tensor:
        points: Tensor = self.generator(torch.randn(count, self.latent))
        return points


def points(count: int) -> Tensor:
    """(count, 2) from the ring, by torch's generator."""
    return CENTRES[torch.randint(MODES, (count,))] + STD * torch.randn(count, 2)


def train_ring(seed: int, settings: Settings, tricks: Sequence[Trick] = ()) -> RingGAN:
    """A GAN trained on the ring, as `medudl train` would: build, setup, check, join, then the one loop."""
    torch.manual_seed(seed)
    method = RingGAN(settings, loss=settings.loss)
    for hook in ("build", "setup"):
        for trick in tricks:
            getattr(trick, hook)(method.players())
    method.check_tricks(tricks, {"loss": settings.loss})
    method.join(tricks)
    rates = {"generator": settings.generator_lr, "discriminator": settings.discriminator_lr}
    fabric = launch(Train(steps=settings.steps, device="cpu"))
    players = {
        name: Player(fabric, name, module, Optimiser(lr=rates[name], betas=settings.betas))
        for name, module in method.players().items()
    }
    for _ in range(settings.steps):
        batch: Batch = {"image": points(settings.batch)}
        train_step(fabric, method, players, tricks, batch, lambda: False)
    return method.eval()  # type: ignore[no-any-return]


def held(samples: Tensor) -> int:
    """Modes held: those with at least 1 % of the samples (N, 2) within 3 std of their centre."""
    near = torch.cdist(samples, CENTRES) <= 3 * STD
    return int((near.float().mean(0) >= 0.01).sum())


@torch.no_grad()
def drawn(method: RingGAN, count: int = 2048) -> Tensor:
    """(count, 2) samples of a trained GAN, by a seed of their own."""
    torch.manual_seed(999)
    return method.sample(count)
