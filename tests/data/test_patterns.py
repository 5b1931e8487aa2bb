"""Names out of paths."""

from __future__ import annotations

import pytest

from medudl.data.patterns import bids_folders, bids_mask, bids_values, compile_pattern
from medudl.errors import UserError

PER_CLASS = r"(?P<split>train|val)/(?P<label>[A-Z]+)/(?P<subject>person\d+_[a-z]+|(?:NORMAL2-)?IM-\d+)[-_].*"


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        (
            "{subject}/{study}/{contrast}.nii.gz",
            "P1/1999/T1.nii.gz",
            {"subject": "P1", "study": "1999", "contrast": "T1"},
        ),
        ("{subject}/{contrast}.nii", "above/P1/T1.nii", {"subject": "P1", "contrast": "T1"}),
        ("{subject}/{contrast}.nii", "T1.nii", None),
        ("{subject}_{contrast}.nii", "a_b_c.nii", {"subject": "a", "contrast": "b_c"}),
        ("{subject}.nii", "a.niX", None),
        ("sub-{subject}/anat/sub-{subject}_{contrast}.nii.gz", "sub-1/anat/sub-2_T1.nii.gz", None),
        (
            "sub-{subject}/anat/sub-{subject}_{contrast}.nii.gz",
            "sub-1/anat/sub-1_T1.nii.gz",
            {"subject": "1", "contrast": "T1"},
        ),
        (r"{label}/{subject:\w{2}\d+}-*.png", "sick/ab12-x.png", {"label": "sick", "subject": "ab12"}),
        (
            PER_CLASS,
            "train/VIRUS/person12_virus_3.jpeg",
            {"split": "train", "label": "VIRUS", "subject": "person12_virus"},
        ),
        (
            PER_CLASS,
            "val/NORMAL/NORMAL2-IM-0131-0001.jpeg",
            {"split": "val", "label": "NORMAL", "subject": "NORMAL2-IM-0131"},
        ),
    ],
)
def test_a_pattern_takes_names_from_the_end_of_a_path(pattern: str, path: str, values: dict[str, str] | None) -> None:
    assert compile_pattern(pattern).match(path) == values


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("{subjct}.nii", "did you mean subject"),
        ("(?P<patient>.*).nii", "unknown placeholder patient"),
        ("*.nii", "no placeholder"),
        ("{subject.nii", "not closed"),
        ("(?P<subject>[).nii", "not a valid regular expression"),
        ("{}.nii", "no placeholder"),
    ],
)
def test_a_wrong_pattern_is_told(pattern: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint.replace("?", r"\?")):
        compile_pattern(pattern)


def test_bids_names() -> None:
    assert bids_values("sub-01_ses-2_T1w") == {"subject": "01", "study": "2", "contrast": "T1", "modality": "MR"}
    assert bids_values("sub-01_ce-gd_T1w") == {"subject": "01", "contrast": "T1c", "modality": "MR"}
    assert bids_values("sub-01_ct") == {"subject": "01", "contrast": "CT", "modality": "CT"}
    assert bids_values("sub-a_acq-x_special") == {"subject": "a", "contrast": "special"}
    assert bids_values("T1w") is None and bids_values("subject-1_T1w") is None


def test_bids_masks_are_told_from_scans() -> None:
    assert bids_mask("sub-01_desc-lesion_mask") == bids_mask("sub-01_label-tumour_dseg") == "lesion"
    assert bids_mask("sub-01_desc-brain_mask") == "other"
    assert bids_mask("sub-01_T1w") == bids_mask("mask") == ""


def test_bids_folders() -> None:
    assert bids_folders("x/sub-01/ses-2/ct/IM1") == {"subject": "01", "study": "2"}
    assert bids_folders("sub-01/ct/IM1") == {"subject": "01"}
    assert bids_folders("ct/sub-01") == bids_folders("ses-1/sub-/a") == {}
