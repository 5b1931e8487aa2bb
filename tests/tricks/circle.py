"""A game that goes round in circles: data on a circle, a generator that can make only one spot of it at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from medudl.batch import Batch
from medudl.config import Optimiser, Train
from medudl.methods.adversarial import Adversarial
from medudl.methods.method import Objective
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks.adversarial import Weights
from medudl.tricks.trick import Trick

STD = 0.1  # of the spot, and of the data about the circle of radius 1
RATES = {"generator": 0.1, "discriminator": 1.0}
SLOW = {"generator": 0.02, "discriminator": 0.2}  # a round takes some 180 steps, with RATES some 30
BATCH = 32


@dataclass(frozen=True)
class Motion:
    """Of the last two thirds of a training.

    amplitude: root mean square distance of the generator's spot from its own mean. speed: its mean way in a step.
    swing: standard deviation over time of the discriminator's logit at a point of the circle, mean of 8 points.
    """

    amplitude: float
    speed: float
    swing: float


class Spot(nn.Module):
    """Codes (B, 2) -> points about a place that is learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor([1.0, 0.0]) + 0.1 * torch.randn(2))

    def forward(self, z: Tensor) -> Tensor:
        return self.place + STD * z


class Bumps(nn.Module):
    """Points (B, 2) -> logits (B,): a weighted sum of Gaussian bumps on a grid; each place has its own answer."""

    grid: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.linspace(-2, 2, 9)
        self.register_buffer("grid", torch.cartesian_prod(line, line))
        self.weigh = nn.Linear(81, 1)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        near = torch.exp(-torch.cdist(image, self.grid).square() / (2 * 0.4**2))
        logits: Tensor = self.weigh(near).squeeze(1)
        return logits


class CircleGame(Adversarial):
    """One update of the discriminator, then one of the generator."""

    def __init__(self) -> None:
        super().__init__((2,), "non_saturating")
        self.generator, self.discriminator = Spot(), Bumps()

    def players(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def step(self, batch: Batch) -> Iterator[Objective]:
        real = batch["image"]
        with torch.no_grad():
            fake = self.make(self.stand_in("generator"))
        yield self.discriminator_turn(self.duel("discriminator", "generator", self.discriminator, real, fake))
        yield self.generator_turn(self.duel("discriminator", "generator", self.discriminator, real, self.make()))

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def make(self, weights: Weights | None = None) -> Tensor:
        z = torch.randn(BATCH, 2)
        points: Tensor = self.generator(z) if weights is None else functional_call(self.generator, dict(weights), (z,))
        return points


def on_circle(angles: Tensor) -> Tensor:
    """(N,) -> (N, 2)."""
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def play(
    seed: int,
    tricks: Sequence[Trick] = (),
    steps: int = 1200,
    rates: Mapping[str, float] = RATES,
    forgetting: float = 0.0,
) -> Motion:
    """Train by plain gradient steps through the one loop, and watch.

    forgetting: the discriminator's weight decay. Without it only what is shown anew takes away what was learnt.
    """
    torch.manual_seed(seed)
    game = CircleGame()
    for trick in tricks:
        trick.setup(game.players())
    game.join(tricks)
    fabric, eight = launch(Train(steps=steps, device="cpu")), on_circle(torch.arange(8) * (math.pi / 4))
    decay = {"generator": 0.0, "discriminator": forgetting}
    players = {
        name: Player(
            fabric, name, module, Optimiser(name="sgd", lr=rates[name], betas=(0.0, 0.9), weight_decay=decay[name])
        )
        for name, module in game.players().items()
    }
    places, logits = [], []
    for _ in range(steps):
        real = on_circle(2 * math.pi * torch.rand(BATCH)) + STD * torch.randn(BATCH, 2)
        batch: Batch = {"image": real}
        train_step(fabric, game, players, tricks, batch, lambda: False)
        with torch.no_grad():
            places.append(game.generator.place.clone())
            logits.append(game.discriminator(eight))
    place, logit = torch.stack(places)[steps // 3 :], torch.stack(logits)[steps // 3 :]
    return Motion(
        (place - place.mean(0)).square().sum(1).mean().sqrt().item(),
        place.diff(dim=0).norm(dim=1).mean().item(),
        logit.std(0).mean().item(),
    )
