"""Turns of the two players are counted exactly, through a resume; and each has settings of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
from test_trainer_resume import StopAt, resumed
from tiny import config, go, new_run, trainer

from medudl.training.stop import Stopped


def test_step_counts_are_exact_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at step 7 of 20, with 2 turns of the discriminator and 3 of the generator a step."""
    monkeypatch.setitem(tiny.METHODS, "gan", {**tiny.METHODS["gan"], "discriminator_steps": 2, "generator_steps": 3})
    run = new_run(tmp_path / "run", config("gan"))
    at_work = trainer(run)
    with pytest.raises(Stopped, match="stopped at step 7"):
        go(at_work, StopAt(at_work, 7))
    assert _updates(at_work) == {"discriminator": 14, "generator": 21}
    at_work = resumed(run)
    assert _updates(at_work) == {"discriminator": 14, "generator": 21}
    go(at_work)
    assert _updates(at_work) == {"discriminator": 40, "generator": 60}


def _updates(at_work: Any) -> dict[str, int]:
    """How often each player's optimiser stepped, by the optimiser's own count."""
    counts = {
        n: {int(s["step"]) for s in p.optimiser.state_dict()["state"].values()} for n, p in at_work.players.items()
    }
    assert all(len(found) == 1 for found in counts.values())
    return {name: found.pop() for name, found in counts.items()}


def test_each_player_may_have_its_own_rate(tmp_path: Path) -> None:
    settings = config(
        "gan", {"players": {"discriminator": {"lr": 4e-2, "ema": 0}}, "optimiser": {"lr": 1e-2, "ema": 0.9}}
    )
    at_work = trainer(new_run(tmp_path / "run", settings))
    go(at_work)
    rates = {name: player.optimiser.param_groups[0]["lr"] for name, player in at_work.players.items()}
    assert rates == {"discriminator": 4e-2, "generator": 1e-2}
    assert at_work.players["discriminator"].average is None and at_work.players["generator"].average is not None
