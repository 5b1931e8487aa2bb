"""From folders to a cohort: NIfTI, BIDS, pictures, npz, masks, problems, splits."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from index_scans import inline, nifti, picture

from medudl.data.cohort import Cohort
from medudl.data.derived import write_nifti
from medudl.data.index import index, index_paths
from medudl.data.splits import LeakError
from medudl.errors import UserError

pytestmark = pytest.mark.usefixtures(inline.__name__)
__all__ = ["inline"]


def test_bids(tmp_path: Path) -> None:
    nifti(tmp_path / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_T1w.nii.gz", 1)
    nifti(tmp_path / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_FLAIR.nii.gz", 2)
    nifti(tmp_path / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_desc-brain_mask.nii.gz", 3)
    nifti(tmp_path / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_label-lesion_mask.nii.gz", 4)
    nifti(tmp_path / "sub-02" / "anat" / "sub-02_T1w.nii.gz", 5)
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\tsex\tlabel\nsub-01\t40\tF\ttumour\nsub-02\t50\tM\thealthy\n"
    )
    cohort = index_paths([tmp_path], labels=tmp_path / "participants.tsv")
    rows = {row.series: row for row in cohort.series()}
    assert sorted(rows) == ["sub-01_ses-a_FLAIR", "sub-01_ses-a_T1w", "sub-02_T1w"]
    first = rows["sub-01_ses-a_T1w"]
    assert (first.subject, first.study, first.contrast, first.modality) == ("01", "a", "T1", "MR")
    assert (first.shape, first.spacing, first.orientation) == ((6, 5, 4), (1, 2, 3), "LPS")
    assert first.path == "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz" and first.format == "nifti"
    assert first.mask == "sub-01/ses-a/anat/sub-01_ses-a_label-lesion_mask.nii.gz" and rows["sub-02_T1w"].mask == ""
    assert (first.label, first.age, first.sex) == ("tumour", "40", "F") and rows["sub-02_T1w"].label == "healthy"
    assert len(first.sha256) == 64 and not cohort.has_problems
    assert "1 mask that no --masks pattern names" in cohort.meta["notes"][0]
    assert cohort.files_of(first)[0].is_file() and cohort.mask_path(first).is_file()  # type: ignore[union-attr]


def test_what_a_model_made_is_no_scan(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).random((6, 5, 4))
    nifti(tmp_path / "sub-01_ses-a_T1.nii.gz", 1)
    made = tmp_path / "synthetic"
    made.mkdir()
    for kind in ("synthetic-T2", "uncertainty-T2", "cycle-error"):
        write_nifti(made / f"sub-01_ses-a_T1_{kind}.nii.gz", voxels, np.eye(4), "T2 made of T1")
    for patterns in ([], ["sub-{subject}_ses-{study}_{contrast}.nii.gz"]):
        rows = {row.contrast: row for row in index_paths([tmp_path], patterns=patterns).series()}
        assert set(rows) == {"T1", "synthetic-T2", "synthetic-uncertainty-T2", "synthetic-cycle-error"}
        assert [name for name, row in rows.items() if row.usable] == ["T1"]
        assert "synthetic, model output: not learnt from" in rows["synthetic-T2"].problems
        assert all((row.subject, row.study) == ("01", "a") for row in rows.values())


def test_patterns_and_masks(tmp_path: Path) -> None:
    for n, name in enumerate(("P1/1/T1", "P1/1/FLAIR", "P1/2/T1", "P2/1/T1")):
        nifti(tmp_path / f"{name}.nii.gz", n)
    nifti(tmp_path / "P1" / "1" / "mask.nii.gz", 9)
    nifti(tmp_path / "P3" / "1" / "mask.nii.gz", 9)
    nifti(tmp_path / "deeper" / "than" / "wanted" / "P 4" / "1" / "T1.nii.gz", 10)
    nifti(tmp_path / "T1.nii.gz", 11)
    cohort = index_paths(
        [tmp_path], patterns=["{subject}/{study:[0-9]}/{contrast}.nii.gz"], masks=["{subject}/{study}/mask.nii.gz"]
    )
    rows = cohort.series()
    assert {(row.subject[:4], row.study, row.contrast, row.modality) for row in rows} == {
        ("P1", "1", "T1", "MR"), ("P1", "1", "FLAIR", "MR"), ("P1", "2", "T1", "MR"),
        ("P2", "1", "T1", "MR"), ("P-4-", "1", "T1", "MR"),
    }  # fmt: skip
    assert {row.path for row in rows if row.mask} == {"P1/1/T1.nii.gz", "P1/1/FLAIR.nii.gz"}
    assert {row.mask for row in rows if row.mask} == {"P1/1/mask.nii.gz"}
    assert any("1 mask fits no series" in problem and "P3" in problem for problem in cohort.problems)
    assert cohort.meta["notes"] == ["1 file fits no pattern: left out"]
    assert len({row.series for row in rows}) == 5


def test_masks_that_cannot_be_used_or_are_empty_are_told(tmp_path: Path) -> None:
    for n, name in enumerate(("A", "B")):
        nifti(tmp_path / name / "T1.nii.gz", n)
    (tmp_path / "A" / "mask.nii.gz").write_bytes(b"broken")
    nifti(tmp_path / "B" / "mask.nii.gz", voxels=np.zeros((6, 5, 4), np.uint8))
    cohort = index_paths([tmp_path], patterns=["{subject}/{contrast}.nii.gz"], masks=["{subject}/mask.nii.gz"])
    a, b = cohort.series()
    assert a.problems.startswith("its mask cannot be used") and not a.usable
    assert b.problems == "note: its mask is empty" and b.usable


def test_pictures_by_pattern_and_several_paths(tmp_path: Path) -> None:
    picture(tmp_path / "one" / "train" / "SICK" / "person1_x_2.jpeg", 1)
    picture(tmp_path / "one" / "val" / "OK" / "person2_y_3.png", 2)
    picture(tmp_path / "two" / "test" / "OK" / "person3_y_3.png", 3)
    pattern = r"{split}/{label}/{subject:person\d+}_*"
    cohort = index_paths([tmp_path / "one", tmp_path / "two"], patterns=[pattern], contrasts=[".=XR"])
    rows = cohort.series()
    assert [(r.subject, r.label, r.split, r.modality, r.contrast) for r in rows] == [
        ("person1", "SICK", "train", "XR", "XR"), ("person2", "OK", "val", "XR", "XR"),
        ("person3", "OK", "test", "XR", "XR")
    ]  # fmt: skip
    assert cohort.root == tmp_path and rows[0].path == "one/train/SICK/person1_x_2.jpeg"
    assert rows[0].shape == (8, 6, 1) and rows[0].format == "png"
    assert cohort.meta["readings"] == {f"the {{subject}} of pattern {pattern}": 3}


def test_without_any_name_the_guess_is_told(tmp_path: Path) -> None:
    nifti(tmp_path / "flat" / "a_t2.nii", 1)
    nifti(tmp_path / "flat" / "b.nii", 2)
    rows = index_paths([tmp_path / "flat"]).series()
    assert [(row.subject, row.contrast, row.modality) for row in rows] == [("a_t2", "T2", "MR"), ("b", "", "")]
    nifti(tmp_path / "deep" / "P1" / "T1.nii", 3)
    nifti(tmp_path / "deep" / "P2" / "T1.nii", 4)
    cohort = index_paths([tmp_path / "deep"])
    assert [(row.subject, row.contrast) for row in cohort.series()] == [("P1", "T1"), ("P2", "T1")]
    assert cohort.meta["readings"] == {"the top folder below PATH": 2}


def test_copies_are_noted_and_leaks_are_errors(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "a1.png", 1)
    picture(tmp_path / "val" / "b1.png", 1)
    picture(tmp_path / "val" / "a2.png", 2)
    pattern = r"{split}/{subject:[a-z]}*.png"
    with pytest.raises(LeakError, match=r"1 patient .*\(a\).*apart by the {subject} of pattern.*leaks\.csv") as error:
        index([tmp_path], tmp_path / "out" / "cohort.csv", patterns=[pattern])
    assert [leak.name for leak in error.value.leaks] == ["a", "train/a1.png = val/b1.png"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cohort.leaks.csv"]
    table = list(csv.reader((tmp_path / "out" / "cohort.leaks.csv").read_text().splitlines()))
    assert table[1] == ["patient", "a", "train val", "train/a1.png"] and len(table) == 5
    cohort = index([tmp_path], tmp_path / "out" / "cohort.csv", patterns=[pattern], split="50/50/0")
    assert "note: the same voxels as train/a1.png" in {row.problems for row in cohort.series()}
    assert len({row.split for row in cohort.series()}) == 1


def test_a_bad_file_among_good_ones_is_a_row_with_a_problem(tmp_path: Path) -> None:
    nifti(tmp_path / "good.nii", 1)
    (tmp_path / "half.nii").write_bytes((tmp_path / "good.nii").read_bytes()[:400])
    (tmp_path / "notes.dcm").write_text("text")
    nifti(tmp_path / "nan.nii", voxels=np.full((4, 4, 4), np.nan, np.float32))
    nifti(tmp_path / "flat.nii", voxels=np.ones((4, 4, 4), np.uint8))
    nifti(tmp_path / "time.nii", shape=(4, 4, 4, 3))
    cohort = index_paths([tmp_path])
    faults = {row.path: row.problems for row in cohort.series()}
    assert faults["good.nii"] == "" and "truncated" in faults["half.nii"] and "NaN" in faults["nan.nii"]
    assert faults["flat.nii"] == "every voxel has the same value" and "several volumes" in faults["time.nii"]
    assert cohort.meta["problems"] == [
        f"{tmp_path / 'notes.dcm'}: not a DICOM file, and no other kind of scan by its name; leave it out"
    ]
    assert cohort.has_problems and all(not row.usable for row in cohort.series() if row.path != "good.nii")


def test_nothing_usable_is_one_line_and_writes_nothing(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    nifti(scans / "nan.nii", voxels=np.full((4, 4, 4), np.nan, np.float32))
    (scans / "a.dcm").write_text("text")
    with pytest.raises(UserError, match=r"no usable scan: .*nan\.nii: 64 voxels are no number.*\(and 1 more\)"):
        index([scans], tmp_path / "out" / "cohort.csv")
    (scans / "nan.nii").unlink()
    (scans / "a.dcm").unlink()
    with pytest.raises(UserError, match="holds no scans"):
        index([scans], tmp_path / "out" / "cohort.csv")
    with pytest.raises(UserError, match="no such file or folder"):
        index([tmp_path / "absent"], tmp_path / "out" / "cohort.csv")
    nifti(scans / "mask.nii")
    with pytest.raises(UserError, match="masks but no scans"):
        index([scans], tmp_path / "out" / "cohort.csv", masks=["{subject}.nii"])
    assert not (tmp_path / "out").exists()


def test_a_pattern_that_fits_nothing_and_a_wrong_out_are_told(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii")
    with pytest.raises(UserError, match=r"fits none of 1 file, such as a\.nii"):
        index_paths([tmp_path], patterns=["{subject}/{contrast}.nii.gz"])
    with pytest.raises(UserError, match=r"ends in \.csv"):
        index([tmp_path], tmp_path / "out")
    with pytest.raises(UserError, match="'fold1'"):
        index_paths([nifti(tmp_path / "fold1" / "b.nii").parents[1]], patterns=["{split}/{subject}.nii"])


def test_writing_and_reading_back(tmp_path: Path) -> None:
    nifti(tmp_path / "scans" / "a.nii", 1)
    nifti(tmp_path / "scans" / "b.nii", 2)
    cohort = index([tmp_path / "scans"], tmp_path / "tables" / "cohort.csv", split="50/50/0", seed=3)
    again = Cohort.read(tmp_path / "tables" / "cohort.csv")
    assert again.series() == cohort.series() and again.meta["settings"]["split"] == "50/50/0"
    assert again.files_of(again.series()[0]) == [tmp_path / "scans" / "a.nii"]
    assert not (tmp_path / "tables" / "medudl.key").exists()  # no DICOM: no pseudonyms, no key


def test_a_split_from_a_table_and_what_it_leaves_out(tmp_path: Path) -> None:
    nifti(tmp_path / "scans" / "a.nii", 1)
    nifti(tmp_path / "scans" / "b.nii", 2)
    (tmp_path / "split.csv").write_text("path,label,split\na.nii,sick,test\n")
    cohort = index_paths([tmp_path / "scans"], split=f"from:{tmp_path / 'split.csv'}")
    assert [(row.split, row.label) for row in cohort.series()] == [("test", ""), ("", "")]
    assert cohort.meta["notes"] == ["1 series has no split, while others do"]


def test_hidden_files_links_and_overlapping_paths(tmp_path: Path) -> None:
    nifti(tmp_path / "in" / "a.nii", 1)
    nifti(tmp_path / "in" / ".trash" / "b.nii", 2)
    nifti(tmp_path / "in" / "._a.nii", 3)
    nifti(tmp_path / "else" / "c.nii", 4)
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "else")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    cohort = index_paths([tmp_path / "in", tmp_path / "in" / "a.nii"])
    assert [row.path for row in cohort.series()] == ["a.nii", "linked/c.nii"]


def test_scans_in_formats_that_are_not_read_are_counted(tmp_path: Path) -> None:
    for name in ("T1.mgz", "aseg.MGZ", "old.img", "old.hdr", "a.tar.gz", "b.zip", "c.tif", "log.gz", "x.txt"):
        (tmp_path / name).write_bytes(b"x")
    told = [
        "files that are not read: 1 .img, 2 .mgz; convert to NIfTI what belongs to the cohort",
        "files that are not read: 1 .tif; convert to PNG what belongs to the cohort",
        "files that are not read: 1 .tar.gz, 1 .zip; unpack what belongs to the cohort",
    ]
    with pytest.raises(UserError, match="holds no scans .*2 .mgz; convert"):
        index_paths([tmp_path])
    nifti(tmp_path / "a.nii", 1)
    assert index_paths([tmp_path, tmp_path]).meta["notes"] == told
