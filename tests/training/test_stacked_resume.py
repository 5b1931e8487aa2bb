"""A stacked autoencoder that is stopped in the middle of its second layer goes on with that layer, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch
from test_trainer_resume import StopAt, resumed
from tiny import config, equal, go, new_run, trainer, weights

from medudl.methods.stacked_autoencoder import StackedAutoencoder
from medudl.run import load_state
from medudl.training.stop import Stopped

STACK = {"channels": [3], "sizes": [8, 4], "corruption": "gaussian"}  # four phases of five steps


@pytest.mark.parametrize("stop", [8, 18])  # in the middle of layer 2; in the phase of all layers
def test_resume_in_the_middle_of_a_phase(stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tiny.METHODS, "stacked_autoencoder", STACK)
    whole = trainer(new_run(tmp_path / "whole", config("stacked_autoencoder")))
    go(whole)
    run = new_run(tmp_path / "parts", config("stacked_autoencoder"))
    at_work = trainer(run)
    with pytest.raises(Stopped):
        go(at_work, StopAt(at_work, stop))
    at_work = resumed(run)
    method = at_work.method
    assert isinstance(method, StackedAutoencoder)
    assert method.at == {8: 1, 18: None}[stop] and at_work.at.phase == stop // 5
    below = {k: v for k, v in weights(at_work).items() if k.startswith("stacked.0.")}
    go(at_work)
    assert equal(weights(at_work), weights(whole))
    assert equal(*(load_state(r.path / "weights.safetensors") for r in (run, whole.run)))
    assert below and any(not torch.equal(v, weights(at_work)[k]) for k, v in below.items()), "trained together at last"
