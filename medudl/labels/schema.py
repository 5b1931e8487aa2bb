"""The tables of a label store. What a reader has said can be added to and read, never changed or removed."""

from __future__ import annotations

APPLICATION = 0x6D656C62  # "melb" in the file's header: a label store, whatever it is called
VERSION = 1

_APPEND_ONLY = """
CREATE TRIGGER {table}_update BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{table}: append-only'); END;
CREATE TRIGGER {table}_delete BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{table}: append-only'); END;
"""

# INSERT OR REPLACE removes the old row without a delete trigger, so each insert looks for it.
_NO_REPLACE = """
CREATE TRIGGER {table}_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(ABORT, '{table}: append-only'); END;
"""

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE cases (
  place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL, study TEXT NOT NULL,
  test INTEGER NOT NULL CHECK (test IN (0, 1))
) STRICT;
CREATE TABLE case_rows (
  place INTEGER PRIMARY KEY, case_id TEXT NOT NULL REFERENCES cases (id), key TEXT NOT NULL, UNIQUE (case_id, key)
) STRICT;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, time TEXT NOT NULL, reader TEXT NOT NULL,
  reader_key TEXT NOT NULL, kind TEXT NOT NULL, case_id TEXT NOT NULL REFERENCES cases (id), value TEXT NOT NULL,
  seconds REAL, occasion INTEGER NOT NULL CHECK (occasion >= 0), why TEXT NOT NULL, view TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_reader ON events (reader_key, seq);
CREATE INDEX events_by_case ON events (case_id, seq);
CREATE UNIQUE INDEX events_undone_once ON events (value) WHERE kind = 'undo';
CREATE TABLE rankings (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, time TEXT NOT NULL, run TEXT NOT NULL,
  labels INTEGER NOT NULL, picked TEXT NOT NULL, opinions TEXT NOT NULL, changed REAL
) STRICT;
CREATE TABLE leases (case_id TEXT PRIMARY KEY REFERENCES cases (id), reader TEXT NOT NULL, reader_key TEXT NOT NULL,
  until REAL NOT NULL) STRICT;
"""

_SAME = {
    "facts": "name = NEW.name",
    "cases": "id = NEW.id OR place = NEW.place",
    "case_rows": "place = NEW.place",
    "events": "id = NEW.id OR seq = NEW.seq",
    "rankings": "id = NEW.id OR seq = NEW.seq",
}

SCRIPT = (
    _TABLES
    + "".join(_APPEND_ONLY.format(table=table) + _NO_REPLACE.format(table=table, same=s) for table, s in _SAME.items())
    + f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
)
