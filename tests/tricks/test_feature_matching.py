"""Feature matching: a distance of means, for the generator alone."""

from __future__ import annotations

import pytest
import torch
from tiny_game import TinyGame, loss_of, moved
from torch import Tensor

from medudl.errors import UserError
from medudl.tricks.adversarial import Duel
from medudl.tricks.feature_matching import FeatureMatching, distance_of_means


def _features(count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, *size, generator=generator) for size in ((3, 4, 4), (5,))]


def _duel(real: Tensor, fake: Tensor, game: TinyGame | None = None) -> Duel:
    game = game or TinyGame()
    return game.duel("discriminator", "generator", game.discriminator, real, fake)


def test_closed_form() -> None:
    real, fake = torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.tensor([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    assert distance_of_means([real], [fake]).item() == (2 - 1) ** 2 + (4 - 1) ** 2
    assert distance_of_means([real, real], [fake, real]).item() == 10
    assert distance_of_means([real.bfloat16()], [fake.bfloat16()]).dtype == torch.float32


def test_permuting_either_batch_changes_nothing_and_permuting_units_does() -> None:
    real, fake = _features(6, 0), _features(6, 1)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    plain = distance_of_means(real, fake)
    permuted = distance_of_means(real, [f[order] for f in fake])
    away = (permuted / plain - 1).abs().item()
    print(f"\nrelative change by permuting the batch {away:.1e}; n = 6 images, seeds 0 and 1")
    assert away < 1e-6
    torch.testing.assert_close(distance_of_means([r[order] for r in real], fake), plain)
    assert not torch.isclose(distance_of_means(real, [f.flip(1) for f in fake]), plain)


def test_zero_for_equal_means_although_no_image_is_like_another() -> None:
    """The mean of distances, which it is often mistaken for, is not 0 there."""
    fake = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert distance_of_means([torch.zeros(2, 2)], [fake]).item() == 0
    assert fake.square().sum(1).mean().item() == 2


def test_it_sees_the_mean_alone_through_the_discriminator() -> None:
    trick = FeatureMatching()
    duel = TinyGame().turn()
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    plain = trick.distance(duel)
    torch.testing.assert_close(trick.distance(_duel(duel.real[order], duel.fake)), plain)
    torch.testing.assert_close(trick.distance(_duel(duel.real, duel.fake[order])), plain)
    torch.testing.assert_close(trick.distance(_duel(duel.real, duel.real[order])), torch.tensor(0.0))
    assert plain > 0


@pytest.mark.parametrize("layer", [0, 1, -1, -2])
def test_the_layer_is_the_one_asked_for(layer: int) -> None:
    duel = TinyGame().turn()
    real, fake = duel.features(duel.real)[layer], duel.features(duel.fake)[layer]
    expected = (real.mean(0) - fake.mean(0)).square().sum()
    torch.testing.assert_close(FeatureMatching(layer=layer).distance(duel), expected)


def test_a_layer_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="feature_matching.layer 2, of 2 hidden layers; choose it from -2 to 1"):
        FeatureMatching(layer=2).distance(TinyGame().turn())


@pytest.mark.parametrize("replaces", [True, False])
def test_the_gradient_reaches_the_generator_only(replaces: bool) -> None:
    game = TinyGame([FeatureMatching(replaces=replaces)])
    assert moved(game, game.generator_turn(game.turn())) == {"generator"}
    plain = TinyGame()
    duel = game.turn()
    duel.real.requires_grad_()
    slope = torch.autograd.grad(loss_of(game.generator_turn(duel)), duel.real, allow_unused=True)
    assert slope == (None,)
    same = loss_of(plain.discriminator_turn(plain.turn()))
    assert torch.equal(loss_of(game.discriminator_turn(game.turn())), same), "the discriminator keeps its loss"


def test_added_or_in_place_of_the_adversarial_loss() -> None:
    adversarial = TinyGame().turn().generator_loss()
    distance = FeatureMatching().distance(TinyGame().turn())
    added, replaced = (TinyGame([FeatureMatching(weight=3.0, replaces=answer)]) for answer in (False, True))
    objective = added.generator_turn(added.turn())
    torch.testing.assert_close(loss_of(objective), adversarial + 3 * distance)
    torch.testing.assert_close(objective.parts["feature_matching"], 3 * distance.detach())
    torch.testing.assert_close(loss_of(replaced.generator_turn(replaced.turn())), 3 * distance)


def test_generated_images_keep_their_own_condition() -> None:
    duel = TinyGame().turn()
    duel.condition, duel.fake_condition = torch.zeros(6, 1), torch.ones(6, 1)
    real, fake = duel.discriminator.features(duel.real), duel.discriminator.features(duel.fake + 1)  # type: ignore[operator]
    torch.testing.assert_close(FeatureMatching().distance(duel), distance_of_means(real[-1:], fake[-1:]))


def test_two_that_replace_the_loss_are_refused() -> None:
    with pytest.raises(UserError, match="both replace the generator's loss"):
        TinyGame([FeatureMatching(replaces=True), FeatureMatching(replaces=True)])
    TinyGame([FeatureMatching(replaces=True), FeatureMatching(layer=0)])
