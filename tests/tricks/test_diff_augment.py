"""Differentiable augmentation: the same law for real and fake, with the gradient through it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods.adversarial import Adversarial
from medudl.methods.method import Objective
from medudl.tricks import build_tricks
from medudl.tricks.adversarial import Duel
from medudl.tricks.diff_augment import DiffAugment

ALL = ("brightness", "contrast", "translation", "cutout", "flip")
SHAPES = [(4, 1, 16, 16), (4, 2, 8, 16, 16)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=["2-D", "3-D"])


class Recorder(nn.Module):
    """A discriminator that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        self.shown.append(image.detach())
        return self.scale * image.flatten(1).mean(1)


class Game(Adversarial):
    """Only what the turns need."""

    def players(self) -> dict[str, nn.Module]:
        return {}

    def step(self, batch: Batch) -> Iterator[Objective]:
        raise NotImplementedError

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError


def images(shape: tuple[int, ...]) -> Tensor:
    torch.manual_seed(0)
    return torch.rand(shape) - 0.5


def duel(trick: DiffAugment, real: Tensor, fake: Tensor) -> Duel:
    return Duel("discriminator", "generator", Recorder(), "non_saturating", real, fake, tricks=[trick])


@each_shape
@pytest.mark.parametrize("change", ALL)
def test_each_change_is_differentiable_and_each_images_own(change: str, shape: tuple[int, ...]) -> None:
    (trick,) = build_tricks([{"name": "diff_augment", "policy": [change]}])
    assert isinstance(trick, DiffAugment)
    image = images(shape)[:1].expand(64, *shape[1:]).clone().requires_grad_()
    shown = trick.shown(duel(trick, image, image), image)
    assert shown.shape == image.shape and shown.isfinite().all()
    assert len(shown.detach().flatten(1).unique(dim=0)) > 1, "one amount for all images"
    shown.square().sum().backward()
    assert image.grad is not None and image.grad.isfinite().all() and (image.grad != 0).any()


def test_real_and_fake_go_through_it_in_both_turns() -> None:
    """A game of which a discriminator never sees an image as it is."""
    trick = DiffAugment(policy=("brightness",))
    real, fake = images((4, 1, 8, 8)), images((4, 1, 8, 8)).requires_grad_()
    turn = duel(trick, real, fake)
    game = Game((1, 8, 8), "non_saturating")
    game.join([trick])
    game.discriminator_turn(turn)
    game.generator_turn(duel(trick, real, fake)).loss.backward()
    assert fake.grad is not None and (fake.grad != 0).all()
    assert isinstance(turn.discriminator, Recorder)
    seen_real, seen_fake = turn.discriminator.shown
    for seen in (seen_real, seen_fake):
        gain = (seen + 1) / (real + 1)
        assert (gain.flatten(1).std(1) < 1e-6).all() and (gain.mean((1, 2, 3)) - 1).abs().min() > 1e-3
    assert not torch.equal(seen_real, seen_fake), "one amount for real and fake"


@each_shape
def test_the_law_is_the_one_that_is_told(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    flat = torch.zeros(2000, 1, *shape[2:])
    gains = DiffAugment(policy=("brightness",), brightness=0.3).shown(duel(DiffAugment(), flat, flat), flat) + 1
    gains = gains.flatten(1)[:, 0]
    assert gains.min() >= 0.7 and gains.max() <= 1.3 and gains.std() == pytest.approx(0.6 / 12**0.5, rel=0.05)
    moved = DiffAugment(policy=("translation",)).shown(duel(DiffAugment(), flat, flat), flat)
    kept = (moved[:, 0] > -1).flatten(1, -2).any(1).sum(1)  # columns that are left
    assert set(kept.tolist()) == {14, 15, 16}
    assert (kept == 16).float().mean().item() == pytest.approx(1 / 5, abs=0.03), "-2 to 2, each as often"
    cut = DiffAugment(policy=("cutout",)).shown(duel(DiffAugment(), flat, flat), flat)
    share = (cut == -1).float().flatten(1).mean(1)
    dims = len(shape) - 2
    assert share.max() == 0.5**dims and share.min() >= 0.25**dims * 0.9
    flipped = DiffAugment(policy=("flip",))
    ramp = torch.linspace(-1, 1, 16).expand(flat.shape)
    turned = flipped.shown(duel(flipped, ramp, ramp), ramp).flatten(1)[:, 0] > 0
    assert turned.float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_air_stays_air() -> None:
    trick, air = DiffAugment(policy=ALL), torch.full((8, 1, 16, 16), -1.0)
    torch.testing.assert_close(trick.shown(duel(trick, air, air), air), air)


def test_same_seed_same_change() -> None:
    trick, image = DiffAugment(policy=ALL), images((4, 1, 16, 16))
    turn = duel(trick, image, image)
    torch.manual_seed(5)
    one = trick.shown(turn, image)
    torch.manual_seed(5)
    assert torch.equal(one, trick.shown(turn, image))
    assert not torch.equal(one, trick.shown(turn, image))


@pytest.mark.parametrize(
    "entry", [{"policy": ["saturation"]}, {"policy": []}, {"cutout": 1.0}, {"translation": 0}], ids=str
)
def test_slips(entry: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"tricks\[0\]"):
        build_tricks([{"name": "diff_augment", **entry}])
