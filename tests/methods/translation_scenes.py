"""Images whose translation is known: soft discs of several brightnesses, a map of their intensities, a blur."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.config import Optimiser, Train
from medudl.methods import build
from medudl.methods.method import Method
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks import build_tricks

SIDE = 32


def scenes(count: int, seed: int) -> Tensor:
    """(count, 1, 32, 32) in [0, 1]: a body of .25 to .35, and in it three to five soft discs from .1 to .95."""
    random = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, SIDE)
    y, x = torch.meshgrid(axis, axis, indexing="ij")

    def drawn(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=random))

    images = []
    for _ in range(count):
        image = drawn(0.25, 0.35) * torch.sigmoid(12 * (0.85 - (x.square() + (y / drawn(0.9, 1.1)).square()).sqrt()))
        for _ in range(int(torch.randint(3, 6, (), generator=random))):
            away = ((x - drawn(-0.5, 0.5)).square() + (y - drawn(-0.5, 0.5)).square()).sqrt()
            inside = torch.sigmoid(25 * (drawn(0.12, 0.3) - away))
            image = image + inside * (drawn(0.1, 0.95) - image)
        images.append(image)
    return torch.stack(images)[:, None].clamp(0, 1)


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, the border repeated."""
    at = torch.arange(-6, 7, dtype=torch.float32)
    line = torch.exp(-0.5 * (at / sigma).square())
    line = line / line.sum()
    wide = F.pad(image, [6, 6, 6, 6], mode="replicate")
    return F.conv2d(F.conv2d(wide, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))


def trained(
    name: str, source: Tensor, target: Tensor, steps: int, seed: int, *, paired: bool, batch: int = 4,
    **options: object,
) -> Method:  # fmt: skip
    """A method after so many steps through the product's own loop, in eval mode with averaged weights off."""
    torch.manual_seed(seed)
    method = build(name, (1, SIDE, SIDE), options)
    settings = Train(steps=steps, device="cpu")
    fabric = launch(settings)
    tricks = [] if paired else build_tricks([{"name": "image_replay", "size": 50}])
    players = {
        player: Player(fabric, player, module, Optimiser(lr=1e-3, betas=(0.5, 0.999), schedule="linear"))
        for player, module in method.players().items()
    }
    method.check_tricks(tricks, options)
    method.join(tricks)
    for step in range(steps):
        for player in players.values():
            player.set_rate(step, steps)
        one = torch.randint(len(source), (batch,))
        other = one if paired else torch.randint(len(target), (batch,))
        shown: Batch = {"image": source[one], "target": target[other], "id": []}
        train_step(fabric, method, players, tricks, shown, lambda: False)
    return method.eval()
