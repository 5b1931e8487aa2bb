"""One-sided label smoothing: the discriminator's answer on real images changes, and nothing else."""

from __future__ import annotations

import pytest
import torch
from tiny_game import TinyGame, loss_of

from medudl.errors import UserError
from medudl.losses.adversarial import Loss, discriminator_loss
from medudl.tricks import build_tricks
from medudl.tricks.one_sided_label_smoothing import OneSidedLabelSmoothing

KINDS: list[Loss] = ["minimax", "non_saturating", "kl", "least_squares"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_target_alone_changes_and_the_generators_loss_does_not(kind: Loss) -> None:
    plain, smoothed = TinyGame(loss=kind), TinyGame([OneSidedLabelSmoothing()], loss=kind)
    duel = plain.turn()
    real, fake = duel.judge(duel.real), duel.judge(duel.fake)
    expected = discriminator_loss(kind, real, fake, real_target=0.9, fake_target=0.0).mean()
    assert torch.equal(loss_of(smoothed.discriminator_turn(smoothed.turn())), expected)
    assert not torch.allclose(loss_of(plain.discriminator_turn(plain.turn())), expected)
    of_plain, of_smoothed = (loss_of(game.generator_turn(game.turn())) for game in (plain, smoothed))
    assert torch.equal(of_plain, of_smoothed)


def test_the_generators_gradient_does_not_change_either() -> None:
    slopes = []
    for game in (TinyGame(), TinyGame([OneSidedLabelSmoothing(target=0.7)])):
        slopes.append(torch.autograd.grad(loss_of(game.generator_turn(game.turn())), game.generator.weight)[0])
    assert torch.equal(*slopes) and slopes[0].abs().sum() > 0


def test_a_fake_target_of_another_trick_is_left_alone() -> None:
    game = TinyGame()
    duel = game.turn()
    duel.targets = (1.0, 0.25)
    assert OneSidedLabelSmoothing(target=0.8).targets(duel) == (0.8, 0.25)


@pytest.mark.parametrize("kind", ["hinge", "wasserstein"])
def test_a_loss_without_targets_refuses_it_before_training(kind: Loss) -> None:
    with pytest.raises(UserError, match=f"{kind} loss: targets 0.9 .*take label smoothing away"):
        TinyGame([OneSidedLabelSmoothing()], loss=kind)


@pytest.mark.parametrize("target", [0.5, 1.1])
def test_a_target_out_of_range_is_told(target: float) -> None:
    with pytest.raises(UserError, match=r"tricks\[0\].target"):
        build_tricks([{"name": "one_sided_label_smoothing", "target": target}])
