"""The label store: what readers said, durable when `save` returns, never changed afterwards."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError
from medudl.labels import leases
from medudl.labels.append import append, check_case
from medudl.labels.cases import Side, cases_of, group_rows, natural_unit
from medudl.labels.connection import reading, writing
from medudl.labels.create import Facts, check_facts, create_file, read_facts
from medudl.labels.events import (
    Event,
    Kind,
    Label,
    LabelCase,
    Ranking,
    check_form,
    check_ranking,
    reader_key,
    reader_name,
)
from medudl.labels.filesystem import refuse_network
from medudl.labels.rows import read_cases, read_events, read_ranking, write_cases, write_ranking
from medudl.labels.standing import conflicts_of, flags_of, labels_of, truth_of

if TYPE_CHECKING:
    from medudl.labels.reader import ReaderView


class LabelStore:
    """One SQLite file, by convention `labels.sqlite` beside cohort.csv.

    Every call opens the file for itself, so that one store may be used from several threads and processes. Every call
    raises UserError where the file is absent, damaged, locked, read-only or the disk full.

    id: of this store, kept by its copies. classes: names in the order of their keys. repeats: share of silent repeats.
    overlap: share of the pool that every reader reads. given: whether the cohort's split says who is of the test set.
    clock: seconds since 1970, for times and leases.
    """

    def __init__(self, path: Path, facts: Facts) -> None:
        self.path = path
        self.id, self.unit, self.classes = facts.id, facts.unit, facts.classes
        self.repeats, self.seed, self.test_share = facts.repeats, facts.side.seed, facts.side.share
        self.clock: Callable[[], float] = time.time
        self.overlap, self.given = facts.overlap, facts.side.given
        self._side = facts.side

    @classmethod
    def create(
        cls, path: str | Path, cohort: Cohort, classes: Sequence[str], *,
        unit: Literal["series", "study"] | None = None, test_share: float = 0.2, repeats: float = 0.05, seed: int = 0,
        overlap: float = 1.0,
    ) -> LabelStore:  # fmt: skip
        """Make a store of the cohort's usable rows, in one move.

        unit: what one label is about; None: the study where one holds several series. The test set is the cohort's
        split "test" where it has splits, else `test_share` of the patients drawn by `seed`; copies stay on one side.
        overlap: share of the other cases that every reader reads; the rest is for whoever comes first.
        Raises UserError: exists, no usable scan, fewer than 2 or more than 9 classes, a network file system.
        """
        path, series = Path(path), cohort.series()
        unit = natural_unit(series) if unit is None else unit
        names = check_facts(path, unit, classes, test_share, repeats)
        if not 0 <= overlap <= 1:
            raise UserError(f"{path}: overlap {overlap}; give a share from 0 to 1")
        side = Side(any(one.split for one in series), test_share, seed)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        facts = Facts(uuid.uuid4().hex, created, unit, names, repeats, side, overlap)
        create_file(path, facts, cases_of(series, unit, side, {}))
        return cls(path, facts)

    @classmethod
    def open(cls, path: str | Path) -> LabelStore:
        """Raises UserError: absent, no store, of another version, on a network file system, damaged."""
        path = Path(path)
        refuse_network(path)
        with reading(path) as database:
            store = cls(path, read_facts(database))
        if (found := store.check()) != "ok":
            raise UserError(f"{path}: damaged ({found}); keep this file and restore a copy of it")
        return store

    def check(self) -> str:
        """What SQLite's integrity check says first: "ok" where nothing is wrong."""
        try:
            with reading(self.path) as database:
                return str(database.execute("PRAGMA integrity_check(1)").fetchone()[0])
        except UserError as error:
            return str(error).removeprefix(f"{self.path}: ")

    def cases(self) -> list[LabelCase]:
        """All cases, in the order in which they came."""
        with reading(self.path) as database:
            return read_cases(database)

    def grow(self, cohort: Cohort) -> int:
        """Take new rows of the cohort as cases; returns how many. Patients keep their side, new ones are drawn."""
        series = cohort.series()
        with writing(self.path, self.id) as database:
            known = {case.subject: case.test for case in read_cases(database)}
            return write_cases(database, cases_of(series, self.unit, self._side, known))

    def series_of(self, cohort: Cohort) -> dict[str, list[Series]]:
        """Case id -> its rows of the cohort, wherever the scans lie now; [] where they are gone."""
        rows = group_rows(cohort.series(), self.unit)
        return {case.id: rows.get(case.id, []) for case in self.cases()}

    def save(
        self, *, id: str, reader: str, kind: Kind, case: str, value: str = "", seconds: float | None = None,
        occasion: int = 0, why: str = "history", view: dict[str, Any] | None = None,
    ) -> Event:  # fmt: skip
        """Append an event; it is on the disk when this returns. A label or skip ends the reader's lease of the case.

        id: new for each save (uuid4 hex); the same id again returns the first event, so that a client may retry.
        Raises UserError, and saves nothing: unknown case, class, kind or reader name; an id used for something else;
        an undo of what is no standing event of this reader's and this case.
        """
        draft = Event(0, id, "", reader, kind, case, value, seconds, occasion, why, view or {})
        return self.save_all([draft])[0]

    def save_all(self, drafts: Sequence[Event]) -> list[Event]:
        """Append all of them or none; their seq and time are set by the store. Raises UserError as `save` does."""
        for draft in drafts:
            check_form(draft, self.classes)
        with writing(self.path, self.id) as database:
            return [append(database, replace(draft, time=self._now())) for draft in drafts]

    def events(self, *, reader: str | None = None, case: str | None = None, since: int = 0) -> list[Event]:
        """The log, in the order of saving: of one reader, of one case, later than event number `since`."""
        where: list[str] = ["seq > ?"]
        values: list[str | int] = [since]
        if reader is not None:
            where, values = [*where, "reader_key = ?"], [*values, reader_key(reader)]
        if case is not None:
            where, values = [*where, "case_id = ?"], [*values, case]
        with reading(self.path) as database:
            return read_events(database, " AND ".join(where), values)

    def labels(self, *, reader: str | None = None) -> list[Label]:
        """The labels that count now."""
        return labels_of(self.events(reader=reader))

    def readers(self) -> list[str]:
        """Names of all who have saved anything, by alphabet."""
        with reading(self.path) as database:
            return [name for (name,) in database.execute("SELECT DISTINCT reader FROM events ORDER BY reader_key")]

    def flagged(self) -> dict[str, list[str]]:
        """Case -> reasons of the flags that still stand."""
        return flags_of(self.events())

    def truth(self) -> dict[str, str]:
        """Case -> class: adjudicated, else where all readers' first reads agree."""
        return truth_of(self.events())

    def conflicts(self) -> list[str]:
        """Cases whose first reads differ and that nobody has adjudicated."""
        return conflicts_of(self.events())

    def lease(self, case: str, reader: str, seconds: float = 300.0) -> bool:
        """Reserve the case for a reader; False where another holds it. One's own is renewed."""
        if not (math.isfinite(seconds) and seconds > 0):
            raise UserError(f"lease of {seconds} seconds: give more than 0")
        with writing(self.path, self.id) as database:
            check_case(database, case)
            return leases.take(database, case, reader_name(reader), self.clock(), seconds)

    def release(self, case: str, reader: str) -> None:
        """End one's own lease; nothing where there is none."""
        with writing(self.path, self.id) as database:
            leases.give_back(database, case, reader)

    def leased(self) -> dict[str, str]:
        """Case -> reader, of leases that have not run out."""
        with reading(self.path) as database:
            return leases.held(database, self.clock())

    def add_ranking(self, ranking: Ranking) -> None:
        """Append a ranking. Raises UserError where it picks a test case, or speaks of an unknown case or class."""
        with writing(self.path, self.id) as database:
            check_ranking(ranking, {case.id: case for case in read_cases(database)}, self.classes)
            if database.execute("SELECT 1 FROM rankings WHERE id = ?", (ranking.id,)).fetchone():
                raise UserError(f"ranking {ranking.id}: is in the store already; give each ranking an id of its own")
            write_ranking(database, ranking)

    def ranking(self, id: str | None = None) -> Ranking | None:
        """The newest ranking, or the one of that id; None where there is none."""
        with reading(self.path) as database:
            return read_ranking(database, id)

    def rankings(self) -> list[tuple[str, str, int]]:
        """Id, time and number of labels of every ranking, oldest first."""
        with reading(self.path) as database:
            return list(database.execute("SELECT id, time, labels FROM rankings ORDER BY seq"))

    def for_reader(self, reader: str) -> ReaderView:
        """What this reader may see: own events, and a model's opinion of a case only once it is labelled."""
        from medudl.labels.reader import ReaderView

        return ReaderView(self, reader)

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds")
