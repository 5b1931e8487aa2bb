"""Each alarm: a log that sets it off, and logs that do not."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from apps.viewer.alarms import alarms
from medudl.training.course import Course


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def write(path: Path, kind: str, values: dict[str, Sequence[float]], every: int = 10, phase: int = 0) -> None:
    """One line a value, `every` steps apart; each call begins at step `every`."""
    with path.open("a") as stream:
        for number, row in enumerate(zip(*values.values(), strict=True), start=1):
            entry: dict[str, Any] = {"kind": kind, "step": number * every, **dict(zip(values, row, strict=True))}
            stream.write(json.dumps({**entry, "phase": phase}) + "\n")


def kinds(path: Path, monitor: str = "loss") -> list[str]:
    course = Course(path)
    course.update()
    return [alarm.kind for alarm in alarms(course, monitor)]


def told(path: Path) -> str:
    course = Course(path)
    course.update()
    return alarms(course)[0].told


def falling(count: int, start: float = 1.0) -> list[float]:
    return [start / (1 + 0.1 * n) for n in range(count)]


def healthy(path: Path) -> None:
    write(path, "train", {"autoencoder/loss": falling(80), "autoencoder/gradient": falling(80)})
    write(path, "validation", {"loss": falling(16)}, every=50)
    write(path, "picture", {"spread/input": [0.2] * 2, "spread/answer": [0.1, 0.19]}, every=400)


def test_a_good_training_sets_off_nothing(path: Path) -> None:
    healthy(path)
    assert kinds(path) == []
    assert kinds(path.with_name("absent")) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_not_a_number(path: Path, value: float) -> None:
    healthy(path)
    write(path, "validation", {"structure": [1.0, value]}, every=400)
    assert kinds(path) == ["nan"]
    assert "Structure on held-out scans" in told(path) and "step 800" in told(path)


def test_a_gradient_that_fp16_skips_is_none(path: Path) -> None:
    healthy(path)
    write(path, "train", {"generator/gradient": [*falling(40), math.inf]})
    assert kinds(path) == []


def test_exploding_gradient(path: Path) -> None:
    write(path, "train", {"generator/gradient": [1.0] * 40 + [150.0] * 5})
    assert kinds(path) == ["gradient"] and "150 times" in told(path)


def test_one_peak_or_a_young_training_is_no_explosion(path: Path) -> None:
    write(path, "train", {"generator/gradient": [1.0] * 40 + [900.0, 1.0, 1.0, 1.0, 900.0]})
    write(path, "train", {"other/gradient": [1.0] * 5 + [900.0] * 5})
    assert kinds(path) == []


def test_a_discriminator_that_wins(path: Path) -> None:
    write(path, "train", {"discriminator/loss": [1.386] * 30 + [0.01] * 20, "generator/loss": [5.0] * 50})
    assert kinds(path) == ["discriminator"] and "since step 310" in told(path)


def test_a_discriminator_that_is_right_nearly_always(path: Path) -> None:
    write(path, "train", {"discriminator/accuracy": [0.6] * 30 + [0.99] * 20})
    assert kinds(path) == ["discriminator"] and "99.0 %" in told(path)


def test_a_critic_or_a_fair_game_is_no_win(path: Path) -> None:
    """As the log of a Wasserstein GAN looks: its critic's loss goes to 0 from below when all is well."""
    write(path, "train", {"critic/loss": [-0.01] * 60, "critic/penalty": [0.0] * 60})
    write(path, "train", {"critic_b/loss": [0.01] * 60})
    write(path, "train", {"discriminator/loss": [1.2] * 60, "discriminator/accuracy": [0.7] * 60})
    write(path, "train", {"discriminator_b/loss": [-0.02] * 60})
    assert kinds(path) == []


@pytest.mark.parametrize(("name", "words"), [("answer", "answers to different scans"), ("sample", "made images")])
def test_collapse(path: Path, name: str, words: str) -> None:
    write(path, "picture", {"spread/input": [0.2] * 3, f"spread/{name}": [0.15, 0.01, 0.002]}, every=100)
    assert kinds(path) == ["collapse"] and words in told(path) and "1.0 %" in told(path)


def test_a_generator_that_the_training_says_has_collapsed(path: Path) -> None:
    write(path, "picture", {"collapse/alarm": [1, 0], "collapse/spread": [0.1, 0.9]})
    assert kinds(path) == []
    write(path, "picture", {"collapse/alarm": [0, 1], "collapse/spread": [0.9, 0.12]})
    assert kinds(path) == ["collapse"] and "two of them lie 0.12 times as far apart as two scans" in told(path)


def test_one_poor_picture_or_equal_scans_are_no_collapse(path: Path) -> None:
    write(path, "picture", {"spread/input": [0.2] * 2, "spread/answer": [0.01, 0.1]}, every=100)
    write(path, "picture", {"spread/sample": [0.0, 0.0]}, every=1000)
    assert kinds(path) == ["collapse"], "samples that are all the same"
    path.write_text("")
    write(path, "picture", {"spread/input": [0.2] * 2, "spread/answer": [0.01, 0.1]}, every=100)
    assert kinds(path) == []
    path.write_text("")
    write(path, "picture", {"spread/input": [0.0] * 2, "spread/answer": [0.0] * 2}, every=100)
    assert kinds(path) == []


def test_no_progress(path: Path) -> None:
    write(path, "validation", {"loss": [3.0, 2.0, 1.0, 1.01, 1.02, 1.01]}, every=100)
    assert kinds(path) == ["no progress"]
    assert "least at step 300 (1)" in told(path) and "3 validations since" in told(path)


def test_a_late_best_or_few_validations_are_progress(path: Path) -> None:
    write(path, "validation", {"loss": [3.0, 2.0, 1.0, 1.01, 0.99, 1.01]}, every=100)
    assert kinds(path) == []
    path.write_text("")
    write(path, "validation", {"loss": [1.0, 2.0, 3.0]}, every=100)
    assert kinds(path) == []


def test_each_stage_has_a_best_of_its_own(path: Path) -> None:
    write(path, "validation", {"loss": [0.1, 0.1, 0.1, 0.1, 0.1]}, every=10)
    with path.open("a") as stream:
        for step, loss in zip(range(60, 120, 10), falling(6, 5.0), strict=True):
            stream.write(json.dumps({"kind": "validation", "step": step, "loss": loss, "phase": 1}) + "\n")
    assert kinds(path) == []


def test_overfitting_is_said_in_place_of_no_progress(path: Path) -> None:
    write(path, "train", {"autoencoder/loss": falling(80)})
    write(path, "validation", {"loss": [3.0, 2.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]}, every=100)
    assert kinds(path) == ["overfitting"]
    assert "least at step 300 (1) and is 1.4 now" in told(path)


def test_where_training_rises_too_it_is_no_overfitting(path: Path) -> None:
    write(path, "train", {"autoencoder/loss": [*falling(30), *[2.0] * 50]})
    write(path, "validation", {"loss": [3.0, 2.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]}, every=100)
    assert kinds(path) == ["no progress"]


def test_another_monitor(path: Path) -> None:
    write(path, "validation", {"distance": [1.0, 2.0, 2.0, 2.0, 2.0, 2.0], "loss": falling(6)}, every=100)
    assert kinds(path) == [] and kinds(path, "distance") == ["no progress"]
