"""Which unit a series is in: HU of a CT whose file does not say so, never of MR or of a picture."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from medudl.data.cohort import Cohort
from medudl.data.scan import read_series


@pytest.mark.parametrize(
    ("modality", "low", "unit"),
    [("CT", -1000, "HU"), ("CT", 0, "arbitrary"), ("CT", -200, "arbitrary"), ("MR", -1000, "arbitrary")],
)
def test_a_converted_ct_is_in_hounsfield_units(modality: str, low: float, unit: str, tmp_path: Path) -> None:
    voxels = np.linspace(low, low + 2000, 60, dtype=np.float32).reshape(5, 4, 3)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii.gz")
    row = {"subject": "s", "series": "a", "modality": modality, "contrast": "CT", "path": "a.nii.gz", "format": "nifti",
           "shape": "5x4x3", "spacing": "1x1x1", "orientation": "RAS", "sha256": "0" * 64}  # fmt: skip
    pd.DataFrame([row]).to_csv(tmp_path / "cohort.csv", index=False)
    cohort = Cohort.read(tmp_path / "cohort.csv")
    volume = read_series(cohort, cohort.series()[0])
    assert volume.unit == unit and np.array_equal(volume.voxels, voxels)
