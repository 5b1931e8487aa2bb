"""Phases: each has its length, schedule, best weights and patience; and looking at a method does not move it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import config, equal, go, new_run, trainer, weights
from toys import ToyStagedRBM, register

from medudl.methods.method import Phase
from medudl.training.course import read_log
from medudl.training.trainer import Trainer
from medudl.training.validation import looking


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def staged(path: Path, **train: object) -> Trainer:
    return trainer(new_run(path, config("toy_staged_rbm", train)))


def test_phases_share_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phases = tuple(Phase(name, share) for name, share in (("first", 1.0), ("second", 2.0), ("first", 4.0)))
    monkeypatch.setattr(ToyStagedRBM, "phases", lambda _: phases)
    at_work = staged(tmp_path / "run", steps=10)
    rates = []
    do = Trainer.step

    def step(self: Trainer, batch: object) -> None:
        do(self, batch)  # type: ignore[arg-type]
        rates.append(self.players["first"].optimiser.param_groups[0]["lr"])

    monkeypatch.setattr(Trainer, "step", step)
    go(at_work)
    ends = [e["step"] for e in read_log(at_work.run.path / "log.jsonl") if e["kind"] == "validation"]
    assert {1, 4, 10} <= set(ends), "each phase ends with a validation"
    first = rates[0]
    assert [i for i, rate in enumerate(rates) if rate == first] == [0, 1, 4], "each phase begins its schedule anew"


def test_a_phase_ends_with_its_best_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = staged(tmp_path / "run", validate_every=1, optimiser={"lr": 0.5})
    bad, leave, left = [], Trainer._leave_phase, []
    # The first layer is spoilt at the phase's last step, after its best.
    do = Trainer.step

    def step(self: Trainer, batch: object) -> None:
        do(self, batch)  # type: ignore[arg-type]
        if self.at.step == 10:
            bad.append(torch.nn.init.constant_(self.method.first.weight, 9.0))  # type: ignore[union-attr,arg-type]

    def leave_phase(self: Trainer) -> None:
        left.append((self.at.best_step, self.best_weights["first.weight"].clone()))
        leave(self)
        left[-1] += (self.method.first.weight.detach().clone(),)  # type: ignore[union-attr,operator]

    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(Trainer, "_leave_phase", leave_phase)
    go(at_work)
    best_step, best, after = left[0]
    assert bad and best_step < 10 and torch.equal(best, after)
    assert left[1][0] > 10, "the second phase has a best of its own"
    assert torch.equal(at_work.best_weights["first.weight"], best)


def test_patience_belongs_to_a_phase(tmp_path: Path) -> None:
    at_work = staged(tmp_path / "run", steps=200, validate_every=1, patience=2, optimiser={"lr": 50.0})
    go(at_work)
    phases = [e["phase"] for e in read_log(at_work.run.path / "log.jsonl") if e["kind"] == "validation"]
    assert phases.count(0) < 100 and 0 < phases.count(1) < 100


def test_looking_moves_nothing_and_sees_the_same_noise(tmp_path: Path) -> None:
    at_work = trainer(new_run(tmp_path / "run", config("autoencoder")))
    for batch in at_work.train.epoch(0):
        at_work.step(batch)
    before = weights(at_work)
    seen, worn = [], []
    for _ in range(2):
        torch.rand(5)  # training goes on between two looks
        random = torch.get_rng_state()
        with looking(at_work.method, at_work.players.values(), seed=3):
            assert not at_work.method.training and not torch.is_grad_enabled()
            at_work.method.reconstruct(torch.rand(2, 1, 8, 8))  # type: ignore[operator]
            seen.append(torch.rand(3))
            worn.append(weights(at_work))
        assert torch.equal(torch.get_rng_state(), random)
    assert equal(seen[0], seen[1]) and equal(worn[0], worn[1]) and not equal(worn[0], before), "the average is worn"
    assert equal(weights(at_work), before)
    assert at_work.method.training and torch.is_grad_enabled()
