"""A NaN stops the training with a line that helps, and leaves the good checkpoint alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import METHODS, TinyBatches, config, equal, go, new_run, trainer, weights
from torch import Tensor

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.training.checkpoint import load_checkpoint
from medudl.training.course import read_log
from medudl.training.trainer import Trainer


class Poisoned(TinyBatches):
    """The given step's images are NaN."""

    def __init__(self, step: int) -> None:
        super().__init__(18, 4, seed=1)
        self.step = step

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for i, batch in enumerate(super().epoch(epoch, start), start=start):
            if epoch * len(self) + i + 1 == self.step:
                batch["image"][1, 0, 3, 3] = float("nan")
            yield batch


def poisoned(path: Path, step: int) -> Trainer:
    at_work = trainer(new_run(path, config("autoencoder")))
    at_work.train = Poisoned(step)
    return at_work


def test_nan_is_told_with_part_step_and_scans(tmp_path: Path) -> None:
    at_work = poisoned(tmp_path / "run", 7)
    ids = [batch["id"] for batch in TinyBatches(18, 4, seed=1).epoch(1)][1]
    with pytest.raises(UserError) as caught:
        go(at_work)
    told = str(caught.value)
    assert told.startswith(f"autoencoder: reconstruction is not a number (NaN) at step 7, on {', '.join(ids)};")
    assert "the checkpoint of step 4 is kept" in told and "\n" not in told


def test_the_good_checkpoint_stays(tmp_path: Path) -> None:
    at_work = poisoned(tmp_path / "bad", 7)
    with pytest.raises(UserError):
        go(at_work)
    assert not all(v.isfinite().all() for v in weights(at_work).values())
    state = load_checkpoint(at_work.run.path / "checkpoint", print)
    assert state is not None and state["position"]["step"] == 4
    again = trainer(new_run(tmp_path / "again", config("autoencoder")))
    again.restore(state)
    go(again)
    whole = trainer(new_run(tmp_path / "whole", config("autoencoder")))
    go(whole)
    assert equal(weights(again), weights(whole))


def test_without_a_checkpoint_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at step 1, .*there is no checkpoint yet"):
        go(poisoned(tmp_path / "run", 1))


@pytest.mark.parametrize("what", ["gradient", "validation"])
def test_other_places_are_watched_too(what: str, tmp_path: Path) -> None:
    at_work = trainer(new_run(tmp_path / "run", config("autoencoder")))
    if what == "gradient":
        parameter = next(at_work.method.parameters())
        parameter.register_hook(lambda g: torch.full_like(g, float("inf")) if at_work.at.step == 5 else g)
        words = "autoencoder: gradient is .* at step 6, on sub-"
    else:
        at_work.val = Poisoned(1)  # type: ignore[assignment]
        words = "validation: loss is nan on the healthy val scans"
    with pytest.raises(UserError, match=words):
        go(at_work)


@pytest.mark.parametrize(("bad", "words"), [(6, r"step 7, on .* \(or by the gradient of step 6, on "), (8, "step 8,")])
def test_a_gradient_that_was_not_measured_is_told_by_the_next_loss(bad: int, words: str, tmp_path: Path) -> None:
    # Nothing is clipped, so norms are taken at looks alone: here after steps 4 and 8.
    at_work = trainer(new_run(tmp_path / "run", config("autoencoder", {"optimiser": {"lr": 1e-2}})))
    parameter = next(at_work.method.parameters())
    parameter.register_hook(lambda g: torch.full_like(g, float("inf")) if at_work.at.step == bad - 1 else g)
    with pytest.raises(UserError, match=words) as caught:
        go(at_work)
    assert "the checkpoint of step 4 is kept" in str(caught.value)
    assert ("gradient of step" in str(caught.value)) == (bad == 6)


def test_the_log_has_the_norms_that_were_measured(tmp_path: Path) -> None:
    at_work = trainer(new_run(tmp_path / "run", config("autoencoder", {"optimiser": {"lr": 1e-2}})))
    seen: list[Tensor | None] = []
    add = at_work.watch.add
    at_work.watch.add = lambda *a: (seen.append(a[2][0].norm), add(*a))[1]  # type: ignore[method-assign]
    go(at_work)
    lines = [entry for entry in read_log(at_work.run.path / "log.jsonl") if entry["kind"] == "train"]
    assert [i + 1 for i, norm in enumerate(seen) if norm is not None] == [4, 8, 10, 12, 16, 20]
    measured = [float(norm) for norm in seen if norm is not None]
    assert [entry["autoencoder/gradient"] for entry in lines] == measured and min(measured) > 0


def test_methods_here_are_all_of_them() -> None:
    from medudl.methods import METHODS as REAL

    assert set(REAL) <= set(METHODS)
