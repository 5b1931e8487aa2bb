"""A config is made complete: what method.init brings, classes from labels, shares of the labelled patients."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_cohort import SIDE, write_cohort

from medudl.config import Config, validate_config
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.run import Run
from medudl.training.labelled import share_of
from medudl.training.resolve import complete
from medudl.training.train import fit

BODY = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}
DATA = {"foreground": "none", "intensity": {"kind": "window", "low": 0, "high": 255}, "cache_workers": 1}
TRAIN = {"steps": 6, "batch_size": 2, "validate_every": 3, "checkpoint_every": 3, "sample_every": 50, "device": "cpu"}


def _labelled(folder: Path, splits: str = "ttttttttvvvvee--") -> Cohort:
    """Pictures of blobs; every other one is of a second class."""
    rows = write_cohort(folder, splits)
    rows.table["label"] = ["NORMAL" if n % 2 else "ILL" for n in range(len(rows))]
    rows.write(folder / "cohort.csv")
    return rows


def _config(method: dict[str, Any], data: dict[str, Any] | None = None, **train: Any) -> Config:
    return validate_config({"method": method, "data": data or {}, "train": {**TRAIN, **train}}, "test")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return _labelled(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="module")
def source(rows: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "autoencoder"
    fit(_config(BODY, {**DATA, "healthy_labels": []}), rows, place, progress=False)
    return place


def _classifier(source: Path, **more: Any) -> dict[str, Any]:
    return {"name": "classifier", "init": str(source), **more}


def test_init_brings_the_body_and_the_data_settings(rows: Cohort, source: Path) -> None:
    config, plan = complete(_config(_classifier(source), {"healthy_labels": ["NORMAL"]}), rows)
    assert config.method["body"] == BODY and config.method["init"] == str(source)
    assert config.data.foreground == "none" and config.data.intensity.high == 255  # type: ignore[union-attr]
    assert config.method["classes"] == ["ILL", "NORMAL"] and config.method["counts"] == [4, 4]
    assert config.method["healthy"] == ["NORMAL"]
    assert len(plan.train) == 8 and len(plan.val) == 4, "sick and healthy are learnt from"
    assert plan.notes == []


def test_what_the_config_says_stays_and_what_differs_is_told(rows: Cohort, source: Path) -> None:
    asked = _config(
        _classifier(source, body={"name": "autoencoder"}, classes=["NORMAL", "ILL"]),
        {"intensity": {"kind": "window", "low": 0, "high": 200}},
    )
    config, plan = complete(asked, rows)
    assert config.data.intensity.high == 200 and config.method["classes"] == ["NORMAL", "ILL"]  # type: ignore[union-attr]
    assert any("method.body is that of" in note for note in plan.notes)
    assert any("data.intensity is" in note and "255" in note for note in plan.notes)


def test_a_finished_run_needs_its_source_no_more(rows: Cohort, source: Path, tmp_path: Path) -> None:
    """Its weights come from the source; it resumes and opens without it."""
    gone = tmp_path / "source"
    shutil.copytree(source, gone)
    config = _config(_classifier(gone, freeze=True), {"healthy_labels": ["NORMAL"]})
    run = fit(config, rows, tmp_path / "run", progress=False)
    own, other = run.method().state_dict(), Run.open(source).method().state_dict()
    assert all(torch.equal(own[f"body.{name}"], value) for name, value in other.items())
    shutil.rmtree(gone)
    longer = _config(_classifier(gone, freeze=True), {"healthy_labels": ["NORMAL"]}, steps=9)
    again = fit(longer, rows, tmp_path / "run", resume=True, progress=False)
    assert again.meta["step"] == 9 and again.meta["classes"] == ["ILL", "NORMAL"]
    assert again.method().verbs() == ("encode", "classify")
    with pytest.raises(UserError, match="no such run"):
        fit(config, rows, tmp_path / "other", progress=False)


def test_images_of_another_shape_are_refused_and_leave_no_folder(rows: Cohort, source: Path, tmp_path: Path) -> None:
    config = _config(_classifier(source), {"size": [12, 12], "healthy_labels": ["NORMAL"]})
    with pytest.raises(UserError, match=rf"1 x {SIDE} x {SIDE}.*these are 1 x 12 x 12"):
        fit(config, rows, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "labels", "words"),
    [
        ({"name": "classifier"}, None, "method.body is missing: .*method.init=RUN"),
        ({"name": "classifier", "body": BODY}, "NORMAL", "one class of labels .NORMAL."),
        ({"name": "classifier", "body": BODY, "classes": ["ILL", "WORSE"]}, None, "no scan of WORSE"),
        ({"name": "classifier", "body": BODY}, "", "no labelled scan in the train split"),
        ({**BODY, "init": "nowhere"}, None, "nowhere: no such run"),
    ],
)
def test_what_cannot_be_completed(method: dict[str, Any], labels: str | None, words: str, rows: Cohort) -> None:
    table = rows.table if labels is None else rows.table.assign(label=labels)
    with pytest.raises(UserError, match=words):
        complete(_config(method, DATA), Cohort(rows.root, table, rows.meta))


def test_a_method_that_takes_no_weights_says_so(rows: Cohort, source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Autoencoder takes no pretrained weights"):
        fit(_config({**BODY, "init": str(source)}, DATA), rows, tmp_path / "run", progress=False)


def test_a_val_split_without_a_class_and_test_patients_seen_before_are_told(source: Path, tmp_path: Path) -> None:
    rows = _labelled(tmp_path, "tttteeeevttttvtv")
    rows.table.loc[rows.table["split"] == "val", "label"] = "ILL"
    notes = complete(_config(_classifier(source)), rows)[1].notes
    assert any("has no scan of NORMAL" in note for note in notes)
    assert any("images of 4 of the test patients" in note for note in notes)


def test_shares_are_nested_by_patient_and_hold_every_class(tmp_path: Path) -> None:
    rows = _labelled(tmp_path, "t" * 60 + "vvvv")
    body = {"name": "classifier", "body": BODY}
    few = {}
    for share in (0.05, 0.1, 0.5, 1.0):
        config, plan = complete(_config(body, DATA, labels=share, seed=3), rows)
        few[share] = {case.subject for case in plan.train}
        assert config.method["counts"] == [max(1, round(30 * share))] * 2
    assert few[0.05] < few[0.1] < few[0.5] < few[1.0] and len(few[1.0]) == 60
    other = complete(_config(body, DATA, labels=0.1, seed=4), rows)[1]
    assert {case.subject for case in other.train} != few[0.1]
    with pytest.raises(UserError, match="learns without labels"):
        complete(_config(BODY, DATA, labels=0.5), rows)
    assert share_of([], 0.5, 0) == []
