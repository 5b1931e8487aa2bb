"""Gradient penalty: closed form on critics of known slope, second-order gradient, full precision."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from tiny_game import TinyGame, loss_of, moved
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.networks.minibatch_discrimination import MinibatchHead
from medudl.tricks import build_tricks
from medudl.tricks.gradient_penalty import GradientPenalty, gradient_penalty, real_gradient_penalty

REAL, FAKE = torch.zeros(4, 1, 3, 3), torch.ones(4, 1, 3, 3)


def linear(slope: float) -> nn.Module:
    """critic(x) = w'x with ||w|| = slope."""
    layer = nn.Linear(9, 1, bias=False)
    nn.init.constant_(layer.weight, slope / 3)
    return nn.Sequential(nn.Flatten(), layer)


@pytest.mark.parametrize(("slope", "two", "one"), [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (3.0, 4.0, 4.0), (0.5, 0.25, 0.0)])
def test_closed_form_on_linear_critics(slope: float, two: float, one: float) -> None:
    torch.testing.assert_close(gradient_penalty(linear(slope), REAL, FAKE), torch.full((4,), two))
    torch.testing.assert_close(gradient_penalty(linear(slope), REAL, FAKE, one_sided=True), torch.full((4,), one))


def test_taken_on_the_line_between_real_and_fake() -> None:
    """critic = ||x||^2 / 2 has slope ||x||, and x = (1 - a) * ones here, so the penalty tells a back."""
    torch.manual_seed(0)
    real, fake = torch.zeros(4000, 1, 3, 3), torch.ones(4000, 1, 3, 3)
    penalty = gradient_penalty(lambda x: x.flatten(1).square().sum(1) / 2, real, fake)
    # E (3u - 1)^2 for u ~ U(0, 1) = 3 - 3 + 1
    assert penalty.mean().item() == pytest.approx(1.0, abs=0.06)
    assert penalty.std() > 0.5, "one a for all images"


def test_its_gradient_is_second_order() -> None:
    """d (||w|| - 1)^2 / dw = 2 (||w|| - 1) w / ||w||, which a first-order gradient gives as 0."""
    critic = linear(3.0)
    gradient_penalty(critic, REAL, FAKE).mean().backward()
    (weight,) = critic.parameters()
    torch.testing.assert_close(weight.grad, 2 * 2.0 * weight.detach() / 3)


def test_images_do_not_share_a_slope() -> None:
    def critic(x: Tensor) -> Tensor:
        return x.flatten(1) @ torch.ones(9) * torch.tensor([0.0, 1 / 3, 1.0, 2 / 3])

    torch.testing.assert_close(gradient_penalty(critic, REAL, FAKE), torch.tensor([1.0, 0.0, 4.0, 1.0]))


def test_full_precision_inside_autocast() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(9, 32), nn.Tanh(), nn.Linear(32, 1))
    torch.manual_seed(1)
    expected = gradient_penalty(critic, REAL, FAKE)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = gradient_penalty(critic, REAL.bfloat16(), FAKE.bfloat16())
    assert torch.equal(inside, expected)


def test_the_generator_gets_nothing() -> None:
    fake = FAKE.clone().requires_grad_()
    # A slope that depends on x: a linear critic's penalty would give the fakes nothing in any case.
    gradient_penalty(lambda x: x.flatten(1).square().sum(1), REAL, fake).sum().backward()
    assert fake.grad is None


def test_r1_closed_form_at_real_images_alone() -> None:
    """critic = ||x||^2 / 2 has slope x: R1 is ||x||^2 of the real image, and its gradient in w of w'x is 2 w."""
    drawn = torch.Generator().manual_seed(0)
    real = torch.randn(4, 1, 3, 3, generator=drawn)
    penalty = real_gradient_penalty(lambda x: x.flatten(1).square().sum(1) / 2, real)
    torch.testing.assert_close(penalty, real.flatten(1).square().sum(1))
    critic = linear(3.0)
    real_gradient_penalty(critic, real).mean().backward()
    (weight,) = critic.parameters()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())


def test_r1_of_a_flat_discriminator_is_zero_and_its_gradient_finite() -> None:
    critic = linear(0.0)
    penalty = real_gradient_penalty(critic, REAL)
    penalty.mean().backward()
    (weight,) = critic.parameters()
    assert penalty.tolist() == [0] * 4
    assert weight.grad is not None and weight.grad.isfinite().all()


def test_another_center() -> None:
    torch.testing.assert_close(gradient_penalty(linear(3.0), REAL, FAKE, center=2.5), torch.full((4,), 0.25))
    assert gradient_penalty(linear(2.0), REAL, FAKE, center=2.5, one_sided=True).tolist() == [0] * 4


def _term(game: TinyGame) -> tuple[Tensor, Tensor]:
    """The term in the discriminator's turn, and the gain of the loss by it."""
    torch.manual_seed(3)
    with_it = game.discriminator_turn(game.turn())
    plain = TinyGame(patches=isinstance(game.discriminator.head, nn.Conv2d))
    return with_it.parts["gradient_penalty"], loss_of(with_it) - loss_of(plain.discriminator_turn(plain.turn()))


def test_the_trick_adds_the_weighted_penalty_to_the_discriminators_loss() -> None:
    for trick in (GradientPenalty(), GradientPenalty(weight=2.0, one_sided=True, center=0.01)):
        game = TinyGame([trick])
        term, gain = _term(game)
        duel = game.turn()
        torch.manual_seed(3)
        options = {"one_sided": trick.one_sided, "center": trick.center}
        expected = gradient_penalty(duel.judge, duel.real, duel.fake, **options).mean()  # type: ignore[arg-type]
        torch.testing.assert_close(term, trick.weight * expected.detach())
        torch.testing.assert_close(gain.detach(), term)
        assert term > 0
    flatter = TinyGame([GradientPenalty(one_sided=True)])
    assert _term(flatter)[0] == 0, "slopes below 1 cost nothing"


def test_the_trick_as_r1_takes_half_the_weight() -> None:
    trick = GradientPenalty(kind="real", weight=4.0)
    game = TinyGame([trick])
    term, gain = _term(game)
    duel = game.turn()
    torch.testing.assert_close(term, 2 * real_gradient_penalty(duel.judge, duel.real).mean().detach())
    torch.testing.assert_close(gain.detach(), term)


@pytest.mark.parametrize("kind", ["interpolated", "real"])
def test_patches_count_as_their_mean(kind: Literal["interpolated", "real"]) -> None:
    """Their sum would have a slope four times as high here."""
    game = TinyGame([GradientPenalty(kind=kind, center=0.0)], patches=True)
    duel = game.turn()
    duel.real = duel.fake.detach()  # one place, whatever the draw
    term = game.discriminator_turn(duel).parts["gradient_penalty"]
    image = duel.real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(duel.judge(image).flatten(1).mean(1).sum(), image)
    factor = 10.0 if kind == "interpolated" else 5.0
    torch.testing.assert_close(term, factor * slope.flatten(1).square().sum(1).mean())


@pytest.mark.parametrize("kind", ["interpolated", "real"])
def test_the_trick_moves_the_discriminator_only(kind: Literal["interpolated", "real"]) -> None:
    game = TinyGame([GradientPenalty(kind=kind)])
    assert moved(game, game.discriminator_turn(game.turn())) == {"discriminator"}
    plain = TinyGame()
    of_plain, of_penalised = (loss_of(g.generator_turn(g.turn())) for g in (plain, game))
    assert torch.equal(of_plain, of_penalised)


def test_the_trick_in_full_precision_inside_autocast() -> None:
    for kind in ("interpolated", "real"):
        game = TinyGame([GradientPenalty(kind=kind)])
        torch.manual_seed(0)
        expected = game.discriminator_turn(game.turn()).parts["gradient_penalty"]
        duel = game.turn()
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = game.discriminator_turn(duel).parts["gradient_penalty"]
        assert torch.equal(inside, expected)


def test_what_makes_no_sense_is_refused() -> None:
    for options in ({"one_sided": True}, {"center": 1.0}):
        with pytest.raises(UserError, match="kind real always asks for slope 0"):
            build_tricks([{"name": "gradient_penalty", "kind": "real", **options}])
    game = TinyGame([GradientPenalty()])
    game.discriminator.first.append(nn.BatchNorm2d(4))
    with pytest.raises(UserError, match="discriminator has batch norm: set another method.norm"):
        game.discriminator_turn(game.turn())
    game = TinyGame([GradientPenalty()])
    game.discriminator.add_module("mixing", MinibatchHead(nn.Identity(), 4, 2, 2, pooled=False))
    with pytest.raises(UserError, match="discriminator has minibatch discrimination: take one of the two away"):
        game.discriminator_turn(game.turn())
