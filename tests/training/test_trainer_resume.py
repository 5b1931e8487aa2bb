"""A resume changes nothing: toys and real methods, through files, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import METHODS, config, equal, go, new_run, trainer, weights
from toys import register

from medudl.run import Run, load_state
from medudl.training.checkpoint import load_checkpoint
from medudl.training.course import read_log
from medudl.training.stop import Stopped, StopSignals
from medudl.training.trainer import Trainer


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


class StopAt(StopSignals):
    """Asks to stop once the trainer has come to a step."""

    def __init__(self, at_work: Trainer, step: int) -> None:
        super().__init__()
        self.at_work, self.step = at_work, step

    @property
    def number(self) -> int:  # type: ignore[override]
        return 15 if self.at_work.at.step >= self.step else 0

    @number.setter
    def number(self, value: int) -> None:
        assert value == 0


def resumed(run: Run) -> Trainer:
    state = load_checkpoint(run.path / "checkpoint", print)
    assert state is not None
    at_work = trainer(run)
    torch.rand(5)  # whatever happened before must not matter
    at_work.restore(state)
    return at_work


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", METHODS)
def test_resume_is_bit_equal(name: str, precision: str, tmp_path: Path) -> None:
    settings = config(name, {"precision": precision})
    whole = trainer(new_run(tmp_path / "whole", settings))
    go(whole)
    run = new_run(tmp_path / "parts", settings)
    at_work = trainer(run)
    for stop in (3, 11, 17):  # within the warm-up, in the third epoch, in the second phase
        with pytest.raises(Stopped, match=f"stopped at step {stop}; go on with --resume"):
            go(at_work, StopAt(at_work, stop))
        assert Run.open(run.path).meta["status"] == "stopped"
        at_work = resumed(run)
    go(at_work)
    assert equal(weights(at_work), weights(whole))
    ends = [load_checkpoint(r.path / "checkpoint", print) for r in (at_work.run, whole.run)]
    assert equal(*ends)
    assert equal(*(load_state(r.path / "weights.safetensors") for r in (at_work.run, whole.run)))
    lines = [[e for e in read_log(r.path / "log.jsonl") if e["kind"] == "validation"] for r in (at_work.run, whole.run)]
    assert lines[0] == lines[1] and lines[0]
