"""data.condition from a config to a run: filled in, learnt from the scans of gan, resumed, refused in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tiny_run import make_cohort

from medudl.api import check_method
from medudl.config import Config, validate_config
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.run import Run
from medudl.training.checkpoint import load_checkpoint
from medudl.training.resolve import complete
from medudl.training.train import fit

GAN = {"name": "conditional_gan", "latent": 4, "width": 4}
TOLD = ["contrast", "slice_position", "age"]
FILLED = [
    {"name": "contrast", "values": ["FLAIR", "T1"]}, {"name": "slice_position", "low": 0.0, "high": 1.0},
    {"name": "age", "low": 30.0, "high": 60.0, "mean": 43.3333},
]  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Nobody has a label but two; one has a lesion."""
    table = make_cohort(tmp_path_factory.mktemp("told") / "scans", train=4, val=2, healthy=1, sick=1)
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    frame["contrast"] = ["FLAIR", "T1"] * 4
    frame["age"] = ["30", "60", "", "40", "50", "70", "10", ""]
    frame["dose"] = ["1", "2", "3", "3", "much", "", "", ""]
    frame["label"] = ["", "ill", *[""] * 5, "ill"]
    frame.to_csv(table, index=False)
    return Cohort.read(table)


def _config(method: dict[str, Any] | None = None, condition: list[str] | None = None, **train: Any) -> Config:
    settings = {"steps": 4, "batch_size": 4, "validate_every": 2, "checkpoint_every": 2, "sample_every": 50,
                "device": "cpu", **train}  # fmt: skip
    data = {"size": [16, 16], "condition": TOLD if condition is None else condition}
    return validate_config({"method": method or GAN, "data": data, "train": settings}, "test")


def test_what_each_can_be_comes_from_the_train_split(rows: Cohort) -> None:
    config, plan = complete(_config(), rows)
    assert config.method["conditions"] == FILLED and "classes" not in config.method
    assert [case.subject for case in plan.train] == ["s00", "s01", "s02", "s03"], "no label is needed"
    assert [case.subject for case in plan.val] == ["s04", "s05"]
    as_gan = complete(_config({"name": "gan"}, []), rows)[1]
    assert (plan.train, plan.val) == (as_gan.train, as_gan.val)
    other = [{"name": "contrast", "values": ["T1", "FLAIR"]}, *FILLED[1:]]
    given = _config({**GAN, "conditions": other})
    assert complete(given, rows)[0].method["conditions"] == other, "the config of a run begins another like it"


def test_without_conditions_it_still_learns_from_labels(rows: Cohort) -> None:
    with pytest.raises(UserError, match="no labelled scan in the val split"):
        complete(_config(condition=[]), rows)
    with pytest.raises(UserError, match="method.classes: there is no class"):
        Run(rows.root, _config(condition=[]), {"shape": [1, 16, 16]}).method()


@pytest.mark.parametrize(
    ("method", "condition", "words"),
    [
        ({"name": "gan"}, TOLD, "data.condition: gan is told nothing of its images"),
        ({"name": "classifier", "body": {"name": "autoencoder"}}, TOLD, "data.condition: classifier is told nothing"),
        ({**GAN, "classes": ["a", "b"]}, TOLD, "method.classes does not go with data.condition"),
        ({**GAN, "conditions": FILLED}, ["contrast"], "method.conditions is of contrast, slice_position, age,"),
        ({**GAN, "conditions": FILLED}, [], "data.condition of nothing"),
        (GAN, ["scan"], "data.condition: scan is no column"),
        (GAN, ["dose"], "dose: 'much' is no number"),
        (GAN, ["modality"], "data.condition: modality is MR in every scan"),
        (GAN, ["label"], "label is ill in every scan learnt from|says nothing"),
    ],
)
def test_what_cannot_be_told_is_refused_before_a_scan_is_read(
    method: dict[str, Any], condition: list[str], words: str, rows: Cohort, tmp_path: Path
) -> None:
    if condition == ["label"]:
        rows = Cohort(rows.root, rows.table.assign(label="ill"), rows.meta)
    gone = Cohort(tmp_path, rows.table, rows.meta)
    with pytest.raises(UserError, match=words) as told:
        fit(_config(method, condition), gone, tmp_path / "run", progress=False)
    assert "\n" not in str(told.value) and not (tmp_path / "run").exists()


def test_a_slip_in_conditions_is_told_in_one_line() -> None:
    with pytest.raises(UserError, match="method.conditions: .*age needs values"):
        check_method(_config({**GAN, "conditions": [{"name": "age"}]}))


def test_a_run_is_complete_resumes_bit_equal_and_opens(rows: Cohort, tmp_path: Path) -> None:
    whole = fit(_config(steps=8), rows, tmp_path / "whole", progress=False)
    fit(_config(), rows, tmp_path / "parts", progress=False)
    parts = fit(_config(steps=8), rows, tmp_path / "parts", resume=True, progress=False)
    assert Run.open(parts.path).config.method["conditions"] == FILLED
    states = [load_checkpoint(run.path / "checkpoint", print)["weights"] for run in (whole, parts)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    method: Any = parts.method()
    assert [one.name for one in method.conditions] == TOLD and method.told == 4
    told = {tuple(round(x, 3) for x in row) for row in method.remembered.tolist()}
    assert len(told) == 24, "four scans of six slices, each told its own"
    assert {row[3] for row in told} == {0.0, 1.0, 0.333, 0.444} and {row[2] for row in told} == {
        0,
        0.2,
        0.4,
        0.6,
        0.8,
        1,
    }
    assert "healthy scans" in (parts.path / "card.md").read_text()
    other = Cohort(rows.root, rows.table.assign(age=["31", *rows.table["age"][1:]]), rows.meta)
    with pytest.raises(UserError, match="cannot go on with other settings: method.conditions is"):
        fit(_config(steps=9), other, parts.path, resume=True, progress=False)
