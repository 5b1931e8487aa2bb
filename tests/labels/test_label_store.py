"""The store: what is saved is there once, in order, for good; what is wrong is one sentence and saves nothing."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from label_stores import CLASSES, cohort_of, say, series, store_of

from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError
from medudl.labels import LabelStore, Picked, Ranking
from medudl.labels.cases import case_id


def test_create_open_and_what_is_kept(tmp_path: Path) -> None:
    made = store_of(tmp_path, classes := 10, repeats=0.1, seed=7)
    store = LabelStore.open(tmp_path / "labels.sqlite")
    assert (store.id, store.unit, store.classes, store.repeats, store.seed) == (
        made.id, "series", list(CLASSES), 0.1, 7,
    )  # fmt: skip
    assert len(store.cases()) == classes and store.check() == "ok"
    assert [path.name for path in tmp_path.iterdir()] == ["labels.sqlite"]
    shutil.copy(store.path, tmp_path / "copy.sqlite")
    assert LabelStore.open(tmp_path / "copy.sqlite").id == store.id


def test_a_save_is_an_event_with_its_time_place_and_first_spelling(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    store.clock = lambda: 1_700_000_000.25
    case = store.cases()[3].id
    event = say(store, "Dr.  Ann O'Neil", "label", case, "sick", seconds=2.5, why="uncertain", view={"model": "r1"})
    assert (event.seq, event.reader, event.time) == (1, "Dr. Ann O'Neil", "2023-11-14T22:13:20.250+00:00")
    assert say(store, "dr. ann o'neil", "note", case, "blurred").reader == "Dr. Ann O'Neil"
    assert store.readers() == ["Dr. Ann O'Neil"] and store.events(since=1)[0].value == "blurred"
    assert store.events(case=case)[0] == event and store.events(reader="Bob") == []
    (label,) = store.labels()
    assert (label.event, label.case, label.value, label.seconds, label.why) == (
        event.id,
        case,
        "sick",
        2.5,
        "uncertain",
    )


def test_a_retried_save_is_one_event(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case, other = (case.id for case in store.cases()[:2])
    first = say(store, "Ann", "label", case, "sick", id="a" * 32, seconds=1.0)
    assert say(store, "ann", "label", case, "sick", id="a" * 32, seconds=9.0) == first
    assert len(store.events()) == 1
    for change in ({"case": other}, {"value": "normal"}, {"reader": "Bob"}, {"occasion": 1}):
        again = {"reader": "Ann", "case": case, "value": "sick", **change}
        with pytest.raises(UserError, match="names another event already"):
            store.save(id="a" * 32, kind="label", **again)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"case": "0" * 16}, "no case of this store"),
        ({"value": "Sick"}, "not a class of this store.*sick"),
        ({"kind": "delete"}, "kind 'delete'"),
        ({"why": "chosen"}, "why 'chosen'"),
        ({"reader": ""}, "give a name of 1-60 letters"),
        ({"reader": "x" * 61}, "give a name of 1-60 letters"),
        ({"reader": "<b>"}, "give a name of 1-60 letters"),
        ({"reader": "..."}, "give a name of 1-60 letters"),
        ({"id": "short"}, "event id 'short'"),
        ({"seconds": float("nan")}, "seconds nan"),
        ({"seconds": -1.0}, "seconds -1"),
        ({"occasion": -1}, "occasion -1"),
        ({"kind": "note", "value": "x" * 10_001}, "longer than"),
        ({"kind": "undo", "value": "b" * 32}, "no event of yours"),
    ],
)
def test_a_wrong_save_is_told_in_a_line_and_saves_nothing(change: dict[str, object], told: str, tmp_path: Path) -> None:
    store = store_of(tmp_path, 3)
    right = {"id": uuid.uuid4().hex, "reader": "Ann", "kind": "label", "case": store.cases()[0].id, "value": "sick"}
    with pytest.raises(UserError, match=told) as caught:
        store.save(**{**right, **change})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and store.events() == []


def test_many_saves_are_all_or_none(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    draft = say(store, "Ann", "label", store.cases()[0].id, "sick")
    good = replace(draft, id="b" * 32)
    with pytest.raises(UserError):
        store.save_all([good, replace(draft, id="c" * 32, case="none")])
    assert len(store.events()) == 1
    assert [event.seq for event in store.save_all([good, replace(draft, id="d" * 32)])] == [2, 3]


def test_an_undo_takes_back_one_event_of_ones_own(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case, other = (case.id for case in store.cases()[:2])
    first, second = (say(store, "Ann", "label", case, value) for value in CLASSES)
    flag = say(store, "Ann", "flag", other, "wrong patient")
    for who, where, what in (("Bob", case, second.id), ("Ann", other, second.id)):
        with pytest.raises(UserError, match="no event of yours"):
            say(store, who, "undo", where, what)
    undo = say(store, "Ann", "undo", case, second.id)
    assert store.labels()[0].value == first.value == "normal"
    for gone in (second.id, undo.id):
        with pytest.raises(UserError, match="no event of yours"):
            say(store, "Ann", "undo", case, gone)
    say(store, "Ann", "undo", case, first.id)
    assert store.labels() == [] and store.flagged() == {other: ["wrong patient"]}
    say(store, "Ann", "undo", other, flag.id)
    assert store.flagged() == {} and len(store.events()) == 6


def test_truth_conflicts_and_adjudication(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    agreed, split, alone, repeated = (case.id for case in store.cases()[:4])
    for reader, value in (("Ann", "sick"), ("Bob", "normal")):
        say(store, reader, "label", agreed, "sick")
        say(store, reader, "label", split, value)
    say(store, "Bob", "label", alone, "normal")
    say(store, "Ann", "label", repeated, "sick")
    say(store, "Ann", "label", repeated, "normal", occasion=1)
    assert store.truth() == {agreed: "sick", alone: "normal", repeated: "sick"} and store.conflicts() == [split]
    decided = say(store, "Eve", "adjudicate", split, "sick")
    assert store.truth()[split] == "sick" and store.conflicts() == []
    say(store, "Eve", "undo", split, decided.id)
    assert split not in store.truth() and store.conflicts() == [split]


@pytest.mark.parametrize("table", ["events", "rankings", "cases", "case_rows", "facts"])
@pytest.mark.parametrize(
    "how", ["UPDATE {} SET rowid = rowid", "DELETE FROM {}", "INSERT OR REPLACE INTO {} SELECT * FROM {}"]
)
def test_nothing_can_be_changed_or_removed_with_sql(table: str, how: str, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    say(store, "Ann", "label", store.cases()[0].id, "sick")
    store.add_ranking(_ranking(store))
    before = (store.events(), store.cases(), store.ranking())
    with sqlite3.connect(store.path) as raw, pytest.raises(sqlite3.IntegrityError, match=f"{table}: append-only"):
        raw.execute(how.replace("{}", table))
    raw.close()
    assert (store.events(), store.cases(), store.ranking()) == before


def test_a_lease_keeps_others_off_until_it_runs_out(tmp_path: Path) -> None:
    store, now = store_of(tmp_path), [1000.0]
    store.clock = lambda: now[0]
    case = store.cases()[0].id
    assert store.lease(case, "Ann", 60) and not store.lease(case, "Bob", 60) and store.lease(case, "ann", 60)
    assert store.leased() == {case: "ann"}
    store.release(case, "Bob")
    assert not store.lease(case, "Bob")
    now[0] += 60
    assert store.leased() == {} and store.lease(case, "Bob", 60) and not store.lease(case, "Ann")
    say(store, "Ann", "label", case, "sick")  # two may read one case: Bob's lease is still his
    assert store.leased() == {case: "Bob"}
    say(store, "Bob", "skip", case)
    assert store.leased() == {}
    with pytest.raises(UserError, match="no case"):
        store.lease("none", "Ann")
    with pytest.raises(UserError, match="more than 0"):
        store.lease(case, "Ann", 0)


def test_rankings_are_kept_and_never_pick_a_test_case(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    assert store.ranking() is None
    first = _ranking(store)
    second = replace(first, id="r2", changed=0.25, labels=20)
    store.add_ranking(first)
    store.add_ranking(second)
    assert store.ranking() == second and store.rankings() == [("r1", "now", 10), ("r2", "now", 20)]
    test = next(case.id for case in store.cases() if case.test)
    for change, told in (
        ({"order": [Picked(test, "diverse", "")]}, "a test case"),
        ({"order": [Picked("none", "diverse", "")]}, "no case"),
        ({"order": first.order * 2}, "twice"),
        ({"opinions": {test: {"ill": 1.0}}}, "class 'ill'"),
        ({"id": "r2"}, "in the store already"),
    ):
        with pytest.raises(UserError, match=told):
            store.add_ranking(replace(second, **{"id": "r3", **change}))  # type: ignore[arg-type]
    assert len(store.rankings()) == 2


def _ranking(store: LabelStore) -> Ranking:
    pool = [case.id for case in store.cases() if not case.test]
    order = [Picked(case, "uncertain", "The model wavers.") for case in pool[:3]]
    return Ranking("r1", "now", "runs/a", 10, order, {case: {"normal": 0.3, "sick": 0.7} for case in pool}, None)


def test_ids_last_when_scans_move_and_the_cohort_grows(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    say(store, "Ann", "label", store.cases()[0].id, "sick")
    moved = Cohort.of(tmp_path, [series(n, path=f"elsewhere/{n}.nii") for n in reversed(range(12))])
    before = {case.id: case for case in store.cases()}
    assert store.grow(moved) == 2 and store.grow(moved) == 0
    after = {case.id: case for case in store.cases()}
    assert len(after) == 12 and all(after[id].test == case.test for id, case in before.items())
    rows = store.series_of(moved)
    assert all(rows[id][0].subject == case.subject for id, case in after.items())
    assert store.series_of(Cohort.of(tmp_path, [series(0)]))[store.cases()[1].id] == []


def test_a_scan_without_a_name_of_its_own_is_known_by_its_path() -> None:
    one, other = Series("p", path="a.nii", series="row-1"), Series("p", path="b.nii", series="row-2")
    assert case_id(one, "series") != case_id(other, "series") and case_id(one, "study") == case_id(other, "study")
    assert (
        case_id(replace(one, series="row-7"), "series")
        == case_id(one, "series")
        == case_id(replace(one, series=""), "series")
    )
    named = Series("p", "s", "v", contrast="T1", path="a.nii")
    assert case_id(replace(named, path="b.nii"), "series") == case_id(named, "series")
    assert case_id(replace(named, contrast="T2"), "series") != case_id(named, "series")
    assert case_id(named, "series") == "561656e2ba5d1839"


def test_a_study_with_several_series_is_one_case(tmp_path: Path) -> None:
    rows = [series(n, series=f"v{n}{kind}", contrast=kind) for n in range(4) for kind in ("T1", "T2")]
    store = LabelStore.create(tmp_path / "l", Cohort.of(tmp_path, rows), CLASSES)
    assert store.unit == "study" and len(store.cases()) == 4
    assert store.cases()[0].series == ("v0T1|scans/0.nii.gz", "v0T2|scans/0.nii.gz")
    by_series = LabelStore.create(tmp_path / "m", Cohort.of(tmp_path, rows), CLASSES, unit="series")
    assert len(by_series.cases()) == 8 and len(by_series.cases()[0].series) == 1


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_the_test_set_is_that_share_of_patients(share: float, tmp_path: Path) -> None:
    rows = [series(n, series=f"v{n}{kind}") for n in range(40) for kind in ("a", "b")]
    cohort = Cohort.of(tmp_path, rows)
    drawn = []
    for seed in (0, 0, 1):
        path = tmp_path / f"{len(drawn)}.sqlite"
        cases = LabelStore.create(path, cohort, CLASSES, unit="series", test_share=share, seed=seed).cases()
        sides: dict[str, set[bool]] = {}
        for case in cases:
            sides.setdefault(case.subject, set()).add(case.test)
        assert all(len(side) == 1 for side in sides.values())
        drawn.append({subject for subject, side in sides.items() if side == {True}})
        assert len(drawn[-1]) == round(share * 40)
    assert drawn[0] == drawn[1] and (drawn[0] != drawn[2] or share == 0)


def test_the_cohorts_own_test_split_is_taken_and_copies_follow_it(tmp_path: Path) -> None:
    rows = [series(n, split="test" if n in (0, 5) else "train", sha256=f"h{n}" if n != 5 else "h1") for n in range(8)]
    store = LabelStore.create(tmp_path / "l", Cohort.of(tmp_path, rows), CLASSES)
    assert {case.subject for case in store.cases() if case.test} == {"p000", "p001", "p005"}


def test_new_patients_are_drawn_in_the_same_share_and_copies_of_test_patients_follow(tmp_path: Path) -> None:
    store = store_of(tmp_path, 10)
    test = next(n for n, case in enumerate(store.cases()) if case.test)
    rows = [series(n, sha256="same" if n in (test, 49) else f"h{n}") for n in range(50)]
    store.grow(Cohort.of(tmp_path, rows))
    tested = {case.subject for case in store.cases() if case.test}
    assert "p049" in tested and len(tested) in (10, 11)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"classes": ["one"]}, "give 2 to 9"),
        ({"classes": list("abcdefghij")}, "give 2 to 9"),
        ({"classes": ["a", "A"]}, "there twice"),
        ({"classes": ["a", " "]}, "empty"),
        ({"test_share": 1.0}, "test share"),
        ({"repeats": -0.1}, "repeats"),
        ({"unit": "patient"}, "by series or by study"),
        ({"problems": "3 slices missing"}, "no usable scan"),
        ({"path": "none/labels.sqlite"}, "folder does not exist"),
    ],
)
def test_a_store_that_cannot_be_leaves_nothing(settings: dict[str, object], told: str, tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, 3, problems=str(settings.pop("problems", "")))
    path, classes = tmp_path / str(settings.pop("path", "labels.sqlite")), settings.pop("classes", CLASSES)
    with pytest.raises(UserError, match=told):
        LabelStore.create(path, cohort, classes, **settings)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_never_written_over(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    with pytest.raises(UserError, match="exists"):
        store_of(tmp_path)
    assert LabelStore.open(store.path).id == store.id


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case = store.cases()[0].id
    crew = [
        threading.Thread(target=lambda n=n: [say(store, f"r{n}", "label", case, "sick") for _ in range(5)])
        for n in range(4)
    ]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    assert [event.seq for event in store.events()] == list(range(1, 21)) and len(store.labels()) == 4
