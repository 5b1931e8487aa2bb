"""fp16's loss scaling, on a CPU that only a test may use for it: scaled in, unscaled out, overflow survived or told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision
from tiny import config, equal, go, new_run, trainer, weights
from torch import nn
from toys import register

from medudl.config import Optimiser
from medudl.errors import UserError
from medudl.training.checkpoint import load_checkpoint
from medudl.training.players import Player


def fabric(scale: float = 2.0**16) -> Fabric:
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    return Fabric(accelerator="cpu", devices=1, plugins=plugin)


def player(on: Fabric, **settings: Any) -> Player:
    module = nn.Linear(2, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    chosen = {"name": "sgd", "lr": 0.1, "betas": [0.0, 0.0], **settings}
    return Player(on, "p", module, Optimiser.model_validate(chosen))


def test_gradients_are_unscaled_before_they_are_clipped() -> None:
    on = fabric()
    one = player(on, clip_norm=1.0)
    on.backward((one.parameters[0] * torch.tensor([[3.0, 4.0]])).sum())
    assert one.parameters[0].grad is not None and one.parameters[0].grad[0, 0] == 3.0 * 2**16
    assert one.update(scaled=True) == 5.0
    assert torch.allclose(one.parameters[0], torch.tensor([[0.94, 0.92]]), atol=1e-5)


def test_ready_gradients_were_never_scaled() -> None:
    one = player(fabric())
    one.set_gradients({"weight": torch.tensor([[3.0, 4.0]])})
    assert one.update(scaled=False) == 5.0
    assert torch.allclose(one.parameters[0], torch.tensor([[0.7, 0.6]]))


def test_an_overflow_skips_the_update_and_scales_less() -> None:
    on = fabric()
    one = player(on)
    on.backward((one.parameters[0] * torch.tensor([[float("inf"), 1.0]])).sum())
    one.update(scaled=True)
    assert torch.equal(one.parameters[0], torch.ones(1, 2))
    assert one.scaler is not None and one.scaler.get_scale() == 2.0**15


@pytest.mark.parametrize("name", ["autoencoder", "toy_wasserstein", "toy_staged_rbm"])
def test_a_training_resumes_with_its_scale(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    settings = config(name, {"steps": 12})
    whole = trainer(new_run(tmp_path / "whole", settings), fabric())
    go(whole)
    state = load_checkpoint(whole.run.path / "checkpoint", print)
    (whole.run.path / "checkpoint" / "step-000000012.safetensors").unlink()
    state = load_checkpoint(whole.run.path / "checkpoint", print)
    assert state is not None and state["position"]["step"] == 8 and state["precision"]["scale"] > 0
    again = trainer(new_run(tmp_path / "again", settings), fabric(scale=1.0))
    again.restore(state)
    go(again)
    assert equal(weights(again), weights(whole))
    assert again.state()["precision"] == whole.state()["precision"]


def test_gradients_that_overflow_at_every_scale_are_told(tmp_path: Path) -> None:
    at_work = trainer(new_run(tmp_path / "run", config("autoencoder", {"steps": 40})), fabric())
    next(at_work.method.parameters()).register_hook(lambda g: g * float("inf"))
    with pytest.raises(UserError, match="fp16: gradients overflow at every loss scale up to step"):
        go(at_work)
