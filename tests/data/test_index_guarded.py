"""The index with its real workers, on small files and, where they are present, on real scans."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from index_scans import nifti, npz

from medudl.data.cohort import Cohort
from medudl.data.identity import Key
from medudl.data.index import index_paths
from medudl.data.index_build import build
from medudl.data.index_progress import Progress
from medudl.data.index_rules import rules_of
from medudl.data.splits import LeakError

# What tells the children of these films apart, if numbers run per class; and if a number is one child in any class.
PER_CLASS = r"(?P<split>train|val)/(?P<label>[A-Z]+)/(?P<subject>person\d+_[a-z]+|(?:NORMAL2-)?IM-\d+)[-_].*"
PER_PERSON = r"(?P<split>train|val)/(?P<label>[A-Z]+)/(?P<subject>person\d+|(?:NORMAL2-)?IM-\d+)[-_].*"


def test_npz_has_a_row_an_image(tmp_path: Path) -> None:
    cohort = index_paths([npz(tmp_path / "digits.npz", train=3, val=2)])
    rows = cohort.series()
    fragments = ["train/0", "train/1", "train/2", "val/0", "val/1"]
    assert [row.path for row in rows] == [f"digits.npz#{fragment}" for fragment in fragments]
    assert [(row.split, row.label) for row in rows[1:4]] == [("train", "1"), ("train", "0"), ("val", "0")]
    assert len({row.subject for row in rows}) == 5 and len({row.sha256 for row in rows}) == 5
    assert cohort.files_of(rows[4]) == [tmp_path / "digits.npz"] and rows[4].fragment == "val/1"


def test_workers_take_a_broken_file_as_one_row(tmp_path: Path) -> None:
    for n in range(3):
        nifti(tmp_path / f"{n}.nii.gz", n)
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b" + b"x" * 500)
    rows = index_paths([tmp_path]).series()
    assert [row.path for row in rows] == ["0.nii.gz", "1.nii.gz", "2.nii.gz", "broken.nii.gz"]
    assert all(row.sha256 and row.usable for row in rows[:3]) and not rows[3].usable


def test_real_dicom_faults_and_encodings(real_data: Path) -> None:
    cohort = index_paths([real_data / "dicom_cases", real_data / "dicom_head_ct_ge_tilt"])
    rows = {row.path: row for row in cohort.series()}
    failing = {path: row for path, row in rows.items() if "/failing/" in path}
    assert len(failing) == 6 and not any(row.usable for row in failing.values())
    for case, fault in {
        "gantrytilting/001": "tilted", "notavolume/001": "not a volume", "slicecount/001": "2 slices",
        "sliceincrement/001": "1 slice missing", "sliceincrement/002": "tilted", "sliceorientation/001": "orientations",
    }.items():  # fmt: skip
        assert fault in failing[f"dicom_cases/failing/{case}"].problems
    assert "unevenly spaced" in rows["dicom_head_ct_ge_tilt"].problems
    encoded = {row.sha256 for path, row in rows.items() if "generic/compressed" in path}
    assert len(encoded) == 1 and sum("generic/compressed" in path for path in rows) == 5


def test_the_leak_guard_names_the_children_in_both_folders(real_data: Path) -> None:
    with pytest.raises(LeakError, match="190 patients in more than one split") as error:
        headers_only(real_data / "chest_xray_224", patterns=[PER_CLASS])
    leaks = Counter(leak.kind for leak in error.value.leaks)
    assert leaks["patient"] == 190 and PER_CLASS in str(error.value)


def test_another_reading_of_the_numbers_names_more_children(real_data: Path) -> None:
    with pytest.raises(LeakError, match="289 patients in more than one split"):
        headers_only(real_data / "chest_xray_224", patterns=[PER_PERSON])


def test_a_clean_split_is_taken_as_it_is(real_data: Path) -> None:
    rows = headers_only(real_data / "chest_xray_224", labels=real_data / "chest_xray_split.csv").series()
    assert len(rows) == 5206 and all(row.split and row.label and row.usable for row in rows)
    assert rows[0].subject == "B1000"


def headers_only(path: Path, **rules: Any) -> Cohort:
    """The cohort without the second pass, which takes most of the time."""
    return build([path], rules_of(**rules), Key.generate(), Progress(), hashes=False)


def test_copies_inside_an_npz_are_found(real_data: Path) -> None:
    with pytest.raises(LeakError, match="8 sets of equal images") as error:
        index_paths([real_data / "pneumoniamnist_trainval.npz"])
    assert all(leak.splits == ("train", "val") for leak in error.value.leaks)


def test_real_mr_with_masks(real_data: Path) -> None:
    cohort = index_paths(
        [real_data / "pgbm"], patterns=["{subject}/{study}/{contrast}.nii.gz"], masks=["{subject}/{study}/mask.nii.gz"]
    )
    rows = cohort.series()
    assert {row.contrast for row in rows} == {"T1", "T2", "FLAIR", "T1c"} and all(row.usable for row in rows)
    assert len({(row.subject, row.study) for row in rows if row.mask}) == 3
    assert {row.modality for row in rows} == {"MR"}
