"""The whole way by the real commands, on the phantoms that come with medudl."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medudl.api import detect
from medudl.errors import UserError

ROOT = Path(__file__).parents[1]
CONFIG = """
method: {name: denoising_autoencoder, width: 4, levels: 2, norm: batch, residual: true}
data:
  channels: [T1, T2, FLAIR]
  grid: FLAIR
  foreground: file
  foreground_file: "sub-{subject}/anat/sub-{subject}_desc-brain_mask.nii.gz"
  outside: zero
  crop_foreground: true
  size: [96, 96]
  healthy_labels: [healthy]
  cache_workers: 1
train: {steps: 6, batch_size: 4, validate_every: 3, checkpoint_every: 3, sample_every: 6}
"""


def medudl(*args: str | Path) -> str:
    """Standard output of a command that has to end well."""
    done = subprocess.run(
        [sys.executable, "-m", "medudl.cli", *map(str, args)], capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole way was gone once."""
    out = tmp_path_factory.mktemp("way")
    splits = {"001": "train", "002": "val"}
    with (ROOT / "sample_data" / "labels.csv").open(newline="") as stream:
        rows = [{**row, "split": splits.get(row["subject"], "test")} for row in csv.DictReader(stream)]
    with (out / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (out / "config.yaml").write_text(CONFIG)
    medudl("index", ROOT / "sample_data", "-o", out / "cohort.csv", "--labels", out / "labels.csv")
    medudl("train", out / "config.yaml", "--cohort", out / "cohort.csv", "-o", out / "run")
    medudl("detect", out / "run", out / "cohort.csv", "-o", out / "maps", "--split", "test")
    (out / "said").write_text(medudl("evaluate", out / "run", "-o", out / "report"))
    return out


def test_maps_lie_on_the_grid_of_the_scan(way: Path) -> None:
    maps = sorted((way / "maps").glob("*_anomaly.nii.gz"))
    assert len(maps) == 3
    for path in maps:
        subject = path.name.split("_")[0]
        source = nib.load(ROOT / "sample_data" / subject / "anat" / f"{subject}_FLAIR.nii.gz")
        for kind in ("anomaly", "expected", "unusual"):
            made = nib.load(str(path).replace("_anomaly", f"_{kind}"))
            assert made.shape == source.shape
            np.testing.assert_allclose(made.affine, source.affine, atol=1e-3)
        about = json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text())
        assert about["GeneratedBy"][0]["Name"] == "medudl" and about["Sources"] and about["Units"]


def test_a_split_that_the_cohort_has_not_is_told(way: Path) -> None:
    with pytest.raises(UserError, match=r"no scan of split test.*run/cohort\.csv"):
        detect(way / "run", ROOT / "sample_data", way / "none", split="test", progress=False)


def test_scores_explain_their_threshold(way: Path) -> None:
    with (way / "maps" / "scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["subject"] for row in rows] == ["003", "004", "005"]
    assert all(float(row["score"]) > 0 and 0 < float(row["expected_false_alarms"]) <= 1 for row in rows)


def test_three_patients_are_too_few_for_a_verdict(way: Path) -> None:
    report = json.loads((way / "report" / "report.json").read_text())
    assert report["patients"] == 3 and report["beats"] is None
    assert report["verdict"] in (way / "said").read_text()
    names = " ".join(baseline["name"] for baseline in report["baselines"]["voxel"])
    for needed in ("FLAIR intensity", "equalised intensity", "standard deviation", "|x - mean| / std"):
        assert needed in names
    assert {"tumour", "haemorrhage", "plaques"} <= {kind["kind"] for kind in report["kinds"]}


def test_a_run_goes_on_where_it_was(way: Path) -> None:
    medudl("train", way / "config.yaml", "--cohort", way / "cohort.csv", "-o", way / "run", "--resume",
           "--set", "train.steps=9")  # fmt: skip
    assert json.loads((way / "run" / "run.json").read_text())["step"] == 9


def test_a_generator_goes_the_whole_way(way: Path) -> None:
    """Train a gan, draw from it, report on it: three patients too few for a verdict, and one line says so."""
    made = CONFIG.replace(
        CONFIG[CONFIG.index("method:") : CONFIG.index("\ndata:")], "method: {name: gan, latent: 8, width: 4}"
    )
    made = made.replace("channels: [T1, T2, FLAIR]", "channels: [FLAIR]").replace("size: [96, 96]", "size: [32, 32]")
    made = made.replace("healthy_labels: [healthy]", "healthy_labels: [healthy, tumour, haemorrhage, plaques]")
    (way / "gan.yaml").write_text(made)
    medudl("train", way / "gan.yaml", "--cohort", way / "cohort.csv", "-o", way / "gan")
    said = medudl("sample", way / "gan", "-n", "4", "-o", way / "drawn", "--features", "pixels")
    assert "4 samples" in said
    about = json.loads((way / "drawn" / "samples.json").read_text())
    assert about["method"] == "gan" and about["latent"] == 8 and about["shape"] == [1, 32, 32]
    assert "held-out patients" in about["why"]
    said = medudl("evaluate", way / "gan", "-o", way / "gan-report", "--features", "pixels", "--samples", "12")
    report = json.loads((way / "gan-report" / "report.json").read_text())
    assert report["kind"] == "generator" and report["beats"] is None and report["verdict"] in said
    assert {"kid", "fid", "spectrum", "copies"} <= {row["name"] for row in report["figures"]}


def test_every_subject_is_left_out_on_request(way: Path) -> None:
    medudl("train", way / "config.yaml", "--cohort", way / "cohort.csv", "-o", way / "without", "--leave-out", "003",
           "--set", "train.steps=2", "--set", "data.healthy_labels=[healthy, plaques]")  # fmt: skip
    with (way / "without" / "cohort.csv").open(newline="") as stream:
        assert {row["subject"] for row in csv.DictReader(stream) if row["split"] == "test"} == {"003"}
