"""A folder of scans to be labelled: dark and bright ones, so that the eye, or a mean, tells the class of a case."""

from __future__ import annotations

import uuid
from pathlib import Path

import nibabel
import numpy as np
from scenes import indexed

from medudl.data.cohort import Cohort
from medudl.labels.events import Picked, Ranking
from medudl.labels.store import LabelStore

CLASSES = ("normal", "sick")


def write_cases(folder: Path, patients: int, shape: tuple[int, int, int] = (32, 32, 12)) -> Path:
    """One T1 a patient; every second one has a bright ball in it, which is "sick". Returns cohort.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    random, grid = np.random.default_rng(0), np.mgrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    for patient in range(patients):
        voxels = 300 * (sum(axis**2 for axis in grid) < 0.9) + random.normal(0, 10, shape)
        if patient % 2:
            voxels += 400 * (sum((axis - 0.2) ** 2 for axis in grid) < 0.12)
        image = nibabel.Nifti1Image(voxels.clip(0).astype(np.int16), np.diag([-1.5, -1.5, 3, 1]))
        nibabel.save(image, folder / f"sub-{patient:03d}_T1w.nii.gz")
    return indexed(folder)


def write_store(folder: Path, patients: int, *, repeats: float = 0.0, test_share: float = 0.2) -> LabelStore:
    """Cases, and a store beside their table."""
    cohort = Cohort.read(write_cases(folder, patients))
    return LabelStore.create(folder / "labels.sqlite", cohort, CLASSES, test_share=test_share, repeats=repeats)


def truth_of(store: LabelStore, case: str) -> str:
    """What the scan of a case really shows."""
    subject = next(one.subject for one in store.cases() if one.id == case)
    return CLASSES[int(subject[-3:]) % 2]


def add_ranking(store: LabelStore, *, labels: int = 0, sure: float = 0.876, backwards: bool = False) -> Ranking:
    """A ranking of all that is not of the test set; `sure` is the number no reader may see before labelling."""
    pool = [case.id for case in store.cases() if not case.test]
    order = [Picked(case, "uncertain", f"The model wavers: {sure:.1%} normal.") for case in pool]
    ranking = Ranking(
        uuid.uuid4().hex, "2026-01-01T00:00:00+00:00", "labels-model-1", labels, order[::-1] if backwards else order,
        {case.id: {"normal": sure, "sick": 1 - sure} for case in store.cases()}, None,
    )  # fmt: skip
    store.add_ranking(ranking)
    return ranking


def save(store: LabelStore, case: str, value: str, reader: str = "Anna") -> str:
    """A label as another page would save it; the id of the event."""
    return store.save(id=uuid.uuid4().hex, reader=reader, kind="label", case=case, value=value).id
