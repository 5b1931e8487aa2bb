"""Tricks that change a network, or remember: a resume is bit-equal, a run opens with them, two ranks stay in step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from test_trainer_resume import StopAt, resumed
from tiny import config, equal, go, new_run, trainer, weights

from medudl.run import Run, load_state
from medudl.training.checkpoint import load_checkpoint
from medudl.training.stop import Stopped

HERE = Path(__file__).parent
SHAPE = (1, 16, 16)  # both networks have a batch norm
LISTS: dict[str, list[dict[str, Any]]] = {
    "virtual": [
        {"name": "virtual_batch_norm", "reference": 3},
        {"name": "minibatch_discrimination", "kernels": 3, "size": 2},
        {"name": "spectral_norm"},
        {"name": "historical_averaging", "weight": 0.1},
    ],
    "separate": [
        {"name": "instance_norm", "players": ["generator"]},
        {"name": "separate_batch_norm"},
        {"name": "historical_averaging", "players": ["generator"]},
    ],
}  # fmt: skip


@pytest.mark.parametrize(("tricks", "precision"), [("virtual", "fp32"), ("virtual", "bf16"), ("separate", "fp32")])
def test_resume_is_bit_equal_and_the_run_opens(
    tricks: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "SHAPE", SHAPE)
    settings = config("gan", {"precision": precision, "steps": 8}, LISTS[tricks])
    whole = trainer(new_run(tmp_path / "whole", settings))
    go(whole)
    run = new_run(tmp_path / "parts", settings)
    at_work = trainer(run)
    for stop in (3, 6):
        with pytest.raises(Stopped):
            go(at_work, StopAt(at_work, stop))
        at_work = resumed(run)
    go(at_work)
    assert equal(weights(at_work), weights(whole))
    assert equal(*(load_checkpoint(r.path / "checkpoint", print) for r in (at_work.run, whole.run)))
    opened = Run.open(run.path).method()
    best = load_state(run.path / "weights.safetensors")["weights"]
    assert equal(dict(opened.state_dict()), best)
    samples = []
    at_work.method.load_state_dict(best)
    for method in (opened, at_work.method.eval()):
        torch.manual_seed(0)
        samples.append(method.sample(3))  # type: ignore[operator]
    assert torch.equal(*samples) and samples[0].isfinite().all()


def test_what_a_reference_batch_leaves_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patients' images: in the checkpoint, in nothing that is exported."""
    monkeypatch.setattr(tiny, "SHAPE", SHAPE)
    at_work = trainer(new_run(tmp_path / "run", config("gan", {"steps": 4}, LISTS["virtual"])))
    go(at_work)
    first = next(iter(tiny.TinyBatches(18, 4, seed=1).epoch(0)))["image"][:3]
    own = at_work.tricks[0].state()["discriminator"]
    assert isinstance(own, list) and torch.equal(own[0], 2 * first - 1)
    kept = load_state(at_work.run.path / "weights.safetensors")["weights"]
    assert not [name for name, tensor in kept.items() if tuple(tensor.shape[1:]) == SHAPE]
    assert [name for name, tensor in kept.items() if name.endswith("reference.code") and tensor.shape == (3, 4)]


def test_two_ranks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    places = os.pathsep.join(map(str, (HERE, HERE.parent, HERE.parents[1])))
    done = subprocess.run(
        [*command, str(HERE / "tricks_on_two_ranks.py"), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert {p.name for p in tmp_path.glob("rank-*")} == {"rank-0-done", "rank-1-done"}
