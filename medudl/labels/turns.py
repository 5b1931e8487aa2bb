"""Which case a reader sees next: leased, blind, with random test cases and silent repeats between the model's picks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from medudl.data.cohort import Cohort
from medudl.labels.events import Event, Label, LabelCase, Picked, reader_key
from medudl.labels.queue import cold_start, random_order
from medudl.labels.reader import ReaderView
from medudl.labels.standing import flags_of, labels_of, standing
from medudl.labels.store import LabelStore

TEST_EVERY = 5  # turns from one test case to the next
REPEAT_AFTER = 10  # labels between a first read and its repeat
BEFORE = "You skipped it before."
AT_RANDOM = "Drawn at random."  # of cold start, test and repeat alike, so that a reader cannot tell them apart


@dataclass(frozen=True)
class Turn:
    """A case to show. kind and occasion are for `save` and never for the reader: a test case must not be known as one.

    kind: cold_start, uncertain, diverse, test or repeat. ranking: id of the one in force, "" without. place: how many
    cases this reader has labelled before. left: how many are still to come for this reader, this one included.
    """

    case: str
    kind: str
    why: str
    occasion: int
    ranking: str
    place: int
    left: int


def next_turn(
    store: LabelStore | ReaderView, reader: str, *, avoid: Collection[str] = (),
    random: np.random.Generator | None = None, gone: Collection[str] = (),
) -> Turn | None:  # fmt: skip
    """Choose and lease this reader's next case; None when nothing is left.

    On every 5th turn a test case comes, in an order that is drawn once for all readers; else the newest ranking's best
    case, or without one the cold start's. What is skipped comes back once, when all else is done. With probability
    `store.repeats` one of the reader's own cases comes instead, once each and at least 10 labels after its first read.
    Not shown: what this reader has labelled, what anybody has flagged, and while others are left what another holds.

    avoid: not these now, as the case on the screen is while the next one is fetched. gone: no scan any more, see
    `gone_cases`. Every reader reads the test cases and `store.overlap` of the pool, drawn by the store's seed; the rest
    is for whoever comes first, and never on two screens at once. With an overlap of 1 all read all.
    random: for repeats; by default fixed by store, reader and turn, so that asking again gives the same answer.
    Other readers' work decides at most which case comes, never what is said of it.
    """
    store = store._store if isinstance(store, ReaderView) else store
    desk = _desk(store, reader, set(avoid), set(gone))
    served = next((found for found in desk.candidates() if desk.taken(found)), None)
    if served is None:
        return None
    draw = desk.random() if random is None else random
    if draw.random() < store.repeats and (again := desk.again(draw)) is not None and desk.taken(again):
        store.release(served.case, reader)
        served = again
    return Turn(
        served.case, served.kind, served.why, served.occasion, desk.ranking, len(desk.labelled), len(desk.open_cases())
    )


def gone_cases(store: LabelStore, cohort: Cohort) -> tuple[set[str], str]:
    """Cases whose scan is in the cohort no more, and a sentence on them ("" where there are none)."""
    rows = store.series_of(cohort)
    gone = {case for case, series in rows.items() if not series}
    if not gone:
        return gone, ""
    cases = "1 case is" if len(gone) == 1 else f"{len(gone)} of {len(rows)} cases are"
    return gone, f"{cases} passed over: the scans are in the cohort no more. Labels that were given are kept."


@dataclass(frozen=True)
class _Candidate:
    case: str
    kind: str
    why: str = AT_RANDOM
    occasion: int = 0


@dataclass
class _Desk:
    """What one reader has before him: all facts of one moment."""

    store: LabelStore
    reader: str
    cases: list[LabelCase]
    hidden: set[str]  # flagged, or without a scan
    own: list[Label]
    skips: Counter[str]  # of first reads, by case
    settled: set[str]  # own cases whose repeat was labelled or skipped
    others: set[str]  # cases that another reader has labelled
    held: set[str]  # by another reader
    order: Sequence[Picked]
    ranking: str
    turn: int
    pending: set[str]
    avoid: set[str]
    labelled: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.labelled = {label.case for label in self.own if label.occasion == 0} | self.pending

    def random(self) -> np.random.Generator:
        key = f"{self.store.id}/{self.store.seed}/{reader_key(self.reader)}/{self.turn}"
        return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))

    def for_all(self, case: LabelCase) -> bool:
        drawn = int.from_bytes(hashlib.sha256(f"{self.store.seed}/overlap/{case.id}".encode()).digest()[:8], "big")
        return case.test or drawn < self.store.overlap * 2**64

    def open_cases(self) -> list[LabelCase]:
        """What this reader may still be asked."""
        return [
            case for case in self.cases
            if case.id not in self.hidden and case.id not in self.labelled and self.skips[case.id] < 2
            and (self.for_all(case) or case.id not in self.others)
        ]  # fmt: skip

    def candidates(self) -> Iterator[_Candidate]:
        """Best first: what nobody holds, then what was skipped, then what all must read though another holds it."""
        there = {case.id: case for case in self.open_cases() if case.id not in self.avoid}
        known = self._in_order(there)
        fresh = [found for found in known if not self.skips[found.case]]
        back = {found.case: replace(found, why=BEFORE) for found in known if self.skips[found.case]}
        late = [back[id] for id in self.skips if id in back]
        shared = {id for id, case in there.items() if self.for_all(case)}
        yield from (found for found in (*fresh, *late) if found.case not in self.held)
        yield from (found for found in (*fresh, *late) if found.case in self.held & shared)

    def _in_order(self, there: Collection[str]) -> list[_Candidate]:
        """Random orders are those of all cases, so that they stay while cases are read."""
        tests = random_order([case for case in self.cases if case.test], self.store.seed)
        cold = cold_start([case for case in self.cases if not case.test], self.store.seed)
        ranked = {one.case for one in self.order}
        picked = [_Candidate(one.case, one.kind, one.why) for one in self.order]
        picked += [_Candidate(id, "cold_start") for id in cold if id not in ranked]
        drawn = [_Candidate(id, "test") for id in tests]
        due = self.turn % TEST_EVERY == TEST_EVERY - 1
        return [found for found in (drawn + picked if due else picked + drawn) if found.case in there]

    def again(self, random: np.random.Generator) -> _Candidate | None:
        """A case to read once more."""
        shown = {case.id for case in self.cases} - self.hidden - self.avoid - self.held - self.settled
        old = self.own[: max(len(self.own) + len(self.pending) - REPEAT_AFTER, 0)]
        able = [one.case for one in old if one.occasion == 0 and one.why != "import" and one.case in shown]
        return _Candidate(able[int(random.integers(len(able)))], "repeat", occasion=1) if able else None

    def taken(self, found: _Candidate) -> bool:
        """Whether the case is this reader's now."""
        case = next(case for case in self.cases if case.id == found.case)
        if not self.store.lease(found.case, self.reader):
            late = found.case in self.held  # its turn came after all others
            self.held.add(found.case)
            return late and found.occasion == 0
        if self.for_all(case) or not _labelled_by_another(self.store, found.case, self.reader):
            return True
        self.store.release(found.case, self.reader)  # its label came in between
        return False


def _desk(store: LabelStore, reader: str, avoid: set[str], gone: set[str]) -> _Desk:
    key = reader_key(reader)
    events = store.events()
    mine = [event for event in events if reader_key(event.reader) == key]
    own = labels_of(mine)
    skips = [event for event in standing(mine) if event.kind == "skip"]
    flagged = flags_of(events)
    leased = {case: reader_key(holder) for case, holder in store.leased().items()}
    ranking = store.ranking()
    answered = {(label.case, label.occasion) for label in own} | {(skip.case, skip.occasion) for skip in skips}
    pending = {case for case in avoid if leased.get(case) == key}  # on the screen, its label to come
    return _Desk(
        store, reader, store.cases(), gone | flagged.keys(), own,
        skips=Counter(skip.case for skip in skips if skip.occasion == 0),
        settled={case for case, occasion in answered if occasion > 0},
        others={label.case for label in labels_of(events) if reader_key(label.reader) != key},
        held={case for case, holder in leased.items() if holder != key},
        order=ranking.order if ranking else [], ranking=ranking.id if ranking else "",
        turn=len(own) + len(skips) + len(pending), pending=pending, avoid=avoid,
    )  # fmt: skip


def _labelled_by_another(store: LabelStore, case: str, reader: str) -> bool:
    found: list[Event] = store.events(case=case)
    return any(reader_key(label.reader) != reader_key(reader) for label in labels_of(found))
