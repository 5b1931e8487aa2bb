"""What `translate` writes of a scan is whole or not there, under names that any file system takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from tiny_dicom import write_series
from tiny_pairs import pair_cohort

import medudl
from medudl.config import validate_config
from medudl.data.cohort import Cohort
from medudl.data.identity import safe_name
from medudl.errors import UserError
from medudl.training.train import fit


def trained(folder: Path, target: str = "T2") -> Path:
    """A run folder beside data/cohort.csv, whose T2 is called `target`."""
    pair_cohort(folder / "data", test=1)
    table = pd.read_csv(folder / "data" / "cohort.csv", dtype=str, keep_default_na=False)
    table["contrast"] = table["contrast"].replace("T2", target)
    table.to_csv(folder / "data" / "cohort.csv", index=False)
    tree: dict[str, Any] = {
        "method": {"name": "pix2pix", "width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
        "data": {"channels": ["T1"], "target": [target], "foreground": "none", "pairs": "trust", "size": [64, 64]},
        "train": {"steps": 1, "batch_size": 2, "validate_every": 1, "device": "cpu"},
    }
    cohort = Cohort.read(folder / "data" / "cohort.csv")
    return fit(validate_config(tree, "test"), cohort, folder / "run", progress=False).path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("whole"))


def dicom(folder: Path, side: int, patient: str) -> None:
    random = np.random.default_rng(side)
    for file in write_series(folder, rows=side, columns=side, SeriesDescription="T1 SE", PatientID=patient)[0]:
        one = pydicom.dcmread(file)
        one.PixelData = random.integers(0, 999, (side, side)).astype(np.uint16).tobytes()
        one.save_as(file)


def test_nothing_stays_where_no_series_can_be_made(run: Path, tmp_path: Path) -> None:
    dicom(tmp_path / "tiny", 24, "A")
    with pytest.raises(UserError, match="^sub-.*_T1: an image of 24 x 24 pixels is too small for the words"):
        medudl.translate(run, tmp_path / "tiny", tmp_path / "new" / "out", dicom=True, burn_in=True, progress=False)
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="too small"):
        medudl.translate(run, tmp_path / "tiny", tmp_path / "mine", dicom=True, burn_in=True, progress=False)
    assert list((tmp_path / "mine").iterdir()) == [], "a folder of the user stays, as it was"


def test_a_scan_without_its_series_leaves_no_volume(run: Path, tmp_path: Path) -> None:
    dicom(tmp_path / "in" / "tiny", 24, "A")
    dicom(tmp_path / "in" / "large", 64, "B")
    table = medudl.translate(run, tmp_path / "in", tmp_path / "out", dicom=True, burn_in=True, progress=False)
    (lost,), (kept,) = (table[table["problem"].str.contains("too small") == failed].index for failed in (True, False))
    written = [path.name for path in (tmp_path / "out").iterdir()]
    assert not [name for name in written if table["subject"][lost] in name]
    assert table["volume"][kept] in written and table["volume"][kept].removesuffix(".nii.gz") in written


def test_a_contrast_may_be_called_anything(tmp_path: Path) -> None:
    run = trained(tmp_path, "T2/FLAIR")
    table = medudl.translate(run, tmp_path / "data" / "cohort.csv", tmp_path / "out", split="test", progress=False)
    safe = safe_name("T2/FLAIR")
    assert list(table["to"]) == ["T2/FLAIR"] and list(table["problem"]) == [""]
    assert list(table["volume"]) == [f"sub-s5_ses-1_T1_synthetic-{safe}.nii.gz"]
    for kind in ("synthetic", "uncertainty"):
        for ending in ("nii.gz", "json"):
            assert (tmp_path / "out" / f"sub-s5_ses-1_T1_{kind}-{safe}.{ending}").is_file()
