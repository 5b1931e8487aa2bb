"""Turns: who sees what next. Random actions on a store kept in memory, the rest on a real one."""

from __future__ import annotations

import uuid
from dataclasses import fields
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError
from medudl.labels.events import Event, LabelCase, Picked, Ranking, reader_key
from medudl.labels.queue import cold_start
from medudl.labels.standing import flags_of, labels_of, standing
from medudl.labels.store import LabelStore
from medudl.labels.turns import AT_RANDOM, BEFORE, REPEAT_AFTER, Turn, gone_cases, next_turn


class Memory(LabelStore):
    """The calls that turns are made of, without a disk: a thousand random sequences in seconds."""

    def __init__(self, pool: int, tests: int, repeats: float = 0.0, seed: int = 0, overlap: float = 1.0) -> None:
        self.id, self.seed, self.repeats, self.classes = "memory", seed, repeats, ["a", "b"]
        self.overlap = overlap
        self._cases = [LabelCase(f"c{i:03}", f"p{i // 2}", "", (str(i),), i >= pool) for i in range(pool + tests)]
        self._events: list[Event] = []
        self._leases: dict[str, str] = {}
        self._ranking: Ranking | None = None

    def cases(self) -> list[LabelCase]:
        return self._cases

    def events(self, *, reader: str | None = None, case: str | None = None, since: int = 0) -> list[Event]:
        key = None if reader is None else reader_key(reader)
        return [e for e in self._events if key in (None, reader_key(e.reader)) and case in (None, e.case)]

    def save(self, *, reader: str, kind: str, case: str, value: str = "", occasion: int = 0, why: str = "history",
             id: str = "", **_: object) -> Event:  # fmt: skip
        seq = len(self._events) + 1
        event = Event(seq, id or f"event-{seq}", "", reader, kind, case, value, 3.0, occasion, why, {})  # type: ignore[arg-type]
        self._events.append(event)
        if kind in ("label", "skip"):
            self.release(case, reader)
        return event

    def lease(self, case: str, reader: str, seconds: float = 300.0) -> bool:
        return reader_key(self._leases.setdefault(case, reader)) == reader_key(reader)

    def release(self, case: str, reader: str) -> None:
        if self._leases.get(case) == reader:
            del self._leases[case]

    def leased(self) -> dict[str, str]:
        return dict(self._leases)

    def ranking(self) -> Ranking | None:
        return self._ranking

    def rank(self, cases: list[str], name: str = "first") -> None:
        self._ranking = Ranking(
            name, "", "", 0, [Picked(case, "uncertain", "The model wavers.") for case in cases], {}, None
        )

    def answer(self, turn: Turn, reader: str, kind: str = "label") -> Event:
        return self.save(
            reader=reader, kind=kind, case=turn.case, value="a" if kind == "label" else "", occasion=turn.occasion,
            why=turn.kind,
        )  # fmt: skip


def read_all(store: Memory, reader: str, most: int = 500) -> list[Turn]:
    """Label all that comes."""
    turns: list[Turn] = []
    while len(turns) < most and (turn := next_turn(store, reader)) is not None:
        turns.append(turn)
        store.answer(turn, reader)
    assert len(turns) < most, "the queue never ends"
    return turns


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["Ann", "Bo", "ann"]), st.sampled_from(["label", "skip", "flag", "undo", "rank", "look"])
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(ACTIONS, st.integers(0, 12), st.integers(0, 5), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.4, 1.0]))
def test_any_sequence_of_turns_keeps_the_promises(
    actions: list[tuple[str, str]], pool: int, tests: int, repeats: float, overlap: float
) -> None:
    store = Memory(pool, tests, repeats, overlap=overlap)
    random = np.random.default_rng(pool)
    held = {case.id for case in store.cases() if case.test}
    for reader, action in [*actions, *[("Ann", "label")] * 120]:
        if action == "rank":
            store.rank(random.permutation([case.id for case in store.cases() if not case.test]).tolist())
            continue
        mine = standing(store.events(reader=reader))
        if action == "undo":
            for event in mine[-1:]:
                store.save(reader=reader, kind="undo", case=event.case, value=event.id)
            continue
        turn = next_turn(store, reader)
        if turn is None:
            continue
        labelled = {label.case for label in labels_of(mine) if label.occasion == 0}
        skipped = [event.case for event in mine if event.kind == "skip" and event.occasion == 0]
        assert (turn.kind == "test") == (turn.case in held and turn.kind != "repeat"), "a test case was picked"
        assert turn.case not in flags_of(store.events())
        assert (turn.case in labelled) == (turn.occasion == 1) == (turn.kind == "repeat")
        assert skipped.count(turn.case) < 2 or turn.occasion
        assert turn.place == len(labelled)
        assert turn.left >= 1
        if turn.occasion:
            assert all((label.case, label.occasion) != (turn.case, 1) for label in labels_of(mine))
        if action != "look":
            store.answer(turn, reader, action)
    for reader in ("Bo", "Ann"):  # Bo lets go of what he holds
        read_all_or_flagged(store, reader)
    first_reads = [(label.reader.casefold(), label.case) for label in labels_of(store.events()) if label.occasion == 0]
    told = {(reader, case) for reader, case in first_reads}
    assert next_turn(store, "Ann") is None
    if overlap == 0:
        pool_reads = [case for _, case in told if case not in held]
        assert len(pool_reads) == len(set(pool_reads)), "one reader a case"


def read_all_or_flagged(store: Memory, reader: str) -> None:
    for _ in range(200):
        if (turn := next_turn(store, reader)) is None:
            return
        store.answer(turn, reader)
    raise AssertionError("the queue never ends")


def test_every_case_comes_once_and_then_nothing() -> None:
    turns = read_all(Memory(20, 5), "Ann")
    assert len({turn.case for turn in turns}) == len(turns) == 25
    assert [turn.place for turn in turns] == list(range(25))
    assert [turn.left for turn in turns] == list(range(25, 0, -1))


def test_every_fifth_turn_is_a_test_case_whatever_the_model_thinks() -> None:
    store = Memory(30, 6)
    store.rank([case.id for case in store.cases() if not case.test][::-1])
    turns = read_all(store, "Ann")
    assert [at for at, turn in enumerate(turns) if turn.kind == "test"] == [4, 9, 14, 19, 24, 29]
    ranked = [turn for turn in turns if turn.kind == "uncertain"]
    assert [turn.case for turn in ranked] == [f"c{i:03}" for i in range(29, -1, -1)]
    assert {turn.why for turn in ranked} == {"The model wavers."} and ranked[0].ranking == "first"


def test_test_cases_come_in_one_order_for_all_readers_and_models() -> None:
    orders = []
    for reader, ranked in (("Ann", False), ("Bo", True)):
        store = Memory(40, 10)
        if ranked:
            store.rank([case.id for case in store.cases() if not case.test][::3])
        orders.append([turn.case for turn in read_all(store, reader) if turn.kind == "test"])
    assert orders[0] == orders[1] and len(orders[0]) == 10


def test_without_a_model_the_cold_start_decides() -> None:
    store = Memory(12, 0, seed=5)
    assert [turn.case for turn in read_all(store, "Ann")] == cold_start(store.cases(), 5)


def test_what_the_ranking_leaves_out_comes_after_it_at_random() -> None:
    store = Memory(6, 0)
    store.rank(["c003"])
    turns = read_all(store, "Ann")
    assert (turns[0].case, turns[0].kind) == ("c003", "uncertain")
    assert {turn.kind for turn in turns[1:]} == {"cold_start"} and len(turns) == 6


def test_a_reader_cannot_tell_a_test_case_or_a_repeat_by_its_sentence() -> None:
    store = Memory(60, 15, repeats=0.3)
    told = {kind: {turn.why for turn in read_all(store, "Ann") if turn.kind == kind} for kind in ("test",)}
    store = Memory(60, 15, repeats=0.3)
    for turn in read_all(store, "Ann"):
        told.setdefault(turn.kind, set()).add(turn.why)
    assert told == {"test": {AT_RANDOM}, "cold_start": {AT_RANDOM}, "repeat": {AT_RANDOM}}


def test_repeats_come_as_often_as_the_store_asks_once_each_and_late_enough() -> None:
    store = Memory(200, 0, repeats=0.2)
    turns = read_all(store, "Ann")
    again = [at for at, turn in enumerate(turns) if turn.kind == "repeat"]
    for at in again:
        first = next(i for i, turn in enumerate(turns) if turn.case == turns[at].case)
        assert at - first > REPEAT_AFTER
    assert len({turns[at].case for at in again}) == len(again)
    # Each turn draws with probability .2: binomial, five standard deviations about it
    share, sigma = len(again) / len(turns), np.sqrt(0.2 * 0.8 / len(turns))
    assert abs(share - 0.2) < 5 * sigma


def test_asking_again_gives_the_same_turn() -> None:
    store = Memory(40, 5, repeats=0.5)
    for _ in range(40):
        turn = next_turn(store, "Ann")
        assert turn is not None and turn == next_turn(store, "Ann")
        store.answer(turn, "Ann")


def test_the_next_case_is_fetched_while_one_is_on_the_screen() -> None:
    plain, ahead = Memory(30, 6), Memory(30, 6)
    seen = [turn.case for turn in read_all(plain, "Ann")]
    shown: list[str] = []
    now = next_turn(ahead, "Ann")
    while now is not None:
        after = next_turn(ahead, "Ann", avoid={now.case})
        assert after is None or (after.place == now.place + 1 and after.left == now.left - 1)
        ahead.answer(now, "Ann")
        shown.append(now.case)
        now = after
    assert shown == seen


def test_what_is_skipped_comes_back_once_at_the_end() -> None:
    store = Memory(4, 1)
    first = next_turn(store, "Ann")
    assert first is not None
    store.answer(first, "Ann", "skip")
    turns = read_all(store, "Ann")
    assert turns[-1].case == first.case and turns[-1].why == BEFORE and turns[-1].left == 1
    assert [turn.case for turn in turns].count(first.case) == 1
    store = Memory(1, 0)
    for _ in range(2):
        turn = next_turn(store, "Ann")
        assert turn is not None
        store.answer(turn, "Ann", "skip")
    assert next_turn(store, "Ann") is None


def test_a_skipped_test_case_stays_a_test_case() -> None:
    store = Memory(0, 1)
    for _ in range(2):
        turn = next_turn(store, "Ann")
        assert turn is not None and turn.kind == "test"
        store.answer(turn, "Ann", "skip")


def test_a_skipped_repeat_is_not_asked_again() -> None:
    store = Memory(80, 0, repeats=0.5)
    asked = []
    while (turn := next_turn(store, "Ann")) is not None:
        store.answer(turn, "Ann", "skip" if turn.occasion else "label")
        asked += [turn.case] if turn.occasion else []
    assert len(asked) == len(set(asked)) > 15


def test_a_skipped_repeat_is_no_skip_of_the_case() -> None:
    store = Memory(30, 0, repeats=0.9)
    while (turn := next_turn(store, "Ann")) is not None and not turn.occasion:
        store.answer(turn, "Ann")
    assert turn is not None
    store.answer(turn, "Ann", "skip")
    (label,) = [one for one in labels_of(store.events()) if one.case == turn.case]
    store.save(reader="Ann", kind="undo", case=turn.case, value=label.event)
    store.rank([turn.case])
    back = next_turn(store, "Ann", random=np.random.default_rng(4))
    while back is not None and back.occasion:
        store.answer(back, "Ann")
        back = next_turn(store, "Ann", random=np.random.default_rng(4))
    assert back is not None and (back.case, back.kind) == (turn.case, "uncertain") and back.why != BEFORE


def test_flagged_by_anybody_is_not_shown_and_an_undone_flag_is() -> None:
    store = Memory(1, 0)
    flag = store.save(reader="Bo", kind="flag", case="c000", value="wrong patient")
    assert next_turn(store, "Ann") is None
    store.save(reader="Bo", kind="undo", case="c000", value=flag.id)
    assert next_turn(store, "Ann") is not None


def test_an_undone_label_brings_the_case_back() -> None:
    store = Memory(1, 0)
    turn = next_turn(store, "Ann")
    assert turn is not None
    label = store.answer(turn, "Ann")
    assert next_turn(store, "Ann") is None
    store.save(reader="Ann", kind="undo", case="c000", value=label.id)
    assert next_turn(store, "Ann") == turn


def test_gone_and_avoided_cases_are_passed_over() -> None:
    store = Memory(3, 0)
    seen = {next_turn(store, "Ann", gone={"c000"}, avoid={"c001"})}
    assert {turn.case for turn in seen if turn} == {"c002"}
    assert next_turn(store, "Ann", gone={"c000", "c001", "c002"}) is None


def test_what_others_say_changes_no_word_of_what_a_reader_is_told() -> None:
    alone, beside = Memory(30, 6, repeats=0.2), Memory(30, 6, repeats=0.2)
    for store in (alone, beside):
        store.rank([case.id for case in store.cases() if not case.test][:15])
    for turn in read_all(beside, "Bo"):
        beside.save(reader="Bo", kind="label", case=turn.case, value="b")
    assert read_all(alone, "Ann") == read_all(beside, "Ann"), "with all cases read by all, not even the order"


def test_two_readers_hold_different_cases_until_only_shared_ones_are_left() -> None:
    store = Memory(4, 1)
    while True:
        ann, bo = next_turn(store, "Ann"), next_turn(store, "Bo")
        if ann is None or bo is None:
            break
        assert ann.case != bo.case or ann.left == bo.left == 1
        store.answer(ann, "Ann")
        store.answer(bo, "Bo")
    assert len(labels_of(store.events())) == 10, "each of 5 cases by both"


def test_a_case_that_both_must_read_is_given_to_both_in_the_end() -> None:
    store = Memory(1, 0)
    ann, bo = next_turn(store, "Ann"), next_turn(store, "Bo")
    assert ann is not None and ann == bo
    assert store.leased() == {"c000": "Ann"}
    alone = Memory(1, 0, overlap=0)
    assert next_turn(alone, "Ann") is not None and next_turn(alone, "Bo") is None


def test_overlap_is_the_share_of_the_pool_that_two_readers_both_read() -> None:
    store = Memory(160, 10, overlap=0.25)
    while True:
        turns = {reader: next_turn(store, reader) for reader in ("Ann", "Bo")}
        for reader, turn in turns.items():
            if turn is not None:
                store.answer(turn, reader)
        if not any(turns.values()):
            break
    reads = [label.case for label in labels_of(store.events())]
    twice = [case.test for case in store.cases() if reads.count(case.id) == 2]
    assert set(reads) == {case.id for case in store.cases()} and twice.count(True) == 10
    # Binomial(160, 1/4): five standard deviations are 27
    assert abs(twice.count(False) - 40) < 27


def test_a_turn_tells_a_reader_nothing_of_other_readers() -> None:
    assert {field.name for field in fields(Turn)} == {"case", "kind", "why", "occasion", "ranking", "place", "left"}


def made(folder: Path, count: int, overlap: float = 1.0) -> tuple[LabelStore, Cohort]:
    rows = [Series(f"p{i}", "1", f"s{i}", path=f"{i}.nii.gz") for i in range(count)]
    cohort = Cohort.of(folder, rows)
    return LabelStore.create(folder / "labels.sqlite", cohort, ["normal", "sick"], repeats=0, overlap=overlap), cohort


def save(store: LabelStore, reader: str, turn: Turn) -> None:
    store.save(
        id=uuid.uuid4().hex, reader=reader, kind="label", case=turn.case, value="sick", occasion=turn.occasion,
        why=turn.kind,
    )  # fmt: skip


def test_on_a_real_store_and_its_view_all_cases_come_once(tmp_path: Path) -> None:
    store, _ = made(tmp_path, 8)
    seen = []
    while (turn := next_turn(store.for_reader("Ann"), "Ann")) is not None:
        save(store, "Ann", turn)
        seen.append(turn)
    assert sorted(turn.case for turn in seen) == sorted(case.id for case in store.cases())
    assert seen[4].kind == "test"


def test_readers_at_once_on_a_real_store_hold_different_cases(tmp_path: Path) -> None:
    store, _ = made(tmp_path, 12)
    barrier, found = Barrier(4), []

    def ask(reader: str) -> None:
        barrier.wait()
        found.append(next_turn(store, reader))

    threads = [Thread(target=ask, args=(name,)) for name in ("Ann", "Bo", "Cy", "Di")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({turn.case for turn in found if turn}) == 4


def test_a_label_that_came_in_between_is_seen(tmp_path: Path) -> None:
    store, _ = made(tmp_path, 4, overlap=0)

    class Slow(LabelStore):
        """Bo labels each case between Ann's look at the log and her lease."""

        def lease(self, case: str, reader: str, seconds: float = 300.0) -> bool:
            if reader == "Ann" and not store.events(case=case):
                store.save(id=uuid.uuid4().hex, reader="Bo", kind="label", case=case, value="sick")
            return super().lease(case, reader, seconds)

    slow = Slow.open(store.path)
    turn = next_turn(slow, "Ann")
    assert turn is not None and turn.kind == "test", "only the test case is for both"
    assert next_turn(slow, "Ann", avoid={turn.case}) is None


def test_a_scan_that_is_gone_is_told_in_a_sentence(tmp_path: Path) -> None:
    store, cohort = made(tmp_path, 5)
    assert gone_cases(store, cohort) == (set(), "")
    less = Cohort.of(tmp_path, cohort.series()[2:])
    gone, sentence = gone_cases(store, less)
    assert gone == {case.id for case in store.cases()[:2]}
    assert sentence.startswith("2 of 5 cases are passed over: the scans are in the cohort no more.")
    while (turn := next_turn(store, "Ann", gone=gone)) is not None:
        assert turn.case not in gone
        save(store, "Ann", turn)
    assert len(store.labels()) == 3


def test_overlap_is_kept_with_the_store(tmp_path: Path) -> None:
    store, cohort = made(tmp_path, 4, overlap=0.25)
    assert LabelStore.open(store.path).overlap == store.overlap == 0.25
    with pytest.raises(UserError, match="overlap 1.5"):
        LabelStore.create(tmp_path / "other.sqlite", cohort, ["a", "b"], overlap=1.5)
    assert not (tmp_path / "other.sqlite").exists()
