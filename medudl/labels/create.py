"""A new store: whole at its place, or nothing at all."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from medudl.errors import UserError
from medudl.labels.cases import Side
from medudl.labels.connection import faults_told
from medudl.labels.events import LabelCase
from medudl.labels.filesystem import refuse_network
from medudl.labels.rows import write_cases
from medudl.labels.schema import SCRIPT

MOST_CLASSES = 9  # one key each


@dataclass(frozen=True)
class Facts:
    """What is fixed when a store is made."""

    id: str
    created: str
    unit: str
    classes: list[str]
    repeats: float
    side: Side
    overlap: float = 1.0  # as in stores that were made before there was a choice

    def rows(self) -> list[tuple[str, str]]:
        """Name and JSON of each."""
        plain = {**vars(self), "side": vars(self.side)}
        return [(name, json.dumps(value, ensure_ascii=False)) for name, value in plain.items()]


def read_facts(database: sqlite3.Connection) -> Facts:
    """Facts of an open store."""
    plain = {name: json.loads(value) for name, value in database.execute("SELECT name, value FROM facts")}
    return Facts(**{**plain, "side": Side(**plain["side"])})


def class_names(text: str) -> list[str]:
    """Of "normal, sick": names parted by commas. One that has a comma itself stands in double quotes."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]


def check_facts(path: Path, unit: str, classes: Sequence[str], test_share: float, repeats: float) -> list[str]:
    """The classes with single spaces. Raises UserError: fewer than 2 classes, more than 9, one twice, a share amiss."""
    names = [" ".join(name.split()) for name in classes]
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UserError(f"{path}: {len(names)} classes; give 2 to {MOST_CLASSES}, such as normal,sick (one key each)")
    if "" in names or len({name.casefold() for name in names}) < len(names):
        raise UserError(f"{path}: classes {', '.join(names)}: one is empty or there twice; give each its own name")
    if unit not in ("series", "study"):
        raise UserError(f"{path}: unit {unit!r}; label by series or by study")
    for name, share in (("test share", test_share), ("repeats", repeats)):
        if not 0 <= share < 1:
            raise UserError(f"{path}: {name} {share}; give a share from 0 to less than 1, such as 0.2")
    return names


def create_file(path: Path, facts: Facts, cases: Sequence[LabelCase]) -> None:
    """Write the store. Raises UserError: exists, no cases, network file system, no room, no such folder."""
    if not cases:
        raise UserError(f"{path}: the cohort has no usable scan to label; see its column `problems`")
    refuse_network(path)
    if path.exists():
        raise _exists(path)
    if not path.parent.is_dir():
        raise UserError(f"{path}: its folder does not exist; make it first")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with faults_told(path):
            _fill(draft, facts, cases)
            _put(draft, path)
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            draft.with_name(draft.name + end).unlink(missing_ok=True)


def _exists(path: Path) -> UserError:
    return UserError(
        f"{path}: exists; give another name, or take new scans into that store with `medudl label {path.name} grow`"
    )


def _fill(draft: Path, facts: Facts, cases: Sequence[LabelCase]) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=FULL")
        database.executescript("BEGIN;" + SCRIPT)
        database.executemany("INSERT INTO facts VALUES (?, ?)", facts.rows())
        write_cases(database, cases)
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode=WAL")


def _put(draft: Path, path: Path) -> None:
    """A link, unlike a rename, never replaces a store that somebody else has just made."""
    try:
        try:
            os.link(draft, path)
        except PermissionError:  # a file system without hard links: claim the name, then move over it
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            os.replace(draft, path)
    except FileExistsError:
        raise _exists(path) from None
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
