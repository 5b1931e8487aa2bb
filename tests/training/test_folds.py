"""Folds and leave-one-out: by patient, copies together, every patient held out once."""

from __future__ import annotations

from collections import Counter

import pytest

from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError
from medudl.training.folds import leave_out, with_folds


def cohort(patients: int = 12) -> Cohort:
    """Two series a patient; every third patient is ill and has a mask; p00 and p01 share a scan."""
    rows = []
    for n in range(patients):
        ill = {"label": "ill", "mask": "m.nii.gz"} if n % 3 == 0 else {"label": "healthy"}
        for i in range(2):
            copy = n < 2 and i == 0
            rows.append(Series(f"p{n:02d}", series=f"{n}-{i}", sha256="copy" if copy else f"{n}-{i}", **ill))
    return Cohort.of(".", rows, {"version": 1})


def splits(cohort: Cohort) -> dict[str, set[str]]:
    return {split: {s.subject for s in cohort.series() if s.split == split} for split in ("train", "val", "test")}


def test_every_patient_is_test_once_and_val_once() -> None:
    found = [splits(with_folds(cohort(), 4, fold)) for fold in range(4)]
    for split in ("test", "val"):
        assert Counter(p for each in found for p in each[split]) == Counter({f"p{n:02d}": 1 for n in range(12)})
    for each in found:
        assert not each["test"] & each["val"] and not (each["test"] | each["val"]) & each["train"]
        assert len(each["train"]) >= 5
        assert ({"p00", "p01"} <= each["test"]) == bool({"p00", "p01"} & each["test"]), "copies were parted"


def test_folds_hold_ill_and_healthy_alike() -> None:
    for fold in range(4):
        labels = Counter(s.label for s in with_folds(cohort(), 4, fold).series() if s.split == "test")
        assert labels["healthy"] >= 2 and labels["ill"] >= 2


@pytest.mark.parametrize(("k", "fold", "words"), [(2, 0, "at least 3"), (12, 0, "11 patients"), (4, 4, "from 0 to 3")])
def test_impossible_folds_are_told(k: int, fold: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        with_folds(cohort(), k, fold)


def test_the_one_left_out_is_test_alone() -> None:
    found = splits(leave_out(cohort(), "p05"))
    assert found["test"] == {"p05"} and found["val"] and len(found["train"]) > len(found["val"])
    assert splits(leave_out(cohort(), "p01"))["test"] == {"p00", "p01"}, "a copy stayed behind"


def test_the_others_keep_their_splits() -> None:
    given = cohort()
    special = {"p02": "val", "p03": "val", "p04": "test"}
    given.table["split"] = [special.get(subject, "train") for subject in given.table.subject]
    found = splits(leave_out(given, "p02"))
    assert found == {"test": {"p02"}, "val": {"p03"}, "train": {f"p{n:02d}" for n in range(12)} - {"p02", "p03"}}


def test_unknown_subject_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"p5: no such subject; did you mean p05\?"):
        leave_out(cohort(), "p5")
    with pytest.raises(UserError, match="two other patients"):
        leave_out(cohort(3), "p00")
