"""The label curve, and classifying and evaluating, whole: on pictures that take seconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parent / "training"))
from tiny_cohort import write_cohort  # noqa: E402

from medudl import api  # noqa: E402
from medudl.config import validate_config  # noqa: E402
from medudl.curves import fits as curve_fits  # noqa: E402
from medudl.data.cohort import Cohort  # noqa: E402
from medudl.errors import UserError  # noqa: E402
from medudl.run import Run  # noqa: E402

BODY = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}
DATA = {"foreground": "none", "intensity": {"kind": "window", "low": 0, "high": 255}, "cache_workers": 1}
TRAIN = {"steps": 4, "batch_size": 4, "validate_every": 2, "checkpoint_every": 4, "sample_every": 50, "device": "cpu"}
SET = ["train.steps=2", "train.batch_size=4", "train.validate_every=2", "train.device=cpu", "data.augment={}"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of two classes, an autoencoder trained on it, and a classifier on that."""
    folder = tmp_path_factory.mktemp("curve")
    rows = write_cohort(folder / "scans", "t" * 20 + "v" * 8 + "e" * 10)
    rows.table["label"] = ["NORMAL" if n % 2 else "ILL" for n in range(len(rows))]
    rows.write(folder / "cohort.csv")
    config = validate_config({"method": BODY, "data": DATA, "train": TRAIN}, "test")
    api.train(config, folder / "cohort.csv", folder / "autoencoder", progress=False)
    method = {"name": "classifier", "init": str(folder / "autoencoder"), "head": "cam"}
    tree = {"method": method, "data": {"healthy_labels": ["NORMAL"]}, "train": TRAIN}
    api.train(validate_config(tree, "test"), folder / "cohort.csv", folder / "classifier", progress=False)
    return folder


def test_predictions_are_probabilities_of_every_scan(place: Path, tmp_path: Path) -> None:
    table = api.classify(place / "classifier", place / "cohort.csv", tmp_path / "out", split="test", progress=False)
    read = pd.read_csv(tmp_path / "out" / "predictions.csv", keep_default_na=False)
    assert list(read.columns) == ["subject", "study", "series", "contrast", "predicted", "probability ILL",
                                  "probability NORMAL", "problem"]  # fmt: skip
    assert len(read) == 10 and set(read["problem"]) == {""} and set(read["predicted"]) <= {"ILL", "NORMAL"}
    assert np.allclose(table["probability ILL"] + table["probability NORMAL"], 1)
    learnt = json.loads((place / "classifier" / "classification.json").read_text())
    assert learnt["n_scans"] == 8 and learnt["log_loss_after"] <= learnt["log_loss_before"] + 1e-9


def test_a_scan_that_cannot_be_read_keeps_its_row(place: Path, tmp_path: Path) -> None:
    rows = Cohort.read(place / "cohort.csv")
    rows.table.loc[rows.table["subject"] == "p30", "path"] = "absent.png"
    rows.write(tmp_path / "cohort.csv")
    table = api.classify(place / "classifier", tmp_path / "cohort.csv", tmp_path / "out", split="test", progress=False)
    (row,) = table[table["subject"] == "p30"].to_dict("records")
    assert row["problem"] and pd.isna(row["predicted"]) and str(tmp_path) not in row["problem"]


def test_what_does_not_classify_says_so(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no classification.json; it does not classify"):
        api.classify(place / "autoencoder", place / "cohort.csv", tmp_path / "out", progress=False)


def test_folds_hold_every_labelled_patient_out_once(place: Path, tmp_path: Path) -> None:
    tree = {"method": {"name": "classifier", "body": BODY}, "data": DATA, "train": TRAIN}
    api.train(validate_config(tree, "test"), place / "cohort.csv", tmp_path / "folds", folds=3, progress=False)
    tested = [s.subject for n in range(3) for s in Run.open(tmp_path / "folds" / f"fold-{n}").cohort().series()
              if s.split == "test"]  # fmt: skip
    assert sorted(tested) == sorted(Cohort.read(place / "cohort.csv").table["subject"])
    tree = api.evaluate(tmp_path / "folds", out=tmp_path / "report", progress=False)
    assert tree["patients"] == len(tested) == 38


def test_a_classifier_is_evaluated_beside_trivial_ones(place: Path, tmp_path: Path) -> None:
    tree = api.evaluate(place / "classifier", out=tmp_path / "report", progress=False)
    assert tree == json.loads((tmp_path / "report" / "report.json").read_text())
    names = [row["name"] for row in tree["figures"]]
    assert names[0] == "the model" and len(names) == 4 and any("28 x 28" in name for name in names)
    assert tree["patients"] == 10 and "classifier" in tree["verdict"] and tree["beats"] in (True, False)
    constant = next(row for row in tree["figures"] if "most frequent" in row["name"])
    assert constant["balanced_accuracy"]["value"] == 0.5
    page = (tmp_path / "report" / "report.html").read_text()
    assert tree["verdict"].split(" (")[0] in page and "<script src" not in page
    with pytest.raises(UserError, match="split nowhere: no scan"):
        api.evaluate(place / "classifier", split="nowhere", out=tmp_path / "other", progress=False)


def test_class_maps_are_detected_with(place: Path, tmp_path: Path) -> None:
    table = api.detect(place / "classifier", place / "cohort.csv", tmp_path / "maps", split="test", progress=False)
    assert (
        len(table) == 10 and table["problem"].eq("").all() and len(list((tmp_path / "maps").glob("*_anomaly*"))) >= 10
    )


def test_the_curve_is_whole_and_goes_on_where_it_stopped(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"seeds": 2, "overrides": SET, "progress": False}
    trained, original = [], curve_fits.trained

    def count(*args: Any) -> Any:
        trained.append(args[0].name)
        if len(trained) == 4:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(curve_fits, "trained", count)
    with pytest.raises(KeyboardInterrupt):
        api.label_curve(place / "autoencoder", tmp_path / "out", **arguments)
    done = len(list((tmp_path / "out" / "fits").glob("*.json")))
    assert done >= 3
    tree = api.label_curve(place / "autoencoder", tmp_path / "out", **arguments)
    assert len(trained) == 4 + 20 - 3, "fits that were finished are kept"
    arms = {row["arm"] for row in tree["rows"]}
    assert arms == {"scratch: autoencoder", "autoencoder", "pixels"} and len(tree["rows"]) == 15
    assert [row["patients"] for row in tree["rows"] if row["arm"] == "pixels"] == [2, 2, 4, 10, 20]
    assert tree["pairs"] == {"autoencoder": "scratch: autoencoder"} and "autoencoder: " in tree["verdict"]
    assert (tmp_path / "out" / "label_curve.html").is_file()
    api.label_curve(place / "autoencoder", tmp_path / "out", **arguments)
    assert len(trained) == 21
    with pytest.raises(UserError, match="fits of other settings"):
        api.label_curve(
            place / "autoencoder", tmp_path / "out", seeds=2, overrides=[*SET, "train.steps=3"], progress=False
        )


def test_a_run_that_has_seen_the_test_patients_is_refused(place: Path, tmp_path: Path) -> None:
    rows = Cohort.read(place / "cohort.csv")
    rows.table["split"] = rows.table["split"].map({"train": "test", "test": "train", "val": "val"})
    rows.write(tmp_path / "cohort.csv")
    with pytest.raises(UserError, match="images of 20 of the test patients"):
        api.label_curve(place / "autoencoder", tmp_path / "out", cohort=tmp_path / "cohort.csv", progress=False)
