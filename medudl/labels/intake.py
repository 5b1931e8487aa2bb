"""Labels from a CSV into a store: each line finds its cases, or is left out with a sentence."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from medudl.data.cohort import Cohort, read_csv
from medudl.data.identity import safe_name
from medudl.data.spreadsheet import plain_frame
from medudl.errors import UserError
from medudl.labels.events import Event, reader_key
from medudl.labels.store import LabelStore

_NAMES = ("case", "path", "subject", "study", "series")
_Line = tuple[int, dict[str, str]]


def import_csv(store: LabelStore, cohort: Cohort, file: str | Path, reader: str) -> tuple[int, list[str]]:
    """Take the labels of a CSV or TSV as first reads of `reader`; returns how many, and a sentence a line left out.

    Columns: label, and any of case, path, subject, study, series. A line is about every case that fits all that it
    gives; the id of a case alone is enough. Lines with another name in a column `reader`, or a repeat in `occasion`,
    are left out, and so is what the reader has labelled already: an import never changes a label. All is saved in
    one go, or nothing. Raises UserError: absent, no such columns, nothing fits.
    """
    file, own = Path(file), reader_key(reader)
    lines = _read(file)
    find, classes = _Finder(store, cohort), {name.casefold(): name for name in store.classes}
    said: dict[str, list[tuple[int, str]]] = defaultdict(list)
    out: dict[int, str] = {}
    for number, cells in lines:
        label = classes.get(" ".join(cells["label"].split()).casefold(), "")
        cases = find.cases(cells)
        if cells.get("reader") and " ".join(cells["reader"].split()).casefold() != own:
            out[number] = "is another reader's"
        elif cells.get("occasion", "") not in ("", "0"):
            out[number] = "is a repeated read"
        elif not label:
            out[number] = "has a label that is no class of this store" if cells["label"].strip() else "has no label"
        elif not cases:
            out[number] = "fits no case"
        for case in cases if number not in out else ():
            said[case].append((number, label))
    has = {label.case: label.value for label in store.labels(reader=reader) if label.occasion == 0}
    taken = _settle(said, has, out)
    if not said:
        raise UserError(f"{file}: none of its {len(lines)} lines is taken: {_first(out)}")
    store.save_all([
        Event(0, uuid.uuid4().hex, "", reader, "label", case, value, None, 0, "import", {"file": file.name})
        for case, value in taken.items()
    ])  # fmt: skip
    return len(taken), [f"{file}: line {number} {why}" for number, why in sorted(out.items())]


def _settle(
    said: Mapping[str, Sequence[tuple[int, str]]], has: Mapping[str, str], out: dict[int, str]
) -> dict[str, str]:
    """Case -> label to save. Why a line is not taken goes into `out`."""
    taken = {}
    for case, lines in said.items():
        other = next((line for line in lines if line[1] != lines[0][1]), None)
        if other is not None:
            out |= {n: f"disagrees with line {lines[0][0] if label != lines[0][1] else other[0]}" for n, label in lines}
        elif case in has:
            why = (
                "is in the store already"
                if has[case] == lines[0][1]
                else f"has been labelled {has[case]} already; edit it there"
            )
            out |= {number: why for number, _ in lines}
        else:
            taken[case] = lines[0][1]
    return taken


def _read(file: Path) -> list[_Line]:
    table = plain_frame(read_csv(file)).rename(columns=lambda name: str(name).strip())
    if "subject" not in table:
        table = table.rename(columns={"participant_id": "subject"})
    if "label" not in table:
        raise UserError(f"{file}: has no column label; rename the one that holds it")
    if not set(_NAMES) & set(table):
        raise UserError(f"{file}: has none of the columns {', '.join(_NAMES)}; rename the one that names the scans")
    names = [name for name in (*_NAMES, "label", "reader", "occasion") if name in table]
    cells = table[names].to_numpy(dtype=str).tolist()
    return [(n, dict(zip(names, values, strict=True))) for n, values in enumerate(cells, start=2)]


def _first(out: Mapping[int, str]) -> str:
    number = min(out, default=0)
    return f"line {number} {out[number]}; compare it with cohort.csv" if out else "it has no lines"


class _Finder:
    """From what a line tells to the cases it is about."""

    def __init__(self, store: LabelStore, cohort: Cohort) -> None:
        self._order = [case.id for case in store.cases()]
        self._by: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._paths: dict[str, list[tuple[str, str]]] = defaultdict(list)  # last name -> (whole path, case)
        for case in store.cases():
            self._by["case", case.id].add(case.id)
            self._by["subject", case.subject].add(case.id)
            self._by["study", case.study].add(case.id)
        for id, rows in store.series_of(cohort).items():
            for row in rows:
                self._by["series", row.series].add(id)
                whole = (cohort.root / row.path).absolute().as_posix()
                self._paths[whole.rpartition("/")[2]].append((whole, id))

    def cases(self, cells: Mapping[str, str]) -> list[str]:
        """In the store's order; [] where the line names nothing."""
        given = {name: cells[name].strip() for name in _NAMES if cells.get(name, "").strip()}
        if "case" in given:
            given = {"case": given["case"]}
        fits = [self._at(text) if name == "path" else self._fits(name, text) for name, text in given.items()]
        found = set.intersection(*fits) if fits else set()
        return [id for id in self._order if id in found]

    def _fits(self, name: str, text: str) -> set[str]:
        forms = {text, safe_name(text), text.removeprefix("sub-").removeprefix("ses-")}
        return {id for form in forms for id in self._by.get((name, form), ())}

    def _at(self, path: str) -> set[str]:
        """Cases at the one path that ends so, whole names at a time; none where several do."""
        tail = "/" + path.replace("\\", "/").removeprefix("./").strip("/")
        fits = [(whole, id) for whole, id in self._paths.get(tail.rpartition("/")[2], ()) if whole.endswith(tail)]
        return {id for _, id in fits} if len({whole for whole, _ in fits}) == 1 else set()
