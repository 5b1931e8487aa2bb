"""Appending to the log: what is checked against all that is in it already."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from medudl.errors import UserError
from medudl.labels import leases
from medudl.labels.events import Event, reader_key, reader_name, same_save
from medudl.labels.rows import read_events, write_event
from medudl.labels.standing import standing


def append(database: sqlite3.Connection, draft: Event) -> Event:
    """Append `draft`, whose form has been checked; returns it with its place and the reader's first spelling.

    An id that is there already is a retry: its first event is returned. A label or skip ends the reader's lease.
    """
    name, key = reader_name(draft.reader), reader_key(draft.reader)
    for first in read_events(database, "id = ?", (draft.id,)):
        if not same_save(first, draft):
            raise UserError(f"event id {draft.id}: names another event already; give each save an id of its own")
        return first
    check_case(database, draft.case)
    if draft.kind == "undo":
        _check_undo(read_events(database, "reader_key = ? AND case_id = ?", (key, draft.case)), draft.value)
    if draft.kind in ("label", "skip"):
        leases.give_back(database, draft.case, name)
    known = database.execute("SELECT reader FROM events WHERE reader_key = ? LIMIT 1", (key,)).fetchone()
    return write_event(database, replace(draft, reader=known[0] if known else name), key)


def check_case(database: sqlite3.Connection, case: str) -> None:
    """Raise UserError where the store has no such case."""
    if not database.execute("SELECT 1 FROM cases WHERE id = ?", (case,)).fetchone():
        raise UserError(f"case {case[:70]!r}: no case of this store; grow the store if its cohort has grown")


def _check_undo(own: Sequence[Event], value: str) -> None:
    """The same sentence whatever is wrong: it must not tell that another reader's event exists."""
    if value not in {event.id for event in standing(own)}:
        raise UserError(f"undo of {value[:70]!r}: no event of yours on this case that still counts; see your history")
