"""The cohort to train on: labels and test set from the store alone, nobody on two sides."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_stores import CLASSES, cohort_of, say, series, store_of

from medudl.data.cohort import Cohort
from medudl.data.splits import find_leaks
from medudl.labels import LabelStore
from medudl.labels.cohort import NOTES, choose_val, labelled


def _label_all(store: LabelStore, patients: range) -> None:
    for case in store.cases():
        if (n := int(case.subject[1:])) in patients:
            say(store, "Ann", "label", case.id, CLASSES[n % 2])


def _splits(cohort: Cohort) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for row in cohort.series():
        found[row.split].add(row.subject)
    return found


def test_labels_and_splits_come_from_the_store_alone(tmp_path: Path) -> None:
    rows = [series(n, series=f"v{n}{c}", contrast=c, label="old", split="train") for n in range(40) for c in ("a", "b")]
    cohort = Cohort.of(tmp_path, rows)
    store = LabelStore.create(tmp_path / "l", Cohort.of(tmp_path, [dataclasses.replace(row, split="") for row in rows]),
                              CLASSES, unit="study")  # fmt: skip
    _label_all(store, range(24))
    made = labelled(store, cohort)
    assert [row.label for row in made.series()] == [
        store.truth().get(case, "") for case, group in store.series_of(cohort).items() for _ in group
    ]
    splits = _splits(made)
    assert splits["test"] == {case.subject for case in store.cases() if case.test} and len(splits["test"]) == 8
    told = {row.subject for row in made.series() if row.label} - splits["test"]
    assert splits["val"] <= told and abs(len(splits["val"]) - len(told) / 4) <= 1
    assert {row.label for row in made.series() if row.split == "val"} == set(CLASSES)
    assert {f"p{n:03d}" for n in range(24, 40)} - splits["test"] <= splits["train"]
    assert find_leaks(made.series()) == [] and sum(map(len, splits.values())) == 40
    assert made.meta[NOTES] == ["replaced: the cohort's own labels of 80 scans, which do not count here"]
    assert labelled(store, cohort).table.equals(made.table)
    assert set(cohort.table["label"]) == {"old"}  # the cohort that was given stays as it was


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    store = store_of(tmp_path, 10, test_share=0.2)
    pool = [case for case in store.cases() if not case.test]
    say(store, "Ann", "label", pool[0].id, "sick")
    say(store, "Bob", "label", pool[0].id, "normal")
    say(store, "Ann", "flag", pool[1].id, "another patient's")
    say(store, "Ann", "label", pool[2].id, "sick")
    say(store, "Ann", "flag", pool[2].id, "noisy")
    say(store, "Ann", "flag", pool[6].id, "hard to tell")
    say(store, "Eve", "adjudicate", pool[6].id, "normal")
    test = next(case for case in store.cases() if case.test)
    twin, broken = int(pool[3].subject[1:]), int(pool[4].subject[1:])
    rows = [
        series(n, sha256="same" if n in (twin, int(test.subject[1:])) else f"h{n}",
               problems="3 slices missing" if n == broken else "")
        for n in range(12) if n != int(pool[5].subject[1:])
    ]  # fmt: skip
    made = labelled(store, Cohort.of(tmp_path, rows))
    assert made.meta[NOTES] == [
        "left out: 1 scan of 11 (copies of a test patient's)",
        "left out: 1 scan of 11 (flagged and without a label)",
        "left out: 2 scans of 11 (not in the store; `medudl label STORE grow` takes them in)",
        "left out: 1 scan of 11 (unusable, see column problems)",
        "without a label: 1 case on which readers differ; adjudicate",
        "gone: 1 case of the store without a scan in this cohort",
        "class normal: one labelled patient, for training, outside the test set; label more",
        "class sick: one labelled patient, for training, outside the test set; label more",
    ]
    labels = {row.subject: row.label for row in made.series()}
    assert labels[pool[0].subject] == "" and labels[pool[2].subject] == "sick" and labels[pool[6].subject] == "normal"
    assert not {pool[1].subject, pool[3].subject, pool[4].subject} & labels.keys()
    assert _splits(made).keys() == {"train", "test"} and find_leaks(made.series()) == []


def test_copies_among_patients_stay_on_one_side(tmp_path: Path) -> None:
    rows = [series(n, sha256=f"h{n // 2}") for n in range(40)]  # each patient has a twin
    store = LabelStore.create(tmp_path / "l", Cohort.of(tmp_path, rows), CLASSES)
    _label_all(store, range(40))
    made = labelled(store, Cohort.of(tmp_path, rows))
    assert find_leaks(made.series()) == [] and {len(side) % 2 for side in _splits(made).values()} == {0}


@given(
    groups=st.dictionaries(st.text("abcdefghij", min_size=1, max_size=4), st.sets(st.sampled_from("xyz"), min_size=1)),
    seed=st.integers(0, 3),
)
def test_val_never_takes_the_last_patient_of_a_class(groups: dict[str, set[str]], seed: int) -> None:
    val = choose_val(groups, "xyz", seed)
    assert val <= groups.keys() and val == choose_val(dict(reversed(groups.items())), "xyz", seed)
    for name in "xyz":
        having = {group for group, names in groups.items() if name in names}
        assert not having or having - val, (name, val)


@pytest.mark.parametrize("n", [2, 3, 4, 8, 20, 41])
def test_val_holds_a_quarter_of_each_class_and_one_at_least(n: int) -> None:
    groups = {f"{name}{i}": {name} for name in "xy" for i in range(n)}
    val = choose_val(groups, "xy", 0)
    assert all(sum(group[0] == name for group in val) == max(round(n / 4), 1) for name in "xy")


def test_it_trains_on_what_the_store_was_grown_by(tmp_path: Path) -> None:
    store = store_of(tmp_path, 6)
    more = cohort_of(tmp_path, 9)
    assert len(labelled(store, more)) == 6
    store.grow(more)
    assert len(labelled(store, more)) == 9
