"""Who a scan is of, once all names are known: visits in names, other spellings of one name."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from medudl.data.index_words import date_in, parted

_VISITS = 12  # names with one beginning and other visits at their end; more are rather of as many patients


@dataclass(frozen=True)
class Who:
    """A file's patient and visit, and by what they were told apart. study: "" where nothing tells visits apart."""

    subject: str
    study: str
    reading: str


def joined(guesses: Sequence[Who]) -> list[Who]:
    """With the date or visit in a patient's name as the visit, where names then agree."""
    endings: dict[str, set[str]] = defaultdict(set)
    for one in guesses:
        patient, visit = parted(one.subject)
        endings[patient].add(visit)
    agreeing = {patient for patient, own in endings.items() if 1 < len(own) <= _VISITS}
    out = []
    for one in guesses:
        patient, visit = parted(one.subject)
        told = f"{one.reading}, without a visit in the name"
        out.append(Who(patient, one.study or visit, told) if patient in agreeing else one)
    return out


def spelled_once(guesses: Sequence[Who]) -> list[Who]:
    """One spelling of a patient's name: "P1" and "p1", or an umlaut as one sign and as two, are one."""
    first: dict[str, str] = {}
    for one in guesses:
        first.setdefault(unicodedata.normalize("NFC", one.subject).casefold(), one.subject)
    return [replace(one, subject=first[unicodedata.normalize("NFC", one.subject).casefold()]) for one in guesses]


def dated(guesses: Sequence[Who], names: Sequence[str]) -> list[Who]:
    """With the dates in the names of files as visits, for patients with several dates and no visit."""
    dates: dict[str, set[str]] = defaultdict(set)
    for one, name in zip(guesses, names, strict=True):
        dates[one.subject] |= {date_in(name)} - {""} if not one.study else set()
    return [
        replace(one, study=date_in(name)) if not one.study and len(dates[one.subject]) > 1 else one
        for one, name in zip(guesses, names, strict=True)
    ]
