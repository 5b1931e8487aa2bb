"""Labels, splits and further facts from the user's own table, joined by path, series, study or subject."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medudl.data.cohort import read_csv, split_fragment
from medudl.data.identity import Key, safe_name
from medudl.data.index_draft import Draft, count
from medudl.data.splits import split_name
from medudl.data.spreadsheet import plain_frame
from medudl.errors import UserError

VALUES = ("label", "split", "contrast", "modality", "age", "sex", "scanner")
_IDENTITY = ("subject", "study")  # taken as values where the table is joined by path or series
_SHOWN = 10


@dataclass(frozen=True)
class Table:
    """The user's table. key: the columns it is joined by; values: the columns that are taken over."""

    path: Path
    frame: pd.DataFrame
    key: tuple[str, ...]
    values: tuple[str, ...]


def read_table(path: str | Path, only: Sequence[str] = VALUES) -> Table:
    """Read a CSV or TSV, an export of labels too.

    Joined by the first of path, series, subject + study, subject that it has as columns. Raises UserError: absent, none
    of these columns, or no column to take over.
    """
    path = Path(path)
    frame = plain_frame(read_csv(path)).rename(columns=lambda name: str(name).strip())
    if "subject" not in frame:
        frame = frame.rename(columns={"participant_id": "subject"})
    keys: tuple[tuple[str, ...], ...] = (("path",), ("series",), ("subject", "study"), ("subject",))
    key = next((names for names in keys if set(names) <= set(frame)), None)
    if key is None:
        raise UserError(f"{path}: has no column path, series or subject to join by; rename the one that holds it")
    wanted = (*only, *(_IDENTITY if key[0] in ("path", "series") else ()))
    values = tuple(name for name in wanted if name in frame and name not in key)
    if not set(values) & set(only):
        raise UserError(f"{path}: has none of the columns {', '.join(only)}; rename the one that holds it")
    return Table(path, frame, key, values)


def join(table: Table, drafts: Sequence[Draft], key: Key) -> list[str]:
    """Take the table's values over into `drafts`; returns sentences that name its lines without any series.

    Identifiers match as they are, as safe names, without "sub-", or, for DICOM, by their pseudonym: a table may hold
    real PatientIDs and UIDs, which are compared in memory only. Raises UserError: nothing matches, two lines with the
    same identifier disagree, or a split that is none.
    """
    find = _finder(table.key, drafts, key)
    unmatched = []
    given: dict[int, tuple[int, tuple[str, ...]]] = {}
    lines = table.frame[[*table.key, *table.values]].to_numpy(dtype=str).tolist()
    for number, cells in enumerate(lines, start=2):
        names = [cell.strip() for cell in cells[: len(table.key)]]
        values = tuple(cell.strip() for cell in cells[len(table.key) :])
        rows = find(names)
        if not rows:
            unmatched.append((number, names))
        for row in rows:
            if given.setdefault(row, (number, values))[1] != values:
                raise UserError(f"{table.path}: lines {given[row][0]} and {number} are about one scan, but disagree")
    if not given:
        raise UserError(
            f"{table.path}: none of its {len(lines)} lines fits a scan by {' and '.join(table.key)}; "
            "compare them with the column in cohort.csv"
        )
    for row, (number, values) in given.items():
        _take(drafts[row], dict(zip(table.values, values, strict=True)), f"{table.path} line {number}")
    return _tell(table, unmatched, secret=any(draft.format == "dicom" for draft in drafts))


def _finder(columns: tuple[str, ...], drafts: Sequence[Draft], key: Key) -> Callable[[Sequence[str]], set[int]]:
    """From a line's identifiers to the drafts it is about."""
    if columns == ("path",):
        paths = _index_paths(drafts)
        return lambda names: _rows_at(names[0], paths)
    ids = _index_ids(drafts, columns)
    return lambda names: {row for form in _forms(names, columns, key) for row in ids.get(form, ())}


def _take(draft: Draft, values: dict[str, str], where: str) -> None:
    for name, value in values.items():
        if not value:
            continue
        try:
            draft.values[name] = split_name(value) if name == "split" else _clean(name, value)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if name == "contrast":
            draft.rule = where.rpartition(" line ")[0]


def _clean(name: str, value: str) -> str:
    if name in _IDENTITY:
        return safe_name(value)
    return " ".join(value.split())


def _forms(names: Sequence[str], columns: Sequence[str], key: Key) -> Iterable[tuple[str, ...]]:
    """The ways in which a line's identifiers may stand in a cohort."""
    ways: tuple[Callable[[str, str], str], ...] = (
        lambda name, _: name,
        lambda name, _: safe_name(name),
        lambda name, column: name.removeprefix("sub-").removeprefix("ses-"),
        lambda name, column: key.pseudonym(name, column),
    )
    return {tuple(way(name, column) for name, column in zip(names, columns, strict=True)) for way in ways}


def _index_ids(drafts: Sequence[Draft], columns: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, draft in enumerate(drafts):
        places[tuple(draft.values.get(column, "") for column in columns)].append(i)
    return places


def _index_paths(drafts: Sequence[Draft]) -> dict[str, list[tuple[str, int]]]:
    """Last part of a path -> (whole path, draft): of the file, of each DICOM file, and of the folder of a series."""
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for i, draft in enumerate(drafts):
        for file in {*draft.files, draft.place}:
            whole = file.absolute().as_posix() + (f"#{draft.fragment}" if draft.fragment else "")
            places[file.name].append((whole, i))
    return places


def _rows_at(path: str, places: dict[str, list[tuple[str, int]]]) -> set[int]:
    """Drafts whose path ends in `path`, whole names at a time; none where it fits several different paths."""
    tail = "/" + path.replace("\\", "/").removeprefix("./").strip("/")
    name = split_fragment(tail)[0].rpartition("/")[2]
    fits = [(whole, row) for whole, row in places.get(name, ()) if whole.endswith(tail)]
    return {row for _, row in fits} if len({whole for whole, _ in fits}) == 1 else set()


def _tell(table: Table, unmatched: Sequence[tuple[int, list[str]]], *, secret: bool) -> list[str]:
    """Lines that fit nothing: by number, and by name unless names may be those of real patients."""
    if not unmatched:
        return []
    told = [f"line {number}" if secret else " ".join(names) for number, names in unmatched[:_SHOWN]]
    rest = f" and {len(unmatched) - _SHOWN} more" if len(unmatched) > _SHOWN else ""
    lines = count(len(unmatched), "of its lines fits", "of its lines fit")
    return [f"{table.path}: {lines} no scan: {', '.join(told)}{rest}"]
