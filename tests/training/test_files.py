"""The files that a training writes besides its weights: checkpoints, log, events, pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tiny import config, go, new_run, trainer
from toys import register

from medudl.errors import UserError
from medudl.training.checkpoint import load_checkpoint, save_checkpoint
from medudl.training.course import read_log
from medudl.training.log import Log
from medudl.training.samples import fixed_images, spread, write_samples
from medudl.training.screen import Screen


def test_two_generations_are_kept(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint", print) is None
    for step in (9, 10, 1000000):
        save_checkpoint(tmp_path / "checkpoint", step, {"step": step})
    assert sorted(p.name for p in (tmp_path / "checkpoint").iterdir()) == [
        "step-000000010.safetensors", "step-001000000.safetensors"
    ]  # fmt: skip
    assert load_checkpoint(tmp_path / "checkpoint", print) == {"step": 1000000}


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_taken(tmp_path: Path) -> None:
    told: list[str] = []
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"step": step, "weights": torch.ones(100)})
    newest = tmp_path / "step-000000002.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    state = load_checkpoint(tmp_path, told.append)
    assert state is not None and state["step"] == 1
    assert (
        len(told) == 1
        and "step-000000002.safetensors: damaged" in told[0]
        and "trying the checkpoint before" in told[0]
    )
    (tmp_path / "step-000000001.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="every checkpoint is damaged"):
        load_checkpoint(tmp_path, told.append)


def test_a_resume_takes_back_later_lines(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    for step in (10, 20, 30):
        log.write("train", step, {"loss": 1 / step})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')  # killed here
    log = Log(tmp_path, 20)
    log.write("train", 30, {"loss": 7.0})
    log.close()
    assert [(e["kind"], e["step"]) for e in read_log(tmp_path / "log.jsonl")] == [
        ("train", 10), ("train", 20), ("resume", 20), ("train", 30)
    ]  # fmt: skip
    assert read_log(tmp_path / "log.jsonl")[-1]["loss"] == 7.0


def test_tensorboard_reads_the_events(tmp_path: Path) -> None:
    for step in (0, 20):
        log = Log(tmp_path, step)
        log.write("train", 30, {"critic/loss": 0.25, "phase": 0})
        log.close()
    first, second = sorted((tmp_path / "events").iterdir())
    assert [p.name for p in (first, second)] == ["events.out.tfevents.000000", "events.out.tfevents.000001"]
    events = list(EventFileLoader(str(first)).Load())
    scalar = events[-1].summary.value
    assert events[-1].step == 30 and [v.tag for v in scalar] == ["train/critic/loss"]
    assert any(e.HasField("session_log") and e.step == 21 for e in EventFileLoader(str(second)).Load())


def test_a_training_writes_them(tmp_path: Path) -> None:
    at_work = trainer(new_run(tmp_path / "run", config("denoising_autoencoder")))
    go(at_work)
    run = at_work.run
    entries = read_log(run.path / "log.jsonl")
    assert [e["step"] for e in entries if e["kind"] == "validation"] == [4, 8, 12, 16, 20]
    train = next(e for e in entries if e["kind"] == "train")
    assert set(train) == {
        "kind", "step", "phase", "autoencoder/loss", "autoencoder/reconstruction", "autoencoder/gradient"
    }  # fmt: skip
    assert sorted(p.name for p in (run.path / "samples").iterdir()) == ["step-000000010.png", "step-000000020.png"]
    meta = json.loads((run.path / "run.json").read_text())
    assert meta["status"] == "finished" and meta["step"] == 20
    assert at_work.at.best == min(e["loss"] for e in entries if e["kind"] == "validation")


def test_pictures_hold_input_answer_and_map(tmp_path: Path) -> None:
    at_work = trainer(new_run(tmp_path / "run", config("autoencoder")))
    images, targets = fixed_images(at_work.val.epoch(0), len(at_work.val))
    assert targets is not None and targets.shape == images.shape
    assert images.shape == (2, 1, 8, 8), "one of each of the two batches"
    method = at_work.method.eval()
    with torch.no_grad():
        write_samples(method, images, tmp_path / "samples" / "a.png")
        expected = method.reconstruct(images)  # type: ignore[operator]
    with Image.open(tmp_path / "samples" / "a.png") as file:
        picture = np.asarray(file)
    assert picture.shape == (16, 24)
    assert np.abs(picture[:8, :8] / 255 - images[0, 0].numpy()).max() <= 0.5 / 255 + 1e-6
    assert np.abs(picture[8:, 8:16] / 255 - expected[1, 0].clamp(0, 1).numpy()).max() <= 0.5 / 255 + 1e-6
    assert picture[:, 16:].max() == 255


def test_a_generator_shows_what_it_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    method = trainer(new_run(tmp_path / "run", config("toy_wasserstein"))).method.eval()
    with torch.no_grad():
        write_samples(method, torch.zeros(4, 1, 8, 8), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (8, 32)


def test_pictures_tell_how_much_the_answers_differ(tmp_path: Path) -> None:
    at_work = trainer(new_run(tmp_path / "run", config("denoising_autoencoder")))
    go(at_work)
    told = [e for e in read_log(at_work.run.path / "log.jsonl") if e["kind"] == "picture"]
    assert [e["step"] for e in told] == [10, 20] and set(told[0]) >= {"spread/input", "spread/answer"}
    images = np.zeros((4, 2, 2), np.float32)
    assert spread(images) == 0
    images[:2] = 1
    assert spread(images) == pytest.approx(0.5)


def test_a_counter_writes_lines_into_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(shown=True, progress=True) as screen:
        count = screen.counter("preparing scans")
        for done in range(1, 31):
            count(done, 30)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("preparing scans: ")]
    assert len(told) == 10 and told[0] == "preparing scans: 3 of 30" and told[-1] == "preparing scans: 30 of 30"
