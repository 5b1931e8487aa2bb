"""A log that is followed while it grows says what a log read at once says, resumes and torn lines included."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from medudl.training.course import Course, Curve, read_log


def line(kind: str, step: int, **values: Any) -> str:
    return json.dumps({"kind": kind, "step": step, **values}) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.steps, curve.values, strict=True))


def test_only_what_is_new_is_read(path: Path) -> None:
    path.write_text(line("train", 10, **{"critic/loss": 1.0}))
    course = Course(path)
    assert course.update() and not course.update()
    with path.open("a") as stream:
        stream.write(line("train", 20, **{"critic/loss": 0.5}) + '{"kind": "train", "step": 30, "cri')
    assert course.update()
    assert points(course.curves["train", "critic/loss"]) == [(10, 1.0), (20, 0.5)] and course.step == 20
    with path.open("a") as stream:
        stream.write('tic/loss": 0.25}\n')
    assert course.update() and points(course.curves["train", "critic/loss"])[-1] == (30, 0.25)


def test_a_resume_cuts_as_read_log_does(path: Path) -> None:
    path.write_text(
        line("train", 10, loss=1.0, phase=0) + line("train", 20, loss=2.0, phase=1) + line("train", 30, loss=3.0)
        + line("resume", 10) + line("train", 20, loss=4.0, phase=0) + line("train", 30, loss=5.0, phase=1)
    )  # fmt: skip
    course = Course(path)
    course.update()
    assert points(course.curves["train", "loss"]) == [(e["step"], e["loss"]) for e in read_log(path) if "loss" in e]
    assert course.resumed == 10 and course.stages == [30]


def test_a_replaced_a_cut_and_a_deleted_log(path: Path) -> None:
    path.write_text(line("train", 10, loss=1.0) + line("train", 20, loss=2.0))
    course = Course(path)
    course.update()
    path.write_text(line("train", 10, loss=7.0))
    assert course.update() and points(course.curves["train", "loss"]) == [(10, 7.0)]
    path.unlink()
    assert course.update() and not course.curves and not course.update()


def test_what_is_no_number_or_no_line(path: Path) -> None:
    path.write_text('{"kind": "train", "step": 10, "loss": NaN, "note": "x"}\nrubbish\n[1]\n{"step": "a"}\n\xff\n')
    course = Course(path)
    course.update()
    assert list(course.curves) == [("train", "loss")] and math.isnan(course.curves["train", "loss"].values[0])
