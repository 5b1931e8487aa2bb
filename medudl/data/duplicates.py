"""Series with the same voxels: copies under another name, found by the hash of decoded pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from medudl.data.cohort import Series


class Hashed(Protocol):
    """Anything with the hash of its voxels, "" if there is none."""

    @property
    def sha256(self) -> str: ...  # noqa: D102


def duplicate_groups(series: Sequence[Hashed]) -> list[list[int]]:
    """Indices of series that share a hash, one list of at least two for each hash, in order of appearance."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(series):
        if one.sha256:
            groups[one.sha256].append(i)
    return [group for group in groups.values() if len(group) > 1]


def linked_subjects(series: Sequence[Series]) -> dict[str, str]:
    """Subject -> name of the group that must stay in one split: patients joined by equal voxels are one group."""
    parent = {one.subject: one.subject for one in series}

    def find(subject: str) -> str:
        while parent[subject] != subject:
            parent[subject] = parent[parent[subject]]
            subject = parent[subject]
        return subject

    for group in duplicate_groups(series):
        for i in group[1:]:
            first, other = sorted((find(series[group[0]].subject), find(series[i].subject)))
            parent[other] = first
    return {subject: find(subject) for subject in parent}
