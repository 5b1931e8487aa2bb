"""Small cohorts: every patient is held out once (folds), or one patient is (leave-one-out)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from medudl.config import nearest
from medudl.data.cohort import Cohort, Series
from medudl.data.duplicates import linked_subjects
from medudl.data.splits import assign
from medudl.errors import UserError

# Train and val beside the one who is left out, as in `medudl index --split 70/15/15`.
BESIDE = {"train": 70 / 85, "val": 15 / 85}


def with_folds(cohort: Cohort, k: int, fold: int) -> Cohort:
    """Fold `fold` (0 to k-1) of k: it is the test split, the next one is val, the others are train.

    Folds are by patient, copies together, with about equal counts of each label and of scans with a lesion mask; over
    the k runs every patient is test once and val once. The cohort's own splits are put aside.
    Raises UserError: fewer than 3 folds, or fewer patients than folds.
    """
    series = cohort.series()
    patients = len(set(linked_subjects(series).values()))
    if k < 3:
        raise UserError(f"--folds {k}: one fold tests and one validates, so training needs at least 3")
    if patients < k:
        raise UserError(f"--folds {k}: the cohort has {patients} patients (copies count once); give at most {patients}")
    if not 0 <= fold < k:
        raise UserError(f"fold {fold}: {k} folds are numbered from 0 to {k - 1}")
    names = {str((fold + i) % k): ("test", "val")[i] for i in (0, 1)}
    dealt = _dealt(series, {str(i): 1 / k for i in range(k)})
    return _with_splits(cohort, [names.get(split, "train") for split in dealt])


def leave_out(cohort: Cohort, subject: str) -> Cohort:
    """`subject` (and whoever has a copy of a scan of theirs) is the test split, alone; the others train and validate.

    The others keep their train and val where the cohort has both, and who was in test joins train; else they are dealt
    anew. Raises UserError: no such subject, or fewer than two others.
    """
    series = cohort.series()
    links = linked_subjects(series)
    if subject not in links:
        raise UserError(f"--leave-out {subject}: no such subject; {nearest(subject, sorted(links))}")
    others = [one for one in series if links[one.subject] != links[subject]]
    if len({links[one.subject] for one in others}) < 2:
        raise UserError(f"--leave-out {subject}: two other patients at least are needed, to train and to validate")
    kept = ["val" if one.split == "val" else "train" for one in others]
    if not {"train", "val"} <= {one.split for one in others}:
        kept = _dealt(others, BESIDE)
    remaining = iter(kept)
    return _with_splits(cohort, ["test" if links[one.subject] == links[subject] else next(remaining) for one in series])


def _dealt(series: Sequence[Series], shares: dict[str, float]) -> list[str]:
    """Split of each series. Scans with a mask are dealt apart, so that no fold gets all the healthy ones."""
    strata = [replace(one, label=f"{one.label}\0{'lesion' if one.mask else ''}") for one in series]
    return [one.split for one in assign(strata, shares)]


def _with_splits(cohort: Cohort, splits: list[str]) -> Cohort:
    return Cohort(cohort.root, cohort.table.assign(split=splits), cohort.meta)
