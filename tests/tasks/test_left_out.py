"""Scans of INPUT that a run cannot look at: each has its row and its reason, and none vanishes without a word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from tiny_dicom import write_series
from tiny_pairs import pair_cohort
from tiny_run import make_cohort, make_run, tiny_config

from medudl import cli
from medudl.config import Data, validate_config
from medudl.data.cases import cases_of
from medudl.data.cohort import Cohort, Series
from medudl.data.sides import Side, side_cases
from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks import projections
from medudl.tasks.calibrate import calibrate
from medudl.tasks.classify import classify
from medudl.tasks.detect import detect, left_out
from medudl.tasks.embed import embed
from medudl.tasks.embedding_files import Embedding
from medudl.training.train import fit

TILT = "the gantry is tilted by 11.3 degrees"


def series(subject: str, contrast: str, problems: str = "", name: str = "") -> Series:
    return Series(subject, study="1", series=name or f"{subject}-{contrast}", modality="MR", contrast=contrast,
                  path=f"{subject}/{contrast}", format="nifti", shape=(4, 4, 4), problems=problems)  # fmt: skip


def told(rows: list[Series], data: dict[str, Any], side: Side | None = None) -> list[tuple[str, str, str]]:
    """(subject, contrast, reason) of each row that is left out."""
    cohort, settings = Cohort.of(Path("/data"), rows), Data.model_validate(data)
    cases, _ = cases_of(cohort, settings) if side is None else side_cases(cohort, settings, side)
    found = left_out(cohort, cases, settings, side)
    return [(case.subject, case.grid.contrast, why) for case, why in found]


def test_a_series_that_the_index_found_wrong() -> None:
    rows = [series("a", "T1", "note: no split"), series("b", "T1", f"{TILT}; note: no split"), series("c", "T2", TILT)]
    assert told(rows, {}) == [("b", "T1", TILT), ("c", "T2", TILT)]
    assert told(rows, {"repair": True}) == []
    assert told(rows, {"where": {"contrast": "T2"}}) == [("c", "T2", TILT)]
    assert told(rows, {"channels": ["T1"], "target": ["T2"]}, "source") == [("b", "T1", TILT)]
    assert told(rows, {"channels": ["T1"], "target": ["T2"]}, "target") == [("c", "T2", TILT)]
    assert told(rows, {"channels": ["MR"], "target": ["CT"]}, "source") == [("b", "T1", TILT), ("c", "T2", TILT)]


def test_a_study_that_lacks_a_channel_is_named_once() -> None:
    rows = [
        series("a", "T1"), series("a", "FLAIR"), series("a", "T1", TILT, "second"), series("b", "T1"),
        series("c", "T1"), series("c", "FLAIR", TILT), series("d", "T2"),
    ]  # fmt: skip
    expected = [("a", "T1", TILT), ("b", "T1", "its study lacks FLAIR"), ("c", "T1", f"FLAIR: {TILT}")]
    assert told(rows, {"channels": ["T1", "FLAIR"]}) == expected
    assert told(rows, {"channels": ["T1", "FLAIR"], "target": ["T2"]}, "source") == expected
    # With zeros in the place of a channel the study is looked at; the series that was not still has its row.
    zeros = [("a", "T1", TILT), ("c", "FLAIR", TILT)]
    assert told(rows, {"channels": ["T1", "FLAIR"], "missing": "zero"}) == zeros


def test_a_reason_holds_no_path() -> None:
    rows = [series("a", "T1", "a/T1 is cut short"), series("b", "T1")]
    assert told(rows, {}) == [("a", "T1", "a-T1 is cut short")]


def dicom(folder: Path, tilted: bool) -> None:
    """A T1 series of 64 x 64 x 5 random voxels."""
    random = np.random.default_rng(0)
    files, _ = write_series(folder, rows=64, columns=64, SeriesDescription="T1 SE")
    for number, file in enumerate(files):
        one = pydicom.dcmread(file)
        one.PixelData = random.integers(0, 999, (64, 64)).astype(np.uint16).tobytes()
        one.ImagePositionPatient = [one.ImagePositionPatient[0] + 0.8 * number * tilted, *one.ImagePositionPatient[1:]]
        one.save_as(file)


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("translator")
    tree = {
        "method": {"name": "pix2pix", "width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
        "data": {"channels": ["T1"], "target": ["T2"], "foreground": "none", "pairs": "trust", "size": [64, 64]},
        "train": {"steps": 1, "batch_size": 2, "validate_every": 1, "device": "cpu"},
    }
    return fit(validate_config(tree, "test"), pair_cohort(folder / "data"), folder / "run", progress=False).path


def test_translate_counts_them(translator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dicom(tmp_path / "in" / "good", tilted=False)
    dicom(tmp_path / "in" / "other", tilted=True)
    words = ["translate", translator, tmp_path / "in", "-o", tmp_path / "out"]
    cli.app([str(word) for word in words], standalone_mode=False)
    line = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 scans translated" in line and "1 failed, see the column problem" in line
    table = pd.read_csv(tmp_path / "out" / "translations.csv")
    assert list(table["contrast"]) == ["T1", "T1"] and table["volume"].notna().tolist() == [True, False]
    assert table["problem"][1].startswith("the gantry is tilted by 11")


def test_a_lone_scan_that_cannot_be_used_is_told_its_own_reason(translator: Path, tmp_path: Path) -> None:
    dicom(tmp_path / "in", tilted=True)
    words = ["translate", translator, tmp_path / "in", "-o", tmp_path / "out"]
    with pytest.raises(UserError, match="in: holds no scan that this run can use: sub-.*_T1: the gantry is") as caught:
        cli.app([str(word) for word in words], standalone_mode=False)
    assert "data.channels" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Four scans, of which the index found one tilted."""
    path = make_cohort(tmp_path / "scans", train=0, val=2, healthy=2, sick=0)
    table = pd.read_csv(path, dtype=str, keep_default_na=False).assign(problems=["", "", "", TILT])
    table.to_csv(path, index=False)
    return path


def test_detect(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", scans)
    calibrate(run)
    table = detect(run.path, scans, tmp_path / "out", progress=False)
    assert list(table["problem"]) == ["", "", "", TILT] and table["subject"][3] == "s03"
    assert table["score"].notna().tolist() == [True, True, True, False]
    words = ["detect", run.path, scans, "-o", tmp_path / "out"]
    cli.app([str(word) for word in words], standalone_mode=False)
    line = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"scores\.csv: 3 of 4 scans scored(, \d of them flagged)?; 1 failed, see the column problem$", line
    )


def classifier(folder: Path, scans: Path) -> Run:
    body = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 1}
    method = {"name": "classifier", "body": body, "classes": ["healthy", "plaque"], "healthy": ["healthy"]}
    run = make_run(folder, scans, validate_config({**tiny_config().model_dump(mode="json"), "method": method}, "tiny"))
    run.update({"classes": method["classes"]})
    run.write_json("classification.json", {"temperature": 1.0})
    return run


def test_classify(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = classifier(tmp_path / "run", scans)
    table = classify(run.path, scans, tmp_path / "out", progress=False)
    assert list(table["problem"]) == ["", "", "", TILT] and table["predicted"].notna().sum() == 3
    words = ["classify", run.path, scans, "-o", tmp_path / "out"]
    cli.app([str(word) for word in words], standalone_mode=False)
    line = " ".join(capsys.readouterr().out.split())
    assert "3 of 4 scans classified; 1 failed, see the column problem" in line


def test_embed(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(projections.LIMITS, "umap", 0)
    monkeypatch.setitem(projections.LIMITS, "tsne", 0)
    embed(make_run(tmp_path / "run", scans).path, scans, tmp_path / "out", progress=False)
    made = Embedding.read(tmp_path / "out")
    assert made.about["cases"] == 3 and made.about["skipped"] == [f"sub-s03_FLAIR: {TILT}"]
