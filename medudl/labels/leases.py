"""Leases: a case on one reader's screen is not given to another. They run out, so that a closed browser frees them."""

from __future__ import annotations

import sqlite3

from medudl.labels.events import reader_key


def take(database: sqlite3.Connection, case: str, reader: str, now: float, seconds: float) -> bool:
    """Give `case` to the reader until `now + seconds`; False where another reader holds it."""
    key = reader_key(reader)
    held = database.execute("SELECT reader_key, until FROM leases WHERE case_id = ?", (case,)).fetchone()
    if held is not None and held[0] != key and held[1] > now:
        return False
    database.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (case, reader, key, now + seconds))
    return True


def give_back(database: sqlite3.Connection, case: str, reader: str) -> None:
    """End the reader's own lease of `case`; nothing where there is none."""
    database.execute("DELETE FROM leases WHERE case_id = ? AND reader_key = ?", (case, reader_key(reader)))


def held(database: sqlite3.Connection, now: float) -> dict[str, str]:
    """Case -> reader, of leases that have not run out."""
    return dict(database.execute("SELECT case_id, reader FROM leases WHERE until > ? ORDER BY case_id", (now,)))
