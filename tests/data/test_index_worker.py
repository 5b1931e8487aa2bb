"""The hash of decoded voxels, and how a worker tells what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from index_scans import nifti
from synthetic_dicom import series

from medudl.data.index_worker import FLAT, digest, what
from medudl.errors import UserError


def test_equal_voxels_have_equal_hashes_whatever_the_file(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 900, (4, 6, 5)).astype(np.int16)
    files = [
        nifti(tmp_path / "a.nii", voxels=voxels),
        nifti(tmp_path / "b.nii.gz", voxels=voxels.astype(np.float64)),
        nifti(tmp_path / "c.nii", voxels=voxels + 1),
        nifti(tmp_path / "d.nii", voxels=voxels.reshape(6, 4, 5)),
    ]
    a, b, c, d = (digest(((file,), "nifti", ("",), True))[0][0] for file in files)
    assert a == b and len({a, c, d}) == 3
    slices = tuple(series(tmp_path / "dicom", voxels, np.eye(4)))
    assert digest((slices, "dicom", ("",), True)) == [(a, "")]


def test_a_series_that_is_no_volume_is_hashed_by_its_slices(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 900, (4, 6, 5)).astype(np.int16)
    files = tuple(series(tmp_path / "a", voxels, np.eye(4)))
    copies = tuple(series(tmp_path / "b", voxels, np.eye(4), seed=1))
    some = [digest((files[:4], "dicom", ("",), False)), digest((files, "dicom", ("",), False))]
    assert some[1] == digest((copies, "dicom", ("",), False)) != some[0] and len(some[1][0][0]) == 64


def test_faults_are_told_without_path_and_advice(tmp_path: Path) -> None:
    flat = nifti(tmp_path / "flat.nii", voxels=np.ones((3, 3, 3), np.uint8))
    assert digest(((flat,), "nifti", ("",), True))[0][1] == FLAT
    files = [Path("in/a.dcm"), Path("in/b.dcm")]
    assert what(UserError("in/b.dcm: truncated; copy it again"), files) == "b.dcm: truncated"
    assert what(UserError("in/b.dcm: truncated; copy it again"), files[1:]) == "truncated"
    assert what(UserError("in: tilted; by much; leave it out"), files) == "tilted; by much"
