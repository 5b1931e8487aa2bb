from pathlib import Path

import pytest

from medudl.config import Data
from medudl.data.cases import cases_of, is_healthy, training_cases
from medudl.data.cohort import Cohort, Series


def series(subject: str, contrast: str, **facts) -> Series:
    return Series(**{"subject": subject, "study": "s1", "series": f"{subject}-{contrast}", "contrast": contrast,
                     "path": f"{subject}/{contrast}.nii", "format": "nifti", "shape": (4, 4, 4), **facts})  # fmt: skip


def cohort(*rows: Series) -> Cohort:
    return Cohort.of(Path("root"), rows)


def test_without_channels_each_series_is_a_case() -> None:
    cases, notes = cases_of(cohort(series("a", "T1"), series("a", "FLAIR"), series("b", "T1", study="")), Data())
    assert [case.id for case in cases] == ["sub-a_ses-s1_T1", "sub-a_ses-s1_FLAIR", "sub-b_T1"]
    assert [case.names for case in cases] == [("T1",), ("FLAIR",), ("T1",)] and notes == []


def test_two_series_of_a_contrast_are_told_apart_by_their_own_names() -> None:
    cases, _ = cases_of(cohort(series("a", "T1"), series("a", "T1", series="second")), Data())
    assert [case.id for case in cases] == ["sub-a_ses-s1_a-T1", "sub-a_ses-s1_second"]


def test_ids_are_safe_and_unique_for_hostile_names() -> None:
    rows = [series("../../etc", "T1"), series("a/b", "T1"), series("a/b", "T1"), series("", "T1")]
    ids = [case.id for case in cases_of(cohort(*rows), Data())[0]]
    assert len(set(ids)) == 4
    assert all(name.replace("-", "").replace("_", "").replace(".", "").isalnum() for name in ids)


def test_channels_follow_the_config_and_a_study_that_lacks_one_is_named() -> None:
    rows = [series("a", "FLAIR"), series("a", "T1"), series("b", "T1")]
    cases, notes = cases_of(cohort(*rows), Data(channels=["T1", "FLAIR"], grid="FLAIR"))
    (case,) = cases
    assert [s.contrast for s in case.present] == ["T1", "FLAIR"] and case.grid.contrast == "FLAIR"
    assert notes == ["sub-b_ses-s1 lacks FLAIR: left out"]


def test_missing_zero_keeps_the_study_and_moves_the_grid_to_what_exists() -> None:
    (case,), notes = cases_of(cohort(series("b", "T1")), Data(channels=["FLAIR", "T1"], missing="zero"))
    assert case.channels[0] is None and case.grid.contrast == "T1" and notes == []


def test_of_two_series_of_a_channel_the_larger_is_used_and_that_is_said() -> None:
    rows = [series("a", "T1", series="small"), series("a", "T1", series="large", shape=(9, 9, 9))]
    (case,), notes = cases_of(cohort(*rows), Data(channels=["T1"]))
    assert case.grid.series == "large"
    assert notes == ["sub-a_ses-s1 has 2 series of T1: the one with most voxels is used"]


def test_a_series_with_a_problem_is_left_out_and_named_unless_it_is_to_be_repaired() -> None:
    rows = cohort(series("a", "T1", problems="slices missing"), series("b", "T1", problems="note: thin"))
    cases, notes = cases_of(rows, Data())
    assert [case.subject for case in cases] == ["b"] and notes == ["a/T1.nii: left out: slices missing"]
    assert len(cases_of(rows, Data(repair=True))[0]) == 2


def test_where_selects_rows() -> None:
    cases, _ = cases_of(cohort(series("a", "T1"), series("a", "T2")), Data(where={"contrast": "T2"}))
    assert [case.names for case in cases] == [("T2",)]


@pytest.mark.parametrize(
    ("facts", "labels", "healthy"),
    [({}, [], True), ({"mask": "m.nii"}, [], False), ({"label": "normal"}, ["normal"], True),
     ({"label": "sick"}, ["normal"], False), ({}, ["normal"], False)],
)  # fmt: skip
def test_healthy_by_label_or_by_the_absence_of_a_mask(facts: dict[str, str], labels: list[str], healthy: bool) -> None:
    data = Data(healthy_labels=labels)
    (case,), _ = cases_of(cohort(series("a", "T1", **facts)), data)
    assert is_healthy(case, data) is healthy
    assert bool(training_cases([case], data)[0]) is healthy


def test_lesion_free_slices_come_from_masked_or_labelled_cases_alone() -> None:
    rows = [series("a", "T1", mask="m.nii"), series("b", "T1"), series("c", "T1", label="normal")]
    data = Data(lesion_free_slices=True, healthy_labels=["normal"])
    kept, notes = training_cases(cases_of(cohort(*rows), data)[0], data)
    assert [case.subject for case in kept] == ["a", "c"]
    assert len(notes) == 1 and notes[0].startswith("sub-b_ses-s1_T1 has neither a lesion mask nor a healthy label")
