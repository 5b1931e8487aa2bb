"""What a label store holds: cases, events that are never changed, the labels they amount to, a model's rankings."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from medudl.config import nearest
from medudl.errors import UserError

Kind = Literal["label", "skip", "flag", "undo", "adjudicate", "mask", "note"]
KINDS: tuple[str, ...] = get_args(Kind)
WHYS = ("cold_start", "uncertain", "diverse", "test", "repeat", "history", "import")
_NAME = re.compile(r"(?=.*[^\W_])[\w .'-]{1,60}")
_ID = re.compile(r"[0-9A-Za-z-]{8,64}")
_LONGEST = 10_000  # letters of a reason, a note, a file's name or a view


@dataclass(frozen=True)
class LabelCase:
    """What is labelled: one series, or one study.

    id: 16 hexadecimal digits, see `case_id`. series: the keys of its rows, see `key_of`; one for a series, unless the
    cohort names one series in several rows. test: whether its patient is of the random test set.
    """

    id: str
    subject: str
    study: str
    series: tuple[str, ...]
    test: bool


@dataclass(frozen=True)
class Event:
    """One line of the log.

    seq: 1, 2, ... in the order of saving. id: given by the client, so that a retried save is one event. time: UTC, ISO.
    value: class (label, adjudicate), reason (skip, flag, note), id of the event taken back (undo), file (mask).
    seconds: from the case being shown to the key, None where nobody knows. occasion: 0 first read, 1, 2 ... silent
    repeats. why: the kind of turn it was shown in, one of WHYS. view: what was on the screen.
    """

    seq: int
    id: str
    time: str
    reader: str
    kind: Kind
    case: str
    value: str
    seconds: float | None
    occasion: int
    why: str
    view: dict[str, Any]


@dataclass(frozen=True)
class Label:
    """What counts now: the last "label" of (reader, case, occasion) that was not undone. event: its id."""

    event: str
    reader: str
    case: str
    value: str
    time: str
    seconds: float | None
    occasion: int
    why: str


@dataclass(frozen=True)
class Picked:
    """A case a model wants labelled. why: a sentence for the reader."""

    case: str
    kind: Literal["uncertain", "diverse"]
    why: str


@dataclass(frozen=True)
class Ranking:
    """What one model thinks of the pool.

    run: name of its run folder, relative to the store's folder. labels: how many it was trained on. order: best next
    case first, never a test case. opinions: case -> {class: calibrated probability}, of pool and test cases. changed:
    share of the pool's predictions that differ from the ranking before, None for the first.
    """

    id: str
    time: str
    run: str
    labels: int
    order: list[Picked]
    opinions: dict[str, dict[str, float]]
    changed: float | None


def reader_name(text: str) -> str:
    """The name with single spaces. Raises UserError unless it is 1-60 letters, digits, spaces and . ' - _"""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not _NAME.fullmatch(name):
        raise UserError(f"reader {text[:70]!r}: give a name of 1-60 letters, digits, spaces and . ' - _")
    return name


def reader_key(text: str) -> str:
    """Equal for two spellings of one reader: case does not count."""
    return unicodedata.normalize("NFC", reader_name(text).casefold())


def check_form(draft: Event, classes: list[str]) -> None:
    """Raise UserError for an event that no store with these classes would take, whatever it holds already."""
    if not _ID.fullmatch(draft.id):
        raise UserError(f"event id {draft.id[:70]!r}: give 8-64 letters, digits and -, new for each save (uuid4)")
    for name, given, known in (("kind", draft.kind, KINDS), ("why", draft.why, WHYS)):
        if given not in known:
            raise UserError(f"{name} {given!r}: {nearest(given, list(known))}")
    if draft.kind in ("label", "adjudicate") and draft.value not in classes:
        raise UserError(f"class {draft.value[:70]!r}: not a class of this store; {nearest(draft.value, classes)}")
    if max(len(draft.value), len(json.dumps(draft.view))) > _LONGEST:
        raise UserError(f"{draft.kind}: its text is longer than {_LONGEST:,} letters; shorten it")
    if draft.seconds is not None and not (math.isfinite(draft.seconds) and draft.seconds >= 0):
        raise UserError(f"seconds {draft.seconds}: give the time from shown to key, 0 or more, or None")
    if draft.occasion < 0:
        raise UserError(f"occasion {draft.occasion}: 0 is the first read, 1, 2 ... are repeats")
    reader_name(draft.reader)


def same_save(first: Event, draft: Event) -> bool:
    """Whether `draft`, which has the id of `first`, is a retry of it."""
    return all(
        getattr(first, name) == getattr(draft, name) for name in ("kind", "case", "value", "occasion")
    ) and reader_key(first.reader) == reader_key(draft.reader)


def check_ranking(ranking: Ranking, cases: Mapping[str, LabelCase], classes: list[str]) -> None:
    """Raise UserError where a ranking picks a test case, or speaks of a case or class that is none."""
    for picked in ranking.order:
        if picked.case in cases and cases[picked.case].test:
            raise UserError(f"ranking {ranking.id}: picks {picked.case}, a test case; those are drawn at random alone")
    for case in [*(picked.case for picked in ranking.order), *ranking.opinions]:
        if case not in cases:
            raise UserError(f"ranking {ranking.id}: speaks of {case}, which is no case of this store; grow it first")
    unknown = sorted({name for opinion in ranking.opinions.values() for name in opinion} - set(classes))
    if unknown:
        raise UserError(f"ranking {ranking.id}: speaks of class {unknown[0]!r}; {nearest(unknown[0], classes)}")
    if len({picked.case for picked in ranking.order}) < len(ranking.order):
        raise UserError(f"ranking {ranking.id}: names a case twice in its order; give each case one place")
