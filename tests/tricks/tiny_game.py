"""A game small enough for a trick's test: 8 x 8 images, a discriminator of two convolutions, through the real turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.losses.adversarial import Loss
from medudl.methods.adversarial import Adversarial
from medudl.methods.method import Objective
from medudl.tricks.adversarial import Duel
from medudl.tricks.trick import Trick

SHAPE = (1, 8, 8)


class TinyDiscriminator(nn.Module):
    """Image (B, 1, 8, 8) -> logits (B,), or (B, 1, 2, 2) where `patches`; a condition (B, 1) is added to the image."""

    def __init__(self, patches: bool = False) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.second = nn.Sequential(nn.Conv2d(4, 8, 4, stride=2, padding=1), nn.Tanh())
        self.head = nn.Conv2d(8, 1, 1) if patches else nn.Sequential(nn.Flatten(), nn.Linear(32, 1), nn.Flatten(0))

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.features(image, condition)[-1])
        return logits

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        image = image if condition is None else image + condition[..., None, None]
        first = self.first(image)
        return [first, self.second(first)]


class TinyGame(Adversarial):
    def __init__(self, tricks: Sequence[Trick] = (), *, loss: Loss = "non_saturating", patches: bool = False) -> None:
        super().__init__(SHAPE, loss)
        torch.manual_seed(0)
        self.discriminator, self.generator = TinyDiscriminator(patches), nn.Linear(3, 64)
        self.check_tricks(tricks, {"loss": loss})
        self.join(tricks)

    def players(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def turn(self, count: int = 6) -> Duel:
        """Always the same images."""
        drawn = torch.Generator().manual_seed(1)
        real, z = (torch.randn(count, n, generator=drawn) for n in (64, 3))
        real, fake = (torch.tanh(x).unflatten(1, SHAPE) for x in (real, self.generator(z)))
        return self.duel("discriminator", "generator", self.discriminator, real, fake)

    def step(self, batch: Batch) -> Iterator[Objective]:
        yield self.discriminator_turn(self.turn())
        yield self.generator_turn(self.turn())

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError


def loss_of(objective: Objective) -> Tensor:
    assert objective.loss is not None
    return objective.loss


def moved(game: TinyGame, objective: Objective) -> set[str]:
    """Players whose weights get a gradient that is not 0."""
    game.zero_grad()
    loss_of(objective).backward()  # type: ignore[no-untyped-call]
    return {
        name
        for name, player in game.players().items()
        if any(p.grad is not None and p.grad.abs().sum() > 0 for p in player.parameters())
    }
