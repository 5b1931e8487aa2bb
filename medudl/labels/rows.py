"""Between the store's tables and its dataclasses."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from medudl.labels.events import Event, LabelCase, Picked, Ranking

_EVENT = "seq, id, time, reader, kind, case_id, value, seconds, occasion, why, view"
_FIELDS = tuple(field.name for field in fields(Event))


def read_cases(database: sqlite3.Connection) -> list[LabelCase]:
    """All cases, in the order in which they came."""
    keys: dict[str, list[str]] = {}
    for case, key in database.execute("SELECT case_id, key FROM case_rows ORDER BY place"):
        keys.setdefault(case, []).append(key)
    found = database.execute("SELECT id, subject, study, test FROM cases ORDER BY place")
    return [LabelCase(id, subject, study, tuple(keys[id]), bool(test)) for id, subject, study, test in found]


def write_cases(database: sqlite3.Connection, cases: Iterable[LabelCase]) -> int:
    """Add the cases and rows that are new; returns the number of new cases."""
    known = {case.id: set(case.series) for case in read_cases(database)}
    fresh = [case for case in cases if case.id not in known]
    database.executemany(
        "INSERT INTO cases (id, subject, study, test) VALUES (?, ?, ?, ?)",
        [(case.id, case.subject, case.study, int(case.test)) for case in fresh],
    )
    rows = [(case.id, key) for case in cases for key in case.series if key not in known.get(case.id, ())]
    database.executemany("INSERT INTO case_rows (case_id, key) VALUES (?, ?)", rows)
    return len(fresh)


def read_events(database: sqlite3.Connection, where: str = "1", values: Iterable[Any] = ()) -> list[Event]:
    """The events of an SQL condition, in the order of saving."""
    found = database.execute(f"SELECT {_EVENT} FROM events WHERE {where} ORDER BY seq", tuple(values))
    return [Event(**{**dict(zip(_FIELDS, row, strict=True)), "view": json.loads(row[-1])}) for row in found]


def write_event(database: sqlite3.Connection, event: Event, key: str) -> Event:
    """Append it; returns it with its place in the log."""
    cursor = database.execute(
        "INSERT INTO events (id, time, reader, reader_key, kind, case_id, value, seconds, occasion, why, view)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (event.id, event.time, event.reader, key, event.kind, event.case, event.value, event.seconds, event.occasion,
         event.why, json.dumps(event.view)),
    )  # fmt: skip
    return Event(**{**vars(event), "seq": cursor.lastrowid})


def read_ranking(database: sqlite3.Connection, id: str | None = None) -> Ranking | None:
    """The newest ranking, or the one of that id."""
    row = database.execute(
        "SELECT id, time, run, labels, picked, opinions, changed FROM rankings WHERE ? IS NULL OR id = ?"
        " ORDER BY seq DESC LIMIT 1",
        (id, id),
    ).fetchone()
    if row is None:
        return None
    id, time, run, labels, picked, opinions, changed = row
    return Ranking(id, time, run, labels, [Picked(*one) for one in json.loads(picked)], json.loads(opinions), changed)


def write_ranking(database: sqlite3.Connection, ranking: Ranking) -> None:
    """Append it."""
    picked = [(one.case, one.kind, one.why) for one in ranking.order]
    database.execute(
        "INSERT INTO rankings (id, time, run, labels, picked, opinions, changed) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (ranking.id, ranking.time, ranking.run, ranking.labels, json.dumps(picked), json.dumps(ranking.opinions),
         ranking.changed),
    )  # fmt: skip
