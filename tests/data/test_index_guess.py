"""Whose scan a file is, and what it shows, where only folders and names can say it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from index_scans import inline, nifti

from medudl.data.discover import Found
from medudl.data.index import index_paths
from medudl.data.index_draft import Draft
from medudl.data.index_names import Names, name_draft, name_rest
from medudl.data.index_words import is_mask, shown_in
from medudl.errors import UserError

__all__ = ["inline"]
TOP, FILE = "the top folder below PATH", "the file: each counts as a patient of its own"
ADNI = (("002_S_0295", "2006-04-18"), ("002_S_0295", "2007-05-01"), ("003_S_0001", "2006-03-01"))
Row = tuple[str, str, str, str]


def read(*below: str) -> tuple[list[Row], set[str]]:
    """(subject, study, contrast, modality) of each path, and how patients were told apart."""
    names = Names((), (), Counter(), Counter())
    found = [Found(Path("/data") / path, path, "nifti") for path in below]
    drafts = [name_draft(Draft([file.path], file.below, "nifti"), file, names) for file in found]
    name_rest(drafts, names)
    fields = ("subject", "study", "contrast", "modality")
    return [tuple(draft.values.get(field, "") for field in fields) for draft in drafts], set(names.readings)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("paths", "expected", "reading"),
    [
        pytest.param(
            ["P1/2019/T1.nii.gz", "P1/2019/T2.nii.gz", "P1/2020/T1.nii.gz", "P2/2018/T1.nii.gz"],
            [("P1", "2019", "T1"), ("P1", "2019", "T2"), ("P1", "2020", "T1"), ("P2", "2018", "T1")], TOP,
            id="patient, visit",
        ),
        pytest.param(
            ["P1/a/anat/T1.nii.gz", "P1/b/anat/T1.nii.gz", "P1/b/flair/FLAIR.nii.gz"],
            [("P1", "a", "T1"), ("P1", "b", "T1"), ("P1", "b", "FLAIR")], TOP, id="folders of contrasts are no visits",
        ),
        pytest.param(
            ["P1/T1/x.nii.gz", "P1/T2/x.nii.gz", "P2/T1/x.nii.gz", "P2/T2/x.nii.gz"],
            [("P1", "", "T1"), ("P1", "", "T2"), ("P2", "", "T1"), ("P2", "", "T2")], TOP, id="contrast by folder",
        ),
        pytest.param(
            ["P_1/P_1_t1.nii.gz", "P_1/P_1_t1ce.nii.gz", "P_2/P_2_t1.nii.gz", "P_2/P_2_t1ce.nii.gz"],
            [("P_1", "", "T1"), ("P_1", "", "T1c"), ("P_2", "", "T1"), ("P_2", "", "T1c")], TOP,
            id="names that say it again",
        ),
        pytest.param(
            ["P1/2019/P1_2019_T1.nii.gz", "P1/2020/P1_2020_T1.nii.gz", "P2/2019/P2_2019_T1.nii.gz"],
            [("P1", "2019", "T1"), ("P1", "2020", "T1"), ("P2", "2019", "T1")], TOP, id="two visits are one patient",
        ),
        pytest.param(
            ["bonn/p1/p1_T1.nii.gz", "bonn/p1/p1_T2.nii.gz", "bonn/p2/p2_T1.nii.gz", "ulm/p3/p3_T1.nii.gz"],
            [("p1", "", "T1"), ("p1", "", "T2"), ("p2", "", "T1"), ("p3", "", "T1")],
            "the folder that its files are named after", id="a hospital is no patient",
        ),
        pytest.param(
            [f"task/brain/{who}/{what}.nii" for who in ("1BA001", "1BA005") for what in ("ct", "mr")],
            [("1BA001", "", "CT"), ("1BA001", "", ""), ("1BA005", "", "CT"), ("1BA005", "", "")],
            "the folder at depth 3 below PATH", id="folders that all share",
        ),
        pytest.param(
            [f"{place}/x{place[0]}{n}/T1.nii" for place in ("bonn", "ulm") for n in range(5)],
            [(f"x{place[0]}{n}", "", "T1") for place in ("bonn", "ulm") for n in range(5)],
            "the folder at depth 2 below PATH", id="hospitals with many patients",
        ),
        pytest.param(
            ["data/P1/19911119/T1.nii", "data/P1/19920402/T1.nii", "data/P2/19950329/T1.nii"],
            [("P1", "19911119", "T1"), ("P1", "19920402", "T1"), ("P2", "19950329", "T1")],
            "the folder at depth 2 below PATH", id="a folder above the patients",
        ),
        pytest.param(
            ["P1/baseline/T1.nii", "P1/followup/T1.nii"], [("P1", "baseline", "T1"), ("P1", "followup", "T1")], TOP,
            id="visits of one patient",
        ),
        pytest.param(
            [f"{who}/{who}-{n:03}/T1.nii" for who in ("P1", "P2") for n in range(3)],
            [(who, f"{who}-{n:03}", "T1") for who in ("P1", "P2") for n in range(3)], TOP, id="fewer patients in doubt",
        ),
        pytest.param(
            [f"{who}/{day}/I{n}/ADNI_{who}_MR_MPRAGE_I{n}.nii" for n, (who, day) in enumerate(ADNI)],
            [(who, day, "T1") for who, day in ADNI], TOP, id="named in the middle",
        ),
        pytest.param(
            ["P1/P1_ax_T1.nii", "P1/P1_cor_T1.nii", "P2/P2_ax_T1.nii", "P2/P2_cor_T1.nii"],
            [("P1", "", "T1"), ("P1", "", "T1"), ("P2", "", "T1"), ("P2", "", "T1")], TOP, id="several of a contrast",
        ),
        pytest.param(
            ["train/P1/ct.nii.gz", "train/P1/mr.nii.gz", "val/P2/ct.nii.gz", "val/P2/mr.nii.gz"],
            [("P1", "", "CT"), ("P1", "", ""), ("P2", "", "CT"), ("P2", "", "")], TOP, id="a split is no patient",
        ),
        pytest.param(
            ["ct/ct1.png", "ct/ct2.png", "mri/mri1.png", "mri/mri2.png"],
            [("ct1", "", "CT"), ("ct2", "", "CT"), ("mri1", "", ""), ("mri2", "", "")], FILE, id="unpaired folders",
        ),
        pytest.param(
            ["T1/001.nii", "T1/002.nii", "T2/001.nii", "T2/002.nii"],
            [("001", "", "T1"), ("002", "", "T1"), ("001", "", "T2"), ("002", "", "T2")],
            "the file's name without its contrast", id="a folder a contrast",
        ),
        pytest.param(
            ["all/a_T1.nii", "all/a_T2.nii", "all/b_T1.nii", "all/b_T1_post.nii"],
            [("a", "", "T1"), ("a", "", "T2"), ("b", "", "T1"), ("b", "", "T1c")],
            "the file's name without its contrast", id="one flat folder",
        ),
        pytest.param(
            ["imagesTr/BRATS_01_0000.nii.gz", "imagesTr/BRATS_01_0001.nii.gz", "imagesTr/BRATS_02_0000.nii.gz"],
            [("BRATS_01", "", ""), ("BRATS_01", "", ""), ("BRATS_02", "", "")], FILE, id="channels by number",
        ),
        pytest.param(
            ["images/IM_0001.png", "images/IM_0002.png"], [("IM_0001", "", ""), ("IM_0002", "", "")], FILE,
            id="numbers that are no channels",
        ),
        pytest.param(
            ["T1.nii.gz", "T2.nii.gz"], [("data", "", "T1"), ("data", "", "T2")], "the folder of the files",
            id="the folder of one patient",
        ),
        pytest.param(
            ["a/x1.nii", "a/x2.nii", "b/x3.nii"], [("x1", "", ""), ("x2", "", ""), ("x3", "", "")], FILE,
            id="nothing said",
        ),
        pytest.param(
            ["a/1.png", "a/2.png", "b/1.png", "b/2.png"], [("a", "", ""), ("a", "", ""), ("b", "", ""), ("b", "", "")],
            TOP, id="names that repeat",
        ),
    ],
)  # fmt: skip
def test_patients_visits_and_contrasts(paths: list[str], expected: list[tuple[str, ...]], reading: str) -> None:
    rows, readings = read(*paths)
    assert [row[:3] for row in rows] == expected and readings == {reading}


@pytest.mark.parametrize(
    "name", ["19911119", "2006-04-18_08_20", "a", "2", "ses-01", "MR2", "followup", "pre-op", "tp1"]
)
def test_what_visits_are_called(name: str) -> None:
    rows, _ = read(f"all/P1/{name}/T1.nii", f"all/P2/{name}/T1.nii")
    assert [row[0] for row in rows] == ["P1", "P2"]


@pytest.mark.parametrize("name", ["Preston", "1BA001", "MR001", "patient2", "PGBM-001", "week-old-data"])
def test_what_visits_are_not_called(name: str) -> None:
    rows, _ = read(f"all/{name}/T1.nii", f"all/{name}x/T1.nii")
    assert [row[0] for row in rows] == [name, f"{name}x"]


def test_a_class_is_no_patient() -> None:
    rows, readings = read(*(f"{kind}/{kind}-{n}.png" for kind in ("SICK", "WELL") for n in range(30)))
    assert len({row[0] for row in rows}) == 60 and readings == {FILE}


def test_a_stray_file_does_not_change_the_reading() -> None:
    rows, _ = read("P1/a/T1.nii", "P1/b/T1.nii", "atlas.nii")
    assert [row[:2] for row in rows] == [("P1", "a"), ("P1", "b"), ("atlas", "")]


@pytest.mark.parametrize(
    ("folders", "stem", "expected"),
    [
        ((), "P1_T1_post", ("T1c", "MR", "file name")),
        (("T2",), "001", ("T2", "MR", "folder name")),
        (("T2DM_04",), "scan", ("", "", "")),
        (("ct", "P1"), "P1_mr", ("", "MR", "file name")),
        (("cohort", "CBCT"), "x", ("CT", "CT", "folder name")),
        (("mri",), "ct10", ("", "MR", "folder name")),
        (("x-ray",), "7", ("XR", "XR", "folder name")),
        ((), "factor", ("", "", "")),
    ],
)
def test_what_a_path_says_it_shows(folders: tuple[str, ...], stem: str, expected: tuple[str, str, str]) -> None:
    assert shown_in(folders, stem) == expected


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("P1/mask.nii.gz", True), ("P1/P1_seg.nii.gz", True), ("P1/T1_brain-mask.nii.gz", True),
        ("labelsTr/P1.nii.gz", True), ("P1/roi.nii.gz", True), ("P1/T1_roi.nii.gz", False),
        ("P1/T1_masked.nii.gz", False), ("segal/T1.nii.gz", False), ("label_3/T1.nii.gz", False),
        ("P1/T1_gt.nii.gz", True), ("P1/T1_brainmask.nii.gz", True), ("P1/mask1.nii.gz", True),
        ("P1/aseg.nii.gz", True),
        ("P1/aparc+aseg.nii.gz", True), ("P1/tumorseg.nii.gz", True), ("P1/ROI1.nii.gz", True),
        ("MR/1/Ground/IMG-4.nii.gz", True), ("Segmentation/images/7.nii.gz", False),
        ("P1/P1_T2-label.nii.gz", True), ("P1/FLAIR_lesion.nii.gz", True), ("lesion/lesion_0.nii.gz", False),
        ("images/masks/7.nii.gz", True), ("P1/Segovia.nii.gz", False), ("P1/Agt.nii.gz", False),
    ],
)  # fmt: skip
def test_masks_by_their_names(below: str, expected: bool) -> None:
    assert is_mask(below, below.rpartition("/")[2].removesuffix(".nii.gz")) is expected


@pytest.mark.usefixtures("inline")
def test_masks_are_no_scans_and_join_without_a_scan_pattern(tmp_path: Path) -> None:
    for n, name in enumerate(("P1/2019/T1", "P1/2020/T1", "P1/2019/mask", "P2/2019/T1")):
        nifti(tmp_path / f"{name}.nii.gz", n)
    left = index_paths([tmp_path])
    assert len(left) == 3 and "1 mask that no --masks pattern names: left out" in left.meta["notes"][0]
    joined = index_paths([tmp_path], masks=["{subject}/{study}/mask.nii.gz"])
    assert [row.mask for row in joined.series()] == ["P1/2019/mask.nii.gz", "", ""]
    asked = index_paths([tmp_path], patterns=["{subject}/{study}/{contrast}.nii.gz"])
    assert {row.contrast for row in asked.series()} == {"T1", "mask"}
    nifti(tmp_path / "alone" / "seg.nii.gz", 9)
    with pytest.raises(UserError, match="holds no scans.*1 mask that no --masks pattern names"):
        index_paths([tmp_path / "alone"])


def test_a_bids_name_whose_suffix_tells_nothing_is_read_by_its_other_words() -> None:
    rows, readings = read("sub-01/sub-01_scan-T2.nii", "sub-02/T1/sub-02_run-1.nii")
    assert rows == [("01", "", "T2", "MR"), ("02", "", "T1", "MR")] and readings == {"the sub- part of a BIDS name"}
