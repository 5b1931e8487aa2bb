"""Have scans been learnt from before? By patients' names where both cohorts hide them alike, and by equal voxels."""

from __future__ import annotations

from collections.abc import Collection

from medudl.data.cohort import Cohort


def patients_seen(before: Cohort, now: Cohort, subjects: Collection[str]) -> set[str]:
    """Those of `subjects`, patients of `now`, of whom the train split of `before` has images, labelled or not."""
    learnt = [series for series in before.series() if series.split == "train"]
    names = {one.subject for one in learnt} if before.key_id == now.key_id else set()
    voxels = {one.sha256 for one in learnt} - {""}
    asked = set(subjects)
    return {
        one.subject for one in now.series() if one.subject in asked and (one.subject in names or one.sha256 in voxels)
    }
