"""Run by test_adaptive_augmentation.py under torchrun: each rank trains on its own images and writes what it saw."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from tiny_game import SHAPE, TinyGame
from torch import Tensor

from medudl.batch import Batch
from medudl.config import Optimiser, Train
from medudl.methods.method import Objective
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks.adaptive_augmentation import AdaptiveAugmentation
from medudl.tricks.adversarial import AdversarialTrick, Duel

OPTIONS = {"interval": 2, "speed": 200.0, "target": 0.3}
STEPS = 24
IMAGES = (6, 4)  # of each rank, in a step


class Listener(AdversarialTrick):
    """Writes down the logits of the real images, and p after each update."""

    def __init__(self, to: AdaptiveAugmentation) -> None:
        self.to = to
        self.logits: list[Tensor] = []
        self.p: list[float] = []

    def seen(self, duel: Duel, real: Tensor, fake: Tensor) -> None:
        """After the augmentation, which stands before it in the list."""
        self.logits.append(real)
        self.p.append(self.to.p.get(duel.name, 0.0))


class Game(TinyGame):
    """The batch's images against those of drawn codes."""

    def step(self, batch: Batch) -> Iterator[Objective]:
        real = batch["image"]
        for turn in (self.discriminator_turn, self.generator_turn):
            fake = torch.tanh(self.generator(torch.randn(len(real), 3))).unflatten(1, SHAPE)
            yield turn(self.duel("discriminator", "generator", self.discriminator, real, fake))


def images(rank: int) -> Tensor:
    """Rank 0's are bright and soon told from noise; rank 1's are noise themselves."""
    noise = torch.tanh(torch.randn(IMAGES[rank], *SHAPE))
    return (noise + 1) / 2 if rank == 0 else noise


def train(folder: Path) -> None:
    """STEPS steps through the one loop."""
    trick = AdaptiveAugmentation(**OPTIONS)  # type: ignore[arg-type]
    listener = Listener(trick)
    game, fabric = Game([trick, listener]), launch(Train(steps=STEPS, device="cpu"))
    rank = fabric.global_rank
    torch.manual_seed(10 + rank)
    players = {
        name: Player(fabric, name, module, Optimiser(name="sgd", lr=0.3)) for name, module in game.players().items()
    }
    for _ in range(STEPS):
        train_step(fabric, game, players, game.tricks, {"image": images(rank)})
    dist.destroy_process_group()
    found = {"logits": listener.logits, "p": listener.p, "state": trick.state(), "weights": game.state_dict()}
    torch.save(found, folder / f"rank-{rank}.pt")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    train(Path(sys.argv[1]))
