"""`fit` from a cohort of pictures to a run folder, its refusals, and going on."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import equal
from tiny_cohort import config, write_cohort

import medudl.training.trainer as trainer_module
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.run import Run, load_state
from medudl.training.course import read_log
from medudl.training.stop import Stopped
from medudl.training.train import choose_scans, differences, fit
from medudl.training.trainer import Trainer

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_cohort(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="module")
def whole(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A training that nobody disturbed."""
    torch.set_num_threads(1)
    return fit(config(), cohort, tmp_path_factory.mktemp("whole") / "run", progress=False)


def signal_at(patch: pytest.MonkeyPatch, step: int, number: int, after: bool = False) -> None:
    """Let this process get a signal while it does a step, or right after it."""
    do = Trainer.step

    def stepped(self: Trainer, batch: Any) -> None:
        begun = hasattr(self, "log")  # before, a few steps are tried
        if begun and not after and self.at.step == step - 1:
            os.kill(os.getpid(), number)
        do(self, batch)
        if begun and after and self.at.step == step:
            os.kill(os.getpid(), number)

    patch.setattr(Trainer, "step", stepped)


def test_the_run_folder_is_complete(whole: Run) -> None:
    names = {p.name for p in whole.path.iterdir()}
    assert names == {
        "config.yaml", "cohort.csv", "cohort.json", "run.json", "fitted.json", "scans.json", "weights.safetensors",
        "checkpoint", "log.jsonl", "events", "samples", "environment.json", "card.md", ".training.lock",
    }  # fmt: skip
    assert whole.config == config() and whole.shape == (1, 16, 16)
    assert whole.meta["status"] == "finished" and whole.meta["step"] == 12
    assert len(whole.cohort()) == 12, "all rows, so that the test split can be evaluated"
    assert (whole.path.parent / ".medudl_cache").is_dir()
    image = torch.rand(2, 1, 16, 16)
    method = whole.method()
    assert method.reconstruct(image).shape == image.shape  # type: ignore[operator]
    assert whole.pipeline().data == config().data


def test_card_and_environment(whole: Run) -> None:
    card = (whole.path / "card.md").read_text()
    assert "7 subjects: 7 scans, 7 slices" in card and "chosen on 3 subjects: 3 healthy scans, 3 slices" in card
    assert "DX (7)" in card and "samples/" in card and ".medudl_cache/" in card
    environment = whole.read_json("environment.json")
    assert environment["threads"] == 1 and environment["seed"] == 0 and environment["packages"]["torch"]
    text = json.dumps(environment) + card
    assert os.uname().nodename not in text and str(Path.home()) not in text
    host = re.compile(re.escape(os.uname().nodename))
    assert not [p for p in whole.path.rglob("*") if host.search(p.name)], "a file is named after the machine"


def test_best_weights_are_those_of_the_best_validation(whole: Run) -> None:
    validations = [e for e in read_log(whole.path / "log.jsonl") if e["kind"] == "validation"]
    best = min(validations, key=lambda e: e["loss"])
    saved = load_state(whole.path / "weights.safetensors")
    assert [e["step"] for e in validations] == [5, 10, 12]
    assert (saved["step"], saved["loss"]) == (best["step"], best["loss"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_signal_stops_safely_and_a_resume_ends_equal(
    number: int, code: int, workers: int, cohort: Cohort, whole: Run, tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    settings = config({"workers": workers})
    with pytest.MonkeyPatch.context() as patch:
        signal_at(patch, 7, number)
        with pytest.raises(Stopped, match="stopped at step 7; go on with --resume") as caught:
            fit(settings, cohort, tmp_path / "run", progress=False)
    assert caught.value.code == code and signal.getsignal(number) is before
    assert Run.open(tmp_path / "run").meta["status"] == "stopped"
    run = fit(settings, cohort, tmp_path / "run", resume=True, progress=False)
    for name in ("weights.safetensors", "checkpoint/step-000000012.safetensors"):
        assert equal(load_state(run.path / name), load_state(whole.path / name)), name


def test_a_signal_right_after_an_update_waits_for_a_gradient_that_is_looked_at(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        signal_at(patch, 7, signal.SIGTERM, after=True)
        with pytest.raises(Stopped, match="stopped at step 8;"):
            fit(config(), cohort, tmp_path / "run", progress=False)


def test_it_says_before_it_starts_how_long_it_takes(cohort: Cohort, tmp_path: Path, capsys: Captured) -> None:
    fit(config(), cohort, tmp_path / "run", progress=False)
    told = capsys.readouterr().err
    assert re.search(r"preparing scans: up to [\d.]+ kB in ", told)
    assert re.search(
        r"about \d+ s for 12 steps \([\d.e-]+ s each, .*\); up to \d+ kB on the disk, of which .* free", told
    )


def test_trying_a_few_steps_leaves_no_trace(cohort: Cohort, whole: Run, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medudl.training.session._begin", lambda *_: None)
        run = fit(config(), cohort, tmp_path / "run", progress=False)
    assert equal(*(load_state(r.path / "checkpoint" / "step-000000012.safetensors") for r in (run, whole)))
    lines = [read_log(r.path / "log.jsonl") for r in (run, whole)]
    assert lines[0] == lines[1] and lines[0][0]["step"] == 3


def test_no_room_is_told_before_it_starts(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import collections
    import shutil

    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr("medudl.training.estimate.shutil.disk_usage", lambda _: usage(10**9, 10**9 - 10, 20_000))
    assert shutil.disk_usage("/").free == 20_000
    with pytest.raises(UserError, match="needs .* kB there and 20 kB are free; make room"):
        fit(config(), cohort, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists(), "what cannot begin leaves nothing"


def test_a_disk_that_fills_up_keeps_the_checkpoint(cohort: Cohort, whole: Run, tmp_path: Path) -> None:
    save = trainer_module.save_checkpoint

    def full(folder: Path, step: int, state: dict[str, Any]) -> None:
        if step == 6:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))
        save(folder, step, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module, "save_checkpoint", full)
        with pytest.raises(UserError, match="the disk is full; make room, and go on with --resume"):
            fit(config(), cohort, tmp_path / "run", progress=False)
    run = fit(config(), cohort, tmp_path / "run", resume=True, progress=False)
    assert equal(*(load_state(r.path / "weights.safetensors") for r in (run, whole)))


def test_a_damaged_checkpoint_falls_to_the_one_before_with_a_word(
    cohort: Cohort, whole: Run, tmp_path: Path, capsys: Captured
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        signal_at(patch, 8, signal.SIGTERM)
        with pytest.raises(Stopped):
            fit(config(), cohort, tmp_path / "run", progress=False)
    (tmp_path / "run" / "checkpoint" / "step-000000008.safetensors").write_bytes(b"cut off")
    run = fit(config(), cohort, tmp_path / "run", resume=True, progress=False)
    told = capsys.readouterr().err
    assert "step-000000008.safetensors: damaged" in told and "going on at step 6 of 12" in told
    assert equal(*(load_state(r.path / "weights.safetensors") for r in (run, whole)))


def test_more_steps_go_on_after_the_end(cohort: Cohort, tmp_path: Path) -> None:
    constant = {"optimiser": {"lr": 1e-2}, "validate_every": 4}
    long = fit(config({"steps": 16, **constant}), cohort, tmp_path / "long", progress=False)
    fit(config({"steps": 12, **constant}), cohort, tmp_path / "run", progress=False)
    run = fit(config({"steps": 16, **constant}), cohort, tmp_path / "run", resume=True, progress=False)
    assert equal(*(load_state(r.path / "checkpoint" / "step-000000016.safetensors") for r in (run, long)))
    assert Run.open(run.path).config.train.steps == 16


def test_going_on_with_a_finished_run_leaves_it_finished(cohort: Cohort, whole: Run, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    # As a kill between the last checkpoint and the word about it leaves it.
    Run.open(tmp_path / "run").update({"status": "training", "step": 10})
    run = fit(config(), cohort, tmp_path / "run", resume=True, progress=False)
    assert (run.meta["status"], run.meta["step"]) == ("finished", 12)
    assert equal(*(load_state(r.path / "weights.safetensors") for r in (run, whole)))


def test_early_stop(cohort: Cohort, tmp_path: Path) -> None:
    settings = config({"steps": 400, "validate_every": 1, "patience": 3, "optimiser": {"lr": 10.0}})
    run = fit(settings, cohort, tmp_path / "run", progress=False)
    losses = [e["loss"] for e in read_log(run.path / "log.jsonl") if e["kind"] == "validation"]
    assert len(losses) < 400 and losses.index(min(losses)) == len(losses) - 4
    assert load_state(run.path / "weights.safetensors")["loss"] == min(losses)
    assert Run.open(run.path).meta["status"] == "finished"


@pytest.mark.parametrize("name", ["out", "nothing", "settings", "cohort", "processes"])
def test_what_cannot_go_on_is_told(name: str, cohort: Cohort, whole: Run, tmp_path: Path) -> None:
    cases: dict[str, tuple[Any, str]] = {
        "out": (lambda: fit(config(), cohort, whole.path), "holds a run already.*--resume"),
        "nothing": (lambda: fit(config(), cohort, tmp_path / "x", resume=True), "nothing to resume there"),
        "settings": (
            lambda: fit(config({"seed": 1, "steps": 11}), cohort, whole.path, resume=True),
            "other settings: train.seed is 1, was 0; train.steps is 11, was 12; undo it",
        ),
        "cohort": (
            lambda: fit(config(), Cohort(cohort.root, cohort.table[1:], cohort.meta), whole.path, resume=True),
            r"the cohort has changed since \(1 series differ\)",
        ),
    }
    if name == "processes":
        state = load_state(whole.path / "checkpoint" / "step-000000012.safetensors")
        cases[name] = (lambda: Trainer.restore(FakeTrainer(whole), {**state, "ranks": [0, 0]}), "2 processes, not 1")
    call, words = cases[name]
    with pytest.raises(UserError, match=words):
        call()


class FakeTrainer(Trainer):
    def __init__(self, run: Run) -> None:
        from medudl.training.distributed import launch

        self.run, self.fabric = run, launch(run.config.train)


def test_what_moves_no_weight_may_change() -> None:
    free = config({"workers": 2, "sample_every": 1}, detect={"median": 3})
    assert differences(config(), free) == []
    assert differences(config(), config({"precision": "bf16"})) == ["train.precision is bf16, was fp32"]


@pytest.mark.parametrize(
    ("splits", "data", "words"),
    [
        ("vvvv", {}, "no healthy scan in the train split"),
        ("ttvv", {"lesion_free_slices": True}, "lesion-free slices in the train split.*two patients"),
        ("tttt", {}, "no healthy scan in the val split.*--split 70/15/15"),
        ("----", {}, "the cohort has no splits; run `medudl index ... --split 70/15/15`"),
        ("ttvv", {"where": {"modality": "CT"}}, "the cohort has no scan for data.where"),
        ("ttvv", {"healthy_labels": ["fine"]}, "no healthy scan in the train split"),
    ],
)
def test_a_cohort_that_cannot_be_trained_on(splits: str, data: dict[str, Any], words: str, tmp_path: Path) -> None:
    rows = write_cohort(tmp_path / "scans", splits)
    with pytest.raises(UserError, match=words):
        choose_scans(config(data={"foreground": "none", **data}), rows)


def test_a_batch_larger_than_the_cohort(tmp_path: Path) -> None:
    rows = write_cohort(tmp_path / "scans", "ttv")
    run = fit(config({"batch_size": 8, "steps": 3}), rows, tmp_path / "run", progress=False)
    assert run.meta["status"] == "finished"


def test_fp16_on_a_cpu_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fp16 needs a GPU; on a CPU set train.precision=bf16 or fp32"):
        fit(config({"precision": "fp16"}), cohort, tmp_path / "run")
    assert not (tmp_path / "run").exists()
