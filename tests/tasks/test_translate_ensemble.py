"""`translate --ensemble`: the mean of runs that prepare scans alike; any other member is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_pairs import pair_cohort

import medudl
from medudl.config import validate_config
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.training.train import fit

METHODS: dict[str, dict[str, Any]] = {
    "pix2pix": {"width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16},
}


def trained(folder: Path, cohort: Cohort, name: str = "cyclegan", seed: int = 0, **data: Any) -> Path:
    tree = {
        "method": {"name": name, **METHODS[name]},
        "data": {"channels": ["T1"], "target": ["T2"], "foreground": "none", "size": [64, 64], **data},
        "train": {"steps": 1, "batch_size": 2, "validate_every": 1, "device": "cpu", "seed": seed},
    }
    return fit(validate_config(tree, "test"), cohort, folder, progress=False).path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`plain`, and `fold`: the same with another seed and fewer training patients."""
    folder = tmp_path_factory.mktemp("ensemble")
    cohort = pair_cohort(folder / "data", test=1)
    trained(folder / "plain", cohort)
    trained(folder / "fold", cohort.select({"subject": ["s1", "s2", "s3", "s4", "s5"]}), seed=1)
    return folder


def made_by(folder: Path, run: Path, out: Path, **arguments: Any) -> NDArray[np.float64]:
    medudl.translate(run, folder / "data" / "cohort.csv", out, split="test", progress=False, **arguments)
    return np.asarray(nibabel.load(out / "sub-s5_ses-1_T1_synthetic-T2.nii.gz").get_fdata())


def ends(run: Path) -> tuple[float, float]:
    """What the nominal 0 and 1 of T2 stand for."""
    (channel,) = json.loads((run / "sides.json").read_text())["target"]["channels"]
    return channel["low"], channel["high"]


def test_folds_join_on_the_nominal_scale(runs: Path, tmp_path: Path) -> None:
    """Ends measured in each scan have other means over other patients; they are the same map all the same."""
    one, two = (made_by(runs, runs / name, tmp_path / name) for name in ("plain", "fold"))
    both = made_by(runs, runs / "plain", tmp_path / "both", ensemble=[runs / "fold"])
    (low, high), (other_low, other_high) = ends(runs / "plain"), ends(runs / "fold")
    assert high != other_high and np.abs(one - two).max() > 0.01
    nominal = ((one - low) / (high - low) + (two - other_low) / (other_high - other_low)) / 2
    assert both == pytest.approx(low + nominal * (high - low), abs=1e-4)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"intensity": {"T1": {}, "T2": {"low": 20, "high": 80}}}, "prepares scans with another data.intensity than"),
        ({"spacing": [None, 2, 2], "size": [32, 32]}, "prepares scans with another data.spacing and data.size than"),
        ({"view": "slices_25d"}, "prepares scans with another data.view than"),
        ({"target": ["T1"], "channels": ["T2"]}, "translates other contrasts than"),
    ],
)
def test_a_member_that_sees_or_makes_other_scans_is_refused(
    runs: Path, tmp_path: Path, data: dict[str, Any], told: str
) -> None:
    other = trained(tmp_path / "other", Cohort.read(runs / "data" / "cohort.csv"), **data)
    with pytest.raises(UserError, match=f"other: {told} .*plain; members of one ensemble"):
        made_by(runs, runs / "plain", tmp_path / "out", ensemble=[other])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("run.json", {"shape": [1, 32, 32]}, "takes images of 1 x 32 x 32 where 1 x 64 x 64 are those of"),
        ("fitted.json", {"histogram": {"T2": [0, 0.4, 1]}}, "a histogram map that was learnt from other scans than"),
    ],
)
def test_a_member_that_learnt_another_scale_or_size_is_refused(
    runs: Path, tmp_path: Path, file: str, change: dict[str, Any], told: str
) -> None:
    shutil.copytree(runs / "plain", tmp_path / "other")
    path = tmp_path / "other" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=told):
        made_by(runs, runs / "plain", tmp_path / "out", ensemble=[tmp_path / "other"])
    assert not (tmp_path / "out").exists()


def test_a_member_that_knows_no_way_back_is_refused(runs: Path, tmp_path: Path) -> None:
    other = trained(tmp_path / "other", Cohort.read(runs / "data" / "cohort.csv"), "pix2pix", pairs="trust")
    with pytest.raises(UserError, match="--to T1: .*other makes T2 of T1 and knows no way back"):
        made_by(runs, runs / "plain", tmp_path / "out", ensemble=[other], to="T1")
    assert not (tmp_path / "out").exists()
