"""Samples under conditions: all are told what was asked for, the table says it in words, slips are told in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_run import make_cohort, make_run, tiny_config

from medudl import cli
from medudl.errors import UserError
from medudl.report.generator import evaluate_generator
from medudl.run import Run
from medudl.state import save_state
from medudl.tasks.detector import Restored
from medudl.tasks.draw import Drawing
from medudl.tasks.sample import sample

CONDITIONS = [
    {"name": "contrast", "values": ["FLAIR", "T1", "T2"]}, {"name": "slice_position", "low": 0, "high": 1},
    {"name": "age", "low": 20, "high": 60},
]  # fmt: skip
NAMES = ["contrast", "slice_position", "age"]
SEEN = torch.tensor([[1, 0, 0, 0.25, 0.5], [0, 0, 0, 0.75, 1.0]])  # of training images: a FLAIR, and one of no contrast


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("asked") / "scans", train=3, val=2, healthy=1, sick=0)


def _run(folder: Path, scans: Path, method: dict[str, Any], condition: list[str], seen: dict[str, torch.Tensor]) -> Run:
    config = tiny_config(condition=condition)
    run = make_run(folder, scans, config.model_copy(update={"method": {"latent": 3, "width": 4, **method}}))
    made: Any = run.method()
    made.settle([{"image": torch.zeros(2, 1, 16, 16), **seen}])
    save_state(run.path / "weights.safetensors", {"weights": made.state_dict()})
    return run


@pytest.fixture(scope="module")
def told(scans: Path) -> Run:
    method = {"name": "conditional_gan", "conditions": CONDITIONS}
    return _run(scans.parents[1] / "told", scans, method, NAMES, {"condition": SEEN})


@pytest.fixture(scope="module")
def classes(scans: Path) -> Run:
    method = {"name": "conditional_gan", "classes": ["NORMAL", "ILL"]}
    return _run(scans.parents[1] / "classes", scans, method, [], {"label": torch.tensor([1, 1])})


def _asked(run: Run, out: Path, *condition: str, n: int = 4) -> tuple[pd.DataFrame, np.ndarray]:
    sample(run.path, n, out, seed=1, features="pixels", condition=condition, device="cpu", progress=False)
    return pd.read_csv(out / "samples.csv", dtype=str), np.load(out / "codes.npy")[:, 3:]


def test_all_are_told_what_was_asked_for_and_the_rest_is_drawn(told: Run, tmp_path: Path) -> None:
    table, y = _asked(told, tmp_path / "out", "contrast=T1", "slice_position=0.5", n=40)
    assert np.array_equal(y[:, :4], np.tile([0, 1, 0, 0.5], (40, 1))) and set(y[:, 4].tolist()) == {0.5, 1.0}
    assert set(table["condition"]) == {f"contrast=T1; slice_position=.50; age={age}" for age in ("40.0", "60.0")}
    assert json.loads((tmp_path / "out" / "samples.json").read_text())["condition"] == "contrast=T1; slice_position=0.5"


def test_nothing_asked_for_is_as_in_the_training_images(told: Run, tmp_path: Path) -> None:
    table, y = _asked(told, tmp_path / "out", n=40)
    assert {tuple(row) for row in y.tolist()} == {tuple(row) for row in SEEN.tolist()}
    assert set(table["condition"]) == {
        "contrast=FLAIR; slice_position=.25; age=40.0", "contrast=unknown; slice_position=.75; age=60.0"
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "samples.json").read_text())["condition"] is None


def test_what_is_asked_for_changes_the_image_and_no_noise(told: Run) -> None:
    restored = Restored(told, "cpu")
    plain, asked = (Drawing(restored, 3, 5, y) for y in ({}, {"contrast": [0.0, 0.0, 1.0]}))
    assert plain.codes is not None and asked.codes is not None
    assert np.array_equal(plain.codes[:, :3], asked.codes[:, :3])
    assert np.array_equal(plain.codes[:, 6:], asked.codes[:, 6:])
    assert not torch.allclose(plain.batch(0), asked.batch(0))
    assert torch.equal(asked.batch(0), restored.method.decode(torch.from_numpy(asked.codes)).detach())  # type: ignore[operator]


def test_a_class_is_asked_for_on_the_command_line(classes: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["sample", classes.path, "-n", 3, "-o", out, "--features", "pixels", "--device", "cpu"]
    cli.app([str(word) for word in (*words, "--condition", "class=NORMAL")], standalone_mode=False)
    assert pd.read_csv(out / "samples.csv")["condition"].tolist() == ["class=NORMAL"] * 3
    assert np.load(out / "codes.npy")[:, 3:].tolist() == [[1, 0]] * 3
    assert set(_asked(classes, tmp_path / "drawn")[0]["condition"]) == {"class=ILL"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["contras=T1"], "--condition contras=T1: write NAME=VALUE; did you mean contrast"),
        (["T1"], "--condition T1: write NAME=VALUE; it is told contrast, slice_position, age"),
        (["contrast=T3"], "--condition contrast=T3: no such value; did you mean T[12]"),
        (["contrast="], "--condition contrast=: no such value; there are FLAIR, T1, T2"),
        (["slice_position=1.5"], "--condition slice_position=1.5: ask for a number from 0 to 1"),
        (["age=19"], "ask for a number from 20 to 60, as in the training scans"),
        (["contrast=T1", "contrast=T2"], "contrast is named twice"),
    ],
)
def test_what_it_is_not_told_is_refused(asked: list[str], words: str, told: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words) as error:
        _asked(told, tmp_path / "out", *asked)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_method_that_is_told_nothing_says_so(scans: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", scans, tiny_config().model_copy(update={"method": {"name": "gan", "width": 4}}))
    with pytest.raises(UserError, match="--condition class=ILL: method gan is told nothing"):
        _asked(run, tmp_path / "out", "class=ILL")
    table = sample(run.path, 2, tmp_path / "out", features="pixels", device="cpu", progress=False)
    assert "condition" not in table


def test_the_report_says_that_conditions_are_not_judged(told: Run, tmp_path: Path) -> None:
    tree = evaluate_generator(
        told.path, out=tmp_path / "report", samples=8, features="pixels", device="cpu", progress=False
    )
    assert any("were told contrast and slice_position and age" in note for note in tree["notes"])
    assert any("is not judged here" in note for note in tree["notes"])
