"""Schedule, clipping, average of one player, against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from medudl.config import Optimiser
from medudl.training.players import Player, averaged, rate


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
    ],
)
def test_rate(schedule: str, expected: list[float]) -> None:
    settings = Optimiser.model_validate({"lr": 2.0, "warmup": 2, "schedule": schedule})
    assert [rate(settings, step, 6) for step in range(6)] == pytest.approx([2 * e for e in expected])
    assert rate(settings, 99, 6) == pytest.approx(2.0 if schedule == "constant" else 0.0), "past the end"


def player(**settings: object) -> Player:
    module = nn.Linear(2, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    chosen = {"name": "sgd", "lr": 0.1, "betas": [0.0, 0.0], **settings}
    return Player(Fabric(accelerator="cpu", devices=1), "p", module, Optimiser.model_validate(chosen))


def test_sgd_moves_down_the_gradient() -> None:
    one = player()
    one.set_gradients({"weight": torch.tensor([[3.0, 4.0]])})
    assert one.update(scaled=False) == 5.0
    assert torch.allclose(one.parameters[0], torch.tensor([[0.7, 0.6]]))


def test_clipping_bounds_the_step_and_reports_the_norm_before() -> None:
    one = player(clip_norm=1.0)
    one.set_gradients({"weight": torch.tensor([[3.0, 4.0]])})
    assert one.update(scaled=False) == 5.0
    assert torch.allclose(one.parameters[0], torch.tensor([[0.94, 0.92]]), atol=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_is_torchs(name: str) -> None:
    one = player(name=name, betas=[0.5, 0.9], weight_decay=0.1)
    reference = nn.Parameter(torch.ones(1, 2))
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    optimiser = kind([reference], 0.1, betas=(0.5, 0.9), weight_decay=0.1)
    for gradient in ([[1.0, -2.0]], [[0.5, 0.0]]):
        one.set_gradients({"weight": torch.tensor(gradient)})
        one.update(scaled=False)
        reference.grad = torch.tensor(gradient)
        optimiser.step()
    assert torch.allclose(one.parameters[0], reference)


def test_average_follows_and_is_worn_only_within() -> None:
    one = player(ema=0.5)
    expected = one.parameters[0].detach().clone()
    for n, value in enumerate([2.0, 3.0, 7.0]):
        nn.init.constant_(one.parameters[0], value)
        one.follow()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    with averaged([one, player()]):
        assert torch.allclose(one.parameters[0], expected)
    assert torch.equal(one.parameters[0], torch.full((1, 2), 7.0))


def test_own_weights_come_back_after_an_error() -> None:
    one = player(ema=0.9)
    nn.init.constant_(one.parameters[0], 4.0)
    with pytest.raises(RuntimeError), averaged([one]):
        raise RuntimeError
    assert torch.equal(one.parameters[0], torch.full((1, 2), 4.0))
