"""Splits by patient, and the guard against leaks."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medudl.data.cohort import Series
from medudl.data.splits import LeakError, assign, check_leaks, find_leaks, parse_shares, split_name
from medudl.errors import UserError

SHARES = parse_shares("70/15/15")
ROWS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("AB"), st.integers(0, 40)), min_size=1, max_size=80)


def cohort(count: int, labels: str = "AB", images: int = 2) -> list[Series]:
    return [
        Series(f"s{i}", path=f"{i}/{j}.png", label=labels[i % len(labels)], sha256=f"{i}-{j}")
        for i in range(count) for j in range(images)
    ]  # fmt: skip


def test_each_label_is_shared_out_alike() -> None:
    rows = assign(cohort(100, "AAAB"), SHARES)
    patients = {(row.subject, row.label, row.split) for row in rows}
    counts = Counter((label, split) for _, label, split in patients)
    for label, total in (("A", 75), ("B", 25)):
        for split, share in SHARES.items():
            assert abs(counts[label, split] - share * total) <= 2


@given(ROWS, st.integers(0, 5))
@settings(max_examples=60)
def test_no_patient_and_no_copy_on_two_sides(rows: list[tuple[int, str, int]], seed: int) -> None:
    series = [Series(f"s{s}", label=label, sha256=str(h), path=str(n)) for n, (s, label, h) in enumerate(rows)]
    assert find_leaks(assign(series, SHARES, seed)) == []


def test_the_seed_decides_and_order_does_not() -> None:
    rows = cohort(40)
    split = {row.path: row.split for row in assign(rows, SHARES, 1)}
    assert split == {row.path: row.split for row in assign(rows[::-1], SHARES, 1)}
    assert split != {row.path: row.split for row in assign(rows, SHARES, 2)}


@pytest.mark.parametrize("count", [3, 4, 5, 7])
def test_a_small_cohort_has_someone_in_each_split(count: int) -> None:
    assert {row.split for row in assign(cohort(count, "A"), SHARES)} == {"train", "val", "test"}
    assert {row.split for row in assign(cohort(count), parse_shares("80/20/0"))} == {"train", "val"}


def test_copies_join_patients() -> None:
    rows = cohort(30) + [
        Series("s3", sha256="5-0", path="copy.png", label="A"),
        Series("x", sha256="5-1", path="c2.png"),
    ]
    split = {row.subject: row.split for row in assign(rows, SHARES)}
    assert split["s3"] == split["s5"] == split["x"]


def test_a_leak_names_patients_and_copies() -> None:
    rows = [
        Series("P1", path="a", split="train", sha256="1"), Series("P1", path="b", split="test", sha256="2"),
        Series("P1", path="z"),
        Series("P2", path="c", split="train", sha256="3"), Series("P3", path="d", split="val", sha256="3"),
        Series("P4", path="e", split="train", sha256="4"), Series("P4", path="f", split="", sha256="4"),
    ]  # fmt: skip
    with pytest.raises(
        LeakError, match=r"1 patient .*\(P1\) and 1 set of equal images .*\(c = d\).*sub- part"
    ) as error:
        check_leaks(rows, "the sub- part of a name")
    assert [(leak.kind, leak.name, leak.splits, leak.paths) for leak in error.value.leaks] == [
        ("patient", "P1", ("train", "test"), ("a", "b")),
        ("copies", "c = d", ("train", "val"), ("c", "d")),
    ]
    check_leaks(rows[5:], "")


@pytest.mark.parametrize("text", ["70/30", "a/b/c", "-1/1/1", "0/0/0", "nan/1/1", "1/inf/1", ""])
def test_wrong_shares_are_told(text: str) -> None:
    with pytest.raises(UserError, match="70/15/15"):
        parse_shares(text)


def test_spellings() -> None:
    assert [split_name(text) for text in ("Train", "validation", "TEST", "")] == ["train", "val", "test", ""]
    with pytest.raises(UserError, match="fold1"):
        split_name("fold1")
