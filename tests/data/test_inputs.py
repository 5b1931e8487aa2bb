"""INPUT: a table, a folder, or one file; told in one line if it is none, before torch is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from index_scans import inline, nifti
from synthetic_dicom import series

from medudl.data.identity import Key
from medudl.data.index import index
from medudl.data.inputs import open_input
from medudl.errors import UserError

pytestmark = pytest.mark.usefixtures(inline.__name__)
__all__ = ["inline"]


def test_a_table_a_folder_and_a_file(tmp_path: Path) -> None:
    path = nifti(tmp_path / "scans" / "sub-1_T1w.nii.gz", 1)
    nifti(tmp_path / "scans" / "sub-2_T1w.nii.gz", 2)
    index([tmp_path / "scans"], tmp_path / "cohort.csv")
    before = set(tmp_path.rglob("*"))
    table, folder, file = (open_input(p) for p in (tmp_path / "cohort.csv", tmp_path / "scans", path))
    assert table.series() == folder.series() and len(table) == 2
    assert file.series() == folder.series()[:1]
    assert [cohort.files_of(cohort.series()[0]) for cohort in (table, folder, file)] == [[path]] * 3
    assert set(tmp_path.rglob("*")) == before


def test_pseudonyms_join_with_the_key_of_a_run(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 900, (6, 5, 4)).astype(np.int16)
    series(tmp_path / "scans", voxels, np.eye(4), PatientID="Doe")
    cohort = index([tmp_path / "scans"], tmp_path / "out" / "cohort.csv")
    key = Key.load(tmp_path / "out" / "medudl.key")
    assert open_input(tmp_path / "scans", key).series() == cohort.series()
    assert open_input(tmp_path / "scans").series()[0].subject != cohort.series()[0].subject


def test_one_line_for_what_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("text")
    for path, complaint in (
        (tmp_path / "absent", "no such file or folder"),
        (tmp_path / "empty", "holds no scans"),
        (tmp_path / "notes.txt", "not a DICOM file"),
    ):
        with pytest.raises(UserError, match=complaint) as error:
            open_input(path)
        assert "\n" not in str(error.value) and path.name in str(error.value)


def test_neither_torch_nor_monai_is_imported(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii")
    code = (
        "import sys; from medudl.data.inputs import open_input; open_input(sys.argv[1]);"
        "assert not {'torch', 'monai', 'SimpleITK', 'scipy', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
