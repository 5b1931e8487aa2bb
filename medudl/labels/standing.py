"""What the log amounts to: events that were not undone, labels, flags, and what all readers agree on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from medudl.labels.events import Event, Label


def standing(events: Sequence[Event]) -> list[Event]:
    """The events that still count, in order: no undo, and none that an undo names."""
    undone = {event.value for event in events if event.kind == "undo"}
    return [event for event in events if event.kind != "undo" and event.id not in undone]


def labels_of(events: Sequence[Event]) -> list[Label]:
    """The last standing label of each (reader, case, occasion), in the order of saving."""
    last = {(e.reader, e.case, e.occasion): e for e in standing(events) if e.kind == "label"}
    return [
        Label(e.id, e.reader, e.case, e.value, e.time, e.seconds, e.occasion, e.why)
        for e in sorted(last.values(), key=lambda event: event.seq)
    ]


def flags_of(events: Sequence[Event]) -> dict[str, list[str]]:
    """Case -> reasons of its standing flags."""
    found: dict[str, list[str]] = defaultdict(list)
    for event in standing(events):
        if event.kind == "flag":
            found[event.case].append(event.value or "no reason given")
    return dict(found)


def adjudicated(events: Sequence[Event]) -> dict[str, str]:
    """Case -> class of its last standing adjudication."""
    return {event.case: event.value for event in standing(events) if event.kind == "adjudicate"}


def first_reads(labels: Iterable[Label]) -> dict[str, dict[str, str]]:
    """Case -> {reader: class}, of first reads alone."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for label in labels:
        if label.occasion == 0:
            found[label.case][label.reader] = label.value
    return dict(found)


def truth_of(events: Sequence[Event]) -> dict[str, str]:
    """Case -> class: adjudicated, else where all first reads agree."""
    reads = first_reads(labels_of(events))
    agreed = {case: next(iter(said.values())) for case, said in reads.items() if len(set(said.values())) == 1}
    return {**agreed, **adjudicated(events)}


def conflicts_of(events: Sequence[Event]) -> list[str]:
    """Cases whose first reads differ and that nobody has adjudicated, in the order of their first label."""
    settled = adjudicated(events)
    reads = first_reads(labels_of(events))
    return [case for case, said in reads.items() if len(set(said.values())) > 1 and case not in settled]
