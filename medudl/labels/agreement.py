"""Do the readers agree: with each other, with themselves, how fast, and where somebody must decide."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from medudl.data.spreadsheet import guarded
from medudl.labels.agreement_words import ALL, TEST, text
from medudl.labels.events import Label, LabelCase
from medudl.labels.kappa import Weights, class_agreement, cohen_kappa, fleiss_kappa, percent_agreement
from medudl.labels.standing import adjudicated, first_reads, labels_of
from medudl.labels.store import LabelStore
from medudl.metrics.intervals import Estimate

__all__ = ["PAUSE", "adjudication", "adjudication_csv", "cohen_kappa", "fleiss_kappa", "intra_reader", "pace", "report",
           "text"]  # fmt: skip

PAUSE = 300.0  # seconds; a label that took longer was interrupted, and tells nothing of the pace

Reads = Mapping[str, Mapping[str, str]]  # case -> {reader: class}


@dataclass(frozen=True)
class Disputed:
    """A case whose first reads differ. said: reader -> class. decided: by adjudication, None before."""

    case: str
    subject: str
    study: str
    said: dict[str, str]
    decided: str | None


def report(store: LabelStore, *, ordered: bool = False) -> dict[str, Any]:
    """All on the agreement of a store's readers, JSON-able (no NaN: null where a figure cannot be had).

    Agreement is on first reads, once on the cases of the random test set and once on all that two readers have read:
    those that a model picked are the hard ones, so that only the first speaks of cases as they come. Intervals are
    bootstraps over patients. ordered: the classes are in order (none, mild, severe), so that Cohen's kappa is given
    with linear and quadratic weights too.
    """
    events, cases = store.events(), {case.id: case for case in store.cases()}
    labels = labels_of(events)
    reads = first_reads(labels)
    tested = {id: said for id, said in reads.items() if cases[id].test}
    return {
        "classes": list(store.classes),
        "readers": sorted({label.reader for label in labels}, key=str.casefold),
        "labels": sum(label.occasion == 0 for label in labels),
        "cases": len(reads),
        "between": {
            name: _between(found, cases, store.classes, ordered) for name, found in ((TEST, tested), (ALL, reads))
        },
        "within": intra_reader(labels, cases, store.classes),
        "pace": pace(labels),
        "adjudication": [asdict(one) for one in adjudication(store)],
    }


def adjudication(store: LabelStore) -> list[Disputed]:
    """Cases whose first reads differ, open ones first; `store.save(kind="adjudicate", value=CLASS)` decides one."""
    events, cases = store.events(), {case.id: case for case in store.cases()}
    decided = adjudicated(events)
    found = [
        Disputed(id, cases[id].subject, cases[id].study, dict(said), decided.get(id))
        for id, said in first_reads(labels_of(events)).items()
        if len(set(said.values())) > 1
    ]
    return sorted(found, key=lambda one: one.decided is not None)


def adjudication_csv(found: Mapping[str, Any]) -> str:
    """The disputed cases of a `report` as CSV: case, subject, study, a column a reader, decided."""
    readers = sorted({reader for one in found["adjudication"] for reader in one["said"]}, key=str.casefold)
    rows = [["case", "subject", "study", *readers, "decided"]]
    for one in found["adjudication"]:
        said = [one["said"].get(reader, "") for reader in readers]
        rows.append([one["case"], one["subject"], one["study"], *said, one["decided"] or ""])
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([guarded(cell) for cell in row] for row in rows)
    return stream.getvalue()


def intra_reader(
    labels: Sequence[Label], cases: Mapping[str, LabelCase], classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Reader -> Cohen's kappa and agreement of first reads with their silent repeats; no entry without any."""
    said = {(label.reader, label.case, label.occasion): label.value for label in labels}
    pairs: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for (reader, case, occasion), value in said.items():
        if occasion == 1 and (reader, case, 0) in said:
            pairs[reader].append((said[reader, case, 0], value, cases[case].subject))
    return {reader: _pair(found, classes, False) for reader, found in sorted(pairs.items())}


def pace(labels: Sequence[Label]) -> dict[str, dict[str, Any]]:
    """Reader -> minutes a label: median and quartiles of those of at most PAUSE seconds; how many took longer.

    timed: labels with a time; those that were imported have none.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    for label in labels:
        seconds[label.reader] += [] if label.seconds is None else [label.seconds]
    return {
        reader: _pace(np.array(found)) for reader, found in sorted(seconds.items(), key=lambda one: one[0].casefold())
    }


def _pace(seconds: Any) -> dict[str, Any]:
    kept = seconds[seconds <= PAUSE] / 60
    low, middle, high = np.quantile(kept, [0.25, 0.5, 0.75]).tolist() if len(kept) else (None, None, None)
    return {
        "timed": len(seconds), "pauses": int((seconds > PAUSE).sum()), "pause_seconds": PAUSE,
        "minutes_median": middle, "minutes_quartiles": [low, high],
    }  # fmt: skip


def _between(reads: Reads, cases: Mapping[str, LabelCase], classes: Sequence[str], ordered: bool) -> dict[str, Any]:
    """Of the cases that two readers or more have read."""
    both = {case: said for case, said in reads.items() if len(said) > 1}
    counts, subjects = _counts(list(both.values()), classes), [cases[case].subject for case in both]
    readers = sorted({reader for said in both.values() for reader in said}, key=str.casefold)
    each = class_agreement(counts, subjects=subjects)
    return {
        "cases": len(both),
        "patients": len(set(subjects)),
        "readers": readers,
        "fleiss_kappa": _plain(fleiss_kappa(counts, subjects=subjects)),
        "agreement": _plain(percent_agreement(counts, subjects=subjects)),
        "classes": {name: _plain(figure) for name, figure in zip(classes, each, strict=True)},
        "said": {name: int(total) for name, total in zip(classes, counts.sum(0), strict=True)},
        "pairs": [
            {"readers": [one, other], **_pair(found, classes, ordered)}
            for one, other in combinations(readers, 2)
            if (found := [(s[one], s[other], cases[c].subject) for c, s in both.items() if one in s and other in s])
        ],
    }


def _pair(found: Sequence[tuple[str, str, str]], classes: Sequence[str], ordered: bool) -> dict[str, Any]:
    """Two reads of the same cases, and their patients."""
    first, second, subjects = ([each[place] for each in found] for place in range(3))
    ways: dict[str, Weights] = {"cohen_kappa": "none"}
    if ordered:
        ways |= {"cohen_kappa_linear": "linear", "cohen_kappa_quadratic": "quadratic"}
    counts = _counts([{"first": a, "second": b} for a, b in zip(first, second, strict=True)], classes)
    kappas = {
        name: _plain(cohen_kappa(first, second, classes, weights=way, subjects=subjects)) for name, way in ways.items()
    }
    said = {name: int(total) for name, total in zip(classes, counts.sum(0), strict=True)}
    return {"cases": len(first), "patients": len(set(subjects)), **kappas, "said": said,
            "agreement": _plain(percent_agreement(counts, subjects=subjects))}  # fmt: skip


def _counts(reads: Sequence[Mapping[str, str]], classes: Sequence[str]) -> Any:
    """(N, K): how many reads of each case say each class."""
    number = {name: place for place, name in enumerate(classes)}
    counts = np.zeros((len(reads), len(classes)))
    for row, said in zip(counts, reads, strict=True):
        for value in said.values():
            row[number[value]] += 1
    return counts


def _plain(figure: Estimate) -> dict[str, Any]:
    return figure.as_dict()
