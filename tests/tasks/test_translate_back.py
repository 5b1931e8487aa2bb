"""`translate`, there and back: the volume and its distance from the scan, both in the scan's own unit."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_pairs import pair_cohort

import medudl
from medudl.config import validate_config
from medudl.training.train import fit

METHOD = {"width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16}


def load(path: Path) -> NDArray[np.float64]:
    return np.asarray(nibabel.load(path).get_fdata())


@pytest.mark.parametrize("to", ["T2", "T1"])
def test_there_and_back_is_off_by_the_cycle_error(tmp_path: Path, to: str) -> None:
    tree = {
        "method": {"name": "cyclegan", **METHOD},
        "data": {"channels": ["T1"], "target": ["T2"], "foreground": "none", "intensity": {"low": 0, "high": 100}},
        "train": {"steps": 2, "batch_size": 2, "validate_every": 2, "device": "cpu"},
    }
    cohort = pair_cohort(tmp_path / "data", test=1)
    fit(validate_config(tree, "test"), cohort, tmp_path / "run", progress=False)
    table = medudl.translate(
        tmp_path / "run", tmp_path / "data" / "cohort.csv", tmp_path, to=to, split="test", progress=False
    )
    own = "T1" if to == "T2" else "T2"
    back, error = (load(tmp_path / f"sub-s5_ses-1_{own}_cycle-{kind}.nii.gz") for kind in ("back", "error"))
    scan = load(tmp_path / "data" / f"s5_{own}.nii.gz")
    assert np.abs(back - scan) == pytest.approx(error, abs=1e-4 * np.ptp(scan)) and error.max() > 0
    assert table["cycle_error"][0] == pytest.approx(error.mean(), rel=1e-3)


def test_without_a_way_back_there_is_no_such_volume(tmp_path: Path) -> None:
    tree = {
        "method": {"name": "pix2pix", "width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
        "data": {"channels": ["T1"], "target": ["T2"], "foreground": "none"},
        "train": {"steps": 1, "batch_size": 2, "validate_every": 1, "device": "cpu"},
    }
    cohort = pair_cohort(tmp_path / "data", test=1)
    fit(validate_config(tree, "test"), cohort, tmp_path / "run", progress=False)
    medudl.translate(tmp_path / "run", tmp_path / "data" / "cohort.csv", tmp_path / "out", split="test", progress=False)
    assert (tmp_path / "out" / "translations.csv").is_file() and not list((tmp_path / "out").glob("*cycle*"))
