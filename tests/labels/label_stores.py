"""Small cohorts and stores for the tests of labels."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from medudl.data.cohort import Cohort, Series
from medudl.labels import Event, LabelStore

CLASSES = ("normal", "sick")


def cohort_of(root: Path, patients: int = 10, **values: str) -> Cohort:
    """One series a patient."""
    return Cohort.of(root, [series(n, **values) for n in range(patients)])


def series(n: int, **values: str) -> Series:
    """The series of patient n."""
    plain = {"study": "s", "series": f"v{n}", "modality": "MR", "contrast": "T1", "path": f"scans/{n}.nii.gz"}
    return Series(**{"subject": f"p{n:03d}", **plain, **values})  # type: ignore[arg-type]


def store_of(folder: Path, patients: int = 10, **settings: Any) -> LabelStore:
    """A store of `cohort_of`."""
    return LabelStore.create(folder / "labels.sqlite", cohort_of(folder, patients), CLASSES, **settings)


def say(store: LabelStore, reader: str, kind: str, case: str, value: str = "", **more: Any) -> Event:
    """Save with a new id."""
    return store.save(**{"id": uuid.uuid4().hex, "reader": reader, "kind": kind, "case": case, "value": value, **more})
