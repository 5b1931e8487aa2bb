"""Connections to the file of a label store: durable, one writer at a time, errors as sentences."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from medudl.errors import UserError
from medudl.labels.schema import APPLICATION, VERSION

try:
    import fcntl
except ImportError:  # Windows: SQLite's own waiting is enough, only less even
    fcntl = None  # type: ignore[assignment]

PATIENCE = 10.0  # seconds that a save waits for others
_FULL = 2  # PRAGMA synchronous=FULL, as it is read back


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A view of the store that stays the same while it is open. Raises UserError."""
    with faults_told(path), closing(_connect(_present(path))) as database:
        database.execute("BEGIN")
        yield database


@contextmanager
def writing(path: Path, store: str) -> Iterator[sqlite3.Connection]:
    """A change of the store with that id: on the disk when the block ends, undone where it raises. Raises UserError."""
    # Connected before its turn and closed after it: the last connection to close takes time, it empties the log.
    with faults_told(path), closing(_connect(_present(path))) as database:
        if database.execute("SELECT value FROM facts WHERE name = 'id'").fetchone()[0] != json.dumps(store):
            raise UserError(f"{path}: another store lies there now; nothing was saved: open it anew")
        with _turn(path):
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")


def _present(path: Path) -> Path:
    if path.is_dir():
        raise UserError(f"{path}: a folder; give the file of labels in it, such as {path / 'labels.sqlite'}")
    if not path.is_file():
        raise UserError(f"{path}: no such label store; make one with `medudl label {path.name} start COHORT`")
    return path


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        _recognise(path, database)
        database.execute("PRAGMA foreign_keys=ON")
        _durable(path, database)
    except BaseException:
        database.close()
        raise
    return database


def _recognise(path: Path, database: sqlite3.Connection) -> None:
    kind, version = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if kind != APPLICATION:
        raise UserError(f"{path}: not a label store of medudl; give a labels.sqlite that `medudl label` has made")
    if version != VERSION:
        raise UserError(
            f"{path}: a label store of version {version}, this medudl reads version {VERSION}; install the medudl that"
            " made it"
        )


def _durable(path: Path, database: sqlite3.Connection) -> None:
    """A commit returns once its log has reached the disk: asked for, and read back."""
    database.execute("PRAGMA synchronous=FULL")
    mode = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal" or database.execute("PRAGMA synchronous").fetchone()[0] != _FULL:
        raise UserError(f"{path}: SQLite cannot keep labels safe here (journal {mode}); move the store to a local disk")


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Writers come one after the other.

    The lock is on the folder: another handle on the file itself would drop SQLite's own locks when it is closed. SQLite
    alone would do, but its waiting grows to 100 ms a try, which the last of eight writers feels.
    """
    if fcntl is None:
        yield
        return
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        began = time.monotonic()
        while not _locked(folder):
            waited = time.monotonic() - began
            if waited > PATIENCE:
                raise UserError(f"{path}: {_BUSY}")
            # Who has waited longest asks most often, and so comes first.
            time.sleep(max(0.004 * math.exp(-waited / 0.02), 0.0001))
        yield
    finally:
        os.close(folder)


def _locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_BUSY = "another program has kept it locked for 10 seconds; nothing was saved: close that program and save again"
_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk is full; nothing was saved: make room and save again",
    sqlite3.SQLITE_READONLY: "cannot be written; nothing was saved: make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; make the file and its folder writable, or copy both elsewhere",
    sqlite3.SQLITE_PERM: "cannot be opened; make the file and its folder writable",
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_IOERR: "the disk reports an error; nothing was saved: check the disk, then save again",
    sqlite3.SQLITE_CORRUPT: "damaged; keep this file and restore a copy of it",
    sqlite3.SQLITE_NOTADB: "not a label store of medudl, or damaged; restore a copy of it",
}


@contextmanager
def faults_told(path: Path) -> Iterator[None]:
    """Faults of the disk and of the file as UserError; faults of our own pass through."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file or folder; was it moved or removed?") from None
    except sqlite3.Error as error:
        sentence = _SENTENCES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if sentence is None:
            raise
        raise UserError(f"{path}: {sentence}") from None
    except PermissionError:
        raise UserError(f"{path}: {_SENTENCES[sqlite3.SQLITE_PERM]}") from None
