"""Labels as CSV: out with a data dictionary, and in with a sentence on each line that was left out."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from medudl.data.cohort import Cohort, Series, write_whole
from medudl.data.index_draft import count
from medudl.data.spreadsheet import guarded
from medudl.errors import UserError
from medudl.labels.events import Event, LabelCase
from medudl.labels.intake import import_csv
from medudl.labels.standing import adjudicated, first_reads, flags_of, labels_of, standing, truth_of
from medudl.labels.store import LabelStore

__all__ = ["COLUMNS", "export_csv", "import_csv"]

DICTIONARY = "data_dictionary.csv"
_IDENTITY = {
    "path": ("where the scan lies, relative to the cohort's root", "", "text"),
    "subject": ("the patient, as in cohort.csv", "", "text"),
    "study": ("the study, as in cohort.csv", "", "text, empty where the cohort has none"),
    "series": ("the series, as in cohort.csv; those of a study parted by '; '", "", "text"),
    "case": ("what was labelled: a series or a study", "", "16 hexadecimal digits"),
}
_EVENT = {
    "reader": ("who", "", "name as first typed"),
    "occasion": ("0 is the first read, 1, 2 ... are silent repeats", "", "0 or more"),
    "time": ("when it was saved", "UTC", "ISO 8601"),
    "seconds": ("from the case being shown to the key", "s", "0 or more, empty where nobody knows"),
    "why": (
        "the kind of turn it was shown in", "",
        "cold_start, uncertain, diverse, test, repeat, history (edited later), import",
    ),
}  # fmt: skip
COLUMNS: dict[str, dict[str, tuple[str, str, str]]] = {
    "labels.csv": {
        **{name: _IDENTITY[name] for name in ("subject", "study", "series", "case")},
        "reader": _EVENT["reader"],
        "label": ("the reader's label that counts now", "", "{classes}"),
        **{name: _EVENT[name] for name in ("occasion", "time", "seconds", "why")},
        "test": ("whether the patient is of the random test set", "", "yes, no"),
        "flagged": ("reasons of all flags on the case that stand", "", "text, parted by '; '"),
        "adjudicated": ("what an adjudicator decided for the case", "", "{classes}, or empty"),
    },
    "consensus.csv": {
        **{name: _IDENTITY[name] for name in ("path", "subject", "study", "series", "case")},
        "label": ("adjudicated, else what all first reads agree on; other cases are left out", "", "{classes}"),
        "readers": ("how many have given a first read", "", "0 or more"),
        "adjudicated": ("whether an adjudicator has decided", "", "yes, no"),
        "test": ("whether the patient is of the random test set: keep it out of training", "", "yes, no"),
    },
    "events.csv": {
        "seq": ("place in the log", "", "1 or more"),
        "id": ("name of the event", "", "text"),
        "time": _EVENT["time"],
        "reader": _EVENT["reader"],
        "kind": ("what was done", "", "label, skip, flag, undo, adjudicate, mask, note"),
        **{name: _IDENTITY[name] for name in ("case", "subject", "study")},
        "value": ("class, reason, note, mask file, or id of the event taken back", "", "text"),
        **{name: _EVENT[name] for name in ("seconds", "occasion", "why")},
        "view": ("what was on the screen", "", "JSON"),
        "undone": ("whether it was taken back later", "", "yes, no"),
    },
}  # fmt: skip


def export_csv(store: LabelStore, cohort: Cohort, out_folder: str | Path) -> list[str]:
    """Write labels.csv, consensus.csv, events.csv and data_dictionary.csv; returns sentences on what is not in them.

    consensus.csv is what `medudl index --labels` takes: joined by path or series where series are labelled, by
    subject and study where studies are. Raises UserError: the folder cannot be written, or holds other tables of
    these names.
    """
    cases, events = {case.id: case for case in store.cases()}, store.events()
    rows = store.series_of(cohort)
    keys = _keys(store.unit, rows)
    headers = {
        "labels.csv": list(COLUMNS["labels.csv"]),
        "consensus.csv": [*keys, *_CONSENSUS],
        "events.csv": list(COLUMNS["events.csv"]),
        DICTIONARY: ["file", "column", "meaning", "unit", "values"],
    }
    lines: dict[str, Iterable[Sequence[object]]] = {
        "labels.csv": _labels(events, cases),
        "consensus.csv": _consensus(events, cases, rows, keys),
        "events.csv": _events(events, cases),
        DICTIONARY: _dictionary(headers, store.classes),
    }
    _write(Path(out_folder), headers, lines)
    return _not_told(events, rows)


_CONSENSUS = ("case", "label", "readers", "adjudicated", "test")


def _keys(unit: str, rows: Mapping[str, Sequence[Series]]) -> list[str]:
    """What `medudl index --labels` joins by: the first of path, series, subject and study that is there.

    Beside a path it would take subject and study over as well: with another key's pseudonyms, a patient whose scans are
    not all labelled would become two.
    """
    if unit == "study":
        return ["subject", "study"]
    shared = Counter(path for group in rows.values() for path in {row.path for row in group})
    if max(shared.values(), default=1) == 1:
        return ["path", "series"]
    return ["series"]  # several series in one folder of DICOM files


def _labels(events: Sequence[Event], cases: Mapping[str, LabelCase]) -> Iterable[Sequence[object]]:
    flags, settled = flags_of(events), adjudicated(events)
    for one in labels_of(events):
        case = cases[one.case]
        series = "; ".join(dict.fromkeys(key.partition("|")[0] for key in case.series))
        yield (case.subject, case.study, series, case.id, one.reader, one.value, one.occasion, one.time,
               _number(one.seconds), one.why, _yes(case.test), "; ".join(flags.get(case.id, [])),
               settled.get(case.id, ""))  # fmt: skip


def _consensus(
    events: Sequence[Event], cases: Mapping[str, LabelCase], rows: Mapping[str, Sequence[Series]], keys: Sequence[str]
) -> Iterable[Sequence[object]]:
    reads, settled = first_reads(labels_of(events)), adjudicated(events)
    truth = truth_of(events)
    for id in (id for id in cases if id in truth):
        told = (id, truth[id], len(reads.get(id, {})), _yes(id in settled), _yes(cases[id].test))
        for identity in dict.fromkeys(tuple(str(getattr(row, key)) for key in keys) for row in rows[id]):
            yield (*identity, *told)


def _events(events: Sequence[Event], cases: Mapping[str, LabelCase]) -> Iterable[Sequence[object]]:
    counts = {event.id for event in standing(events)}
    for e in events:
        case = cases[e.case]
        yield (e.seq, e.id, e.time, e.reader, e.kind, e.case, case.subject, case.study, e.value, _number(e.seconds),
               e.occasion, e.why, json.dumps(e.view), _yes(e.kind != "undo" and e.id not in counts))  # fmt: skip


def _dictionary(headers: Mapping[str, Sequence[str]], classes: Sequence[str]) -> Iterable[Sequence[object]]:
    for file, names in headers.items():
        for name in names if file != DICTIONARY else ():
            *told, values = COLUMNS[file][name]
            yield (file, name, *told, values.replace("{classes}", ", ".join(classes)))


def _write(out: Path, headers: Mapping[str, Sequence[str]], lines: Mapping[str, Iterable[Sequence[object]]]) -> None:
    there = [name for name in headers if (out / name).exists()]
    if there and DICTIONARY not in there:
        raise UserError(f"{out / there[0]}: is there already and not from an export of labels; give another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, columns in headers.items():
            stream = io.StringIO()
            rows = ([guarded(cell) for cell in row] for row in (columns, *lines[name]))
            csv.writer(stream, lineterminator="\n").writerows(rows)
            write_whole(out / name, stream.getvalue())
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); give another folder") from None


def _not_told(events: Sequence[Event], rows: Mapping[str, Sequence[Series]]) -> list[str]:
    sentences, truth = [], truth_of(events)
    seen: dict[str, set[str]] = defaultdict(set)
    for label in labels_of(events):
        seen[label.case].add(label.reader)
    if open_cases := [case for case in seen if case not in truth]:
        sentences.append(f"{count(len(open_cases), 'labelled case')} not in consensus.csv: readers differ; adjudicate")
    if gone := [case for case in truth if not rows[case]]:
        sentences.append(f"{count(len(gone), 'labelled case')} not in consensus.csv: no scan in the cohort any more")
    return sentences


def _number(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.6g}"


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"
