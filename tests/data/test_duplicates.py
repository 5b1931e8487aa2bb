"""Copies by the hash of their voxels."""

from __future__ import annotations

from medudl.data.cohort import Series
from medudl.data.duplicates import duplicate_groups, linked_subjects


def rows(*pairs: tuple[str, str]) -> list[Series]:
    return [Series(subject, sha256=sha256) for subject, sha256 in pairs]


def test_groups_of_equal_hashes() -> None:
    series = rows(("a", "1"), ("b", "2"), ("c", "1"), ("d", ""), ("e", ""), ("f", "1"))
    assert duplicate_groups(series) == [[0, 2, 5]]


def test_subjects_are_linked_through_others() -> None:
    links = linked_subjects(rows(("a", "1"), ("b", "1"), ("b", "2"), ("c", "2"), ("d", "3")))
    assert links["a"] == links["b"] == links["c"] != links["d"]
