"""Tricks that remember, through the whole loop: a run that was stopped and resumed is the same, bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import config, equal, go, new_run, trainer, weights

from medudl.training.checkpoint import load_checkpoint
from medudl.training.course import read_log
from medudl.training.stop import Stopped, StopSignals
from medudl.training.trainer import Trainer
from medudl.tricks.adaptive_augmentation import AdaptiveAugmentation
from medudl.tricks.experience_replay import ImageReplay, PlayerReplay
from medudl.tricks.unrolling import Unrolling

MEMORIES: list[dict[str, Any]] = [
    {"name": "image_replay", "size": 10},
    {"name": "player_replay", "every": 4, "keep": 2, "steps": 2},
    {"name": "adaptive_augmentation", "interval": 3, "speed": 40, "target": 0.1},
    {"name": "diff_augment"},
]


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


@pytest.mark.parametrize("tricks", [MEMORIES, [{"name": "unrolling", "steps": 2}]], ids=["memories", "unrolling"])
def test_resume_is_bit_equal(tricks: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = config("gan", tricks=tricks)
    whole = trainer(new_run(tmp_path / "whole", settings))
    go(whole)
    run = new_run(tmp_path / "parts", settings)
    at_work = trainer(run)
    for stop in (2, 7, 13):  # pool half full, a past player in turn, between two adjustments
        with pytest.raises(Stopped):
            go(at_work, StopAt(at_work, stop))
        state = load_checkpoint(run.path / "checkpoint", print)
        assert state is not None
        at_work = trainer(run)
        torch.rand(5)  # whatever happened before must not matter
        at_work.restore(state)
    go(at_work)
    assert equal(weights(at_work), weights(whole))
    assert equal(*(load_checkpoint(r.path / "checkpoint", print) for r in (at_work.run, whole.run)))
    _have_acted(whole)


def _have_acted(at_work: Trainer) -> None:
    """Nothing would be proven by tricks that rested."""
    for trick in at_work.tricks:
        if isinstance(trick, ImageReplay):
            assert trick.pools["discriminator"].count == 10
        if isinstance(trick, PlayerReplay):
            assert {name: len(copies) for name, copies in trick.copies.items()} == {"discriminator": 2, "generator": 2}
        if isinstance(trick, AdaptiveAugmentation):
            assert 0 < trick.p["discriminator"]
            lines = [line for line in read_log(at_work.run.path / "log.jsonl") if line["kind"] == "train"]
            assert lines[-1]["discriminator/augmentation"] > 0, "p is not in the log"
        if isinstance(trick, Unrolling):
            assert trick.moments["discriminator"].count == 40
