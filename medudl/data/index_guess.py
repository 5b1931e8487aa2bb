"""Whose scan a file is where no pattern and no BIDS name says so: read from folders and names.

A guess is told in the summary. Where two readings are possible it takes the one with fewer patients: files of one
patient that count as two would lie on both sides of a split.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from medudl.data.identity import safe_name
from medudl.data.index_draft import Draft
from medudl.data.index_who import Who, dated, joined, spelled_once
from medudl.data.index_words import (
    HOLDERS,
    before_contrast,
    holds,
    like_patient,
    like_visit,
    of_folder,
    patient_in,
    surely_visit,
    trunk,
)
from medudl.data.splits import spelled

_MOST = 0.9  # share of the files that must be named after their folder; below it names repeat
_FILES = 20  # in a patient's folder
_MANY = 5  # folders in one, on average, that are rather patients of a hospital than visits of a patient


@dataclass(frozen=True)
class Place:
    """folders: of a path, without those that name a modality, a contrast or a split, and without visits above them.

    visit: these. trunk: the name without what it shows. kind: that. stem: the name, without nnU-Net's channel number.
    name: the whole one. top: the folder that was given.
    """

    folders: tuple[str, ...]
    trunk: str
    kind: str
    stem: str
    name: str
    parent: str
    top: str
    visit: str = ""


def who(drafts: Sequence[Draft], stems: Sequence[str]) -> list[Who]:
    """Patient and visit of each file. drafts: with their contrast and modality; stems: their names without ending.

    In this order: a folder that is called like a patient ("patient_7"), or whose name the names of its files hold
    ("P1/2019/P1_2019_T1"); the top folder, or one below it (see `_first`), where folders hold one file a contrast,
    names repeat ("P1/2019/T1"), or folders hold several contrasts; the name without its contrast ("P1_T1"), where that
    leaves one name for several contrasts; else each file is a patient of its own. Folders that name a modality, a
    contrast or a split do not count, nor do dates and visits above all others. A date or visit in a patient's
    name is cut out where names then agree. Visits: the folders below the patient's that are called so, or in which one
    contrast occurs again; else the dates in names.
    """
    places = [_place(draft, stem) for draft, stem in zip(drafts, stems, strict=True)]
    found: dict[int, Who] = {}
    for inside in (True, False):  # those in folders and those without: a stray file does not change the reading
        numbers = [number for number, place in enumerate(places) if bool(place.folders) == inside]
        told = _told(_below_visits([places[number] for number in numbers]))
        found.update(zip(numbers, told, strict=True))
    guesses = dated(
        spelled_once(joined([found[number] for number in range(len(places))])), [place.name for place in places]
    )
    return [Who(safe_name(one.subject), safe_name(one.study) if one.study else "", one.reading) for one in guesses]


def _told(places: Sequence[Place]) -> list[Who]:
    level, reading = _level(places)
    if level is None:
        return _by_name(places)
    at = _visits(places, level)
    return [
        Who(
            place.folders[level],
            place.folders[at] if at is not None and at < len(place.folders) else place.visit,
            reading,
        )
        for place in places
    ]


def _below_visits(places: list[Place]) -> list[Place]:
    """Without folders above all others that are surely visits: "baseline/P1/T1", "2019-05-01/T1"."""
    while places and all(place.folders and surely_visit(place.folders[0]) for place in places):
        places = [replace(place, folders=place.folders[1:], visit=place.folders[0]) for place in places]
    return places


def _level(places: Sequence[Place]) -> tuple[int | None, str]:
    """The depth of the patients' folders, None where no folder is a patient's; and how that was told."""
    depth = min((len(place.folders) for place in places), default=0)
    if not depth:
        return None, ""
    for level in range(depth):
        if sum(like_patient(place.folders[level]) for place in places) >= _MOST * len(places):
            return level, _words_of(level, "the folder that is called like a patient")
    named = [level for level in range(depth) if _named(places, level)]
    if named:
        level = _deeper(places, named)
        return level, _words_of(level, "the folder that its files are named after")
    repeated = len({place.name for place in places}) < _MOST * len(places)
    parents = len({place.parent for place in places})
    kinds = len({(place.parent, place.kind) for place in places})
    # Folders that hold several scans of one kind are of several patients, unless their names repeat.
    if repeated or not _crowded(places, [place.parent for place in places]) and kinds > parents:
        level = _first(places)
    elif _each_alone(places) and not all(patient_in(place.stem) for place in places):
        several = [level for level in range(_first(places), depth) if _several_kinds(places, level) > 0.5]
        if not several:
            return None, ""
        level = several[0]
    else:
        return None, ""
    return level, _words_of(level, f"the folder at depth {level + 1} below PATH")


def _words_of(level: int, otherwise: str) -> str:
    return "the top folder below PATH" if level == 0 else otherwise


def _named(places: Sequence[Place], level: int) -> bool:
    """Whether files are named after their folder at that depth, and it is no class and no hospital: these hold more."""
    folders = {place.folders[level] for place in places}
    named = sum(holds(place.trunk, place.folders[level]) for place in places)
    few = 1 < len(folders) and len(places) <= _FILES * len(folders)
    return named >= _MOST * len(places) and (few or not _crowded(places, [_upto(place, level) for place in places]))


def _deeper(places: Sequence[Place], named: Sequence[int]) -> int:
    """The first of the levels; a later one where all share the first, and those of the later are no visits in it."""
    for level in named:
        own = {place.folders[level] for place in places}
        above = places[0].folders[named[0]]
        if level == named[0] and len(own) > 1:
            return level
        if len(own) > 1 and not any(like_visit(name) or holds(name, above) for name in own):
            return level
    return named[0]


def _crowded(places: Sequence[Place], groups: Sequence[object]) -> bool:
    """Whether most files lie in a group that holds several names of one kind."""
    trunks: dict[tuple[object, str], set[str]] = defaultdict(set)
    for group, place in zip(groups, places, strict=True):
        trunks[group, place.kind].add(place.trunk)
    several = {group for (group, _), own in trunks.items() if len(own) > 1}
    return 2 * sum(group in several for group in groups) > len(places)


def _several_kinds(places: Sequence[Place], level: int) -> float:
    """The share of the folders at that depth that hold more than one known kind; 0 where there is one folder."""
    kinds: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for place in places:
        kinds[_upto(place, level)].add(place.kind)
    return sum(len(own - {""}) > 1 for own in kinds.values()) / len(kinds) if len(kinds) > 1 else 0.0


def _upto(place: Place, level: int) -> tuple[str, ...]:
    return place.folders[: level + 1]


def _first(places: Sequence[Place]) -> int:
    """The first depth that can be patients': below a folder that all share, or a few that hold many others each.

    Folders that are called like visits, or alike in most of those above them, end the search: those above them are
    patients, be there one or many.
    """
    depth = min(len(place.folders) for place in places)
    for level in range(depth - 1):
        inside = _inside(places, level)
        names = [name for own in inside.values() for name in own]
        if 2 * sum(map(like_visit, names)) > len(names):
            return level
        if any(_full(places, deeper) for deeper in range(level + 1, depth - 1)):
            continue
        if 2 * len(set(names)) < len(names) or 1 < len(inside) and len(names) < _MANY * len(inside):
            return level
    return depth - 1


def _inside(places: Sequence[Place], level: int) -> dict[tuple[str, ...], set[str]]:
    """The folders in each folder at that depth."""
    inside: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for place in places:
        inside[_upto(place, level)].add(place.folders[level + 1])
    return inside


def _full(places: Sequence[Place], level: int) -> bool:
    """Whether folders at that depth hold many, most with several kinds, that are not called like visits."""
    inside = _inside(places, level)
    names = [name for own in inside.values() for name in own]
    many = len(names) >= _MANY * len(inside) and 2 * sum(map(like_visit, names)) <= len(names)
    return many and _several_kinds(places, level + 1) > 0.5


def _visits(places: Sequence[Place], level: int) -> int | None:
    """The first depth below the patients' where all folders are surely visits, else where one holds a kind again."""
    depths = range(level + 1, max((len(place.folders) for place in places), default=0))
    for depth in depths:
        if all(surely_visit(place.folders[depth]) for place in places if len(place.folders) > depth):
            return depth
    for depth in depths:
        of_kind: dict[tuple[str, str], set[str]] = defaultdict(set)
        for place in places:
            if len(place.folders) > depth:
                of_kind[place.folders[level], place.kind or place.trunk].add(place.folders[depth])
        if any(len(folders) > 1 for folders in of_kind.values()):
            return depth
    return None


def _each_alone(places: Sequence[Place]) -> bool:
    """Whether no name without its contrast stands for several contrasts."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for place in places:
        kinds[place.trunk].add(place.kind)
    return all(len(shown) == 1 for shown in kinds.values())


def _by_name(places: Sequence[Place]) -> list[Who]:
    """Patients by the names of files: by what they begin with where that is called like a patient."""
    others = iter(_by_trunk([place for place in places if not patient_in(place.stem)]))
    begun = "the beginning of the file's name, which is called like a patient"
    return [
        Who(patient_in(place.stem), place.visit, begun) if patient_in(place.stem) else next(others) for place in places
    ]


def _by_trunk(places: Sequence[Place]) -> list[Who]:
    """By names without their contrasts where these tell files of one patient apart, else by the whole names."""
    reading = "the file's name without its contrast"
    starts: dict[str, set[str]] = defaultdict(set)
    for place in places:
        starts[before_contrast(place.stem)].add(place.kind)
    sharing = sum(len(shown - {""}) > 1 for shown in starts.values())
    if "" not in starts and len(starts) > 1 and 2 * sharing > len(starts) and len(starts) <= len(_trunks(places)):
        return [Who(before_contrast(place.stem), place.visit, reading) for place in places]
    if _trunks(places) == {""}:
        return [Who(place.top, place.visit, "the folder of the files") for place in places]
    if _each_alone(places):
        alone = "the file: each counts as a patient of its own"
        return [Who(place.stem, place.visit, alone) for place in places]
    names = _trunks(places)
    return [Who(_shortest(place.trunk, names) or place.stem, place.visit, reading) for place in places]


def _shortest(name: str, names: set[str]) -> str:
    """The shortest of the names that this one goes on from: "P1" of "P1_FA" where there is a "P1"."""
    ends = [joint.start() for joint in re.finditer(r"[^A-Za-z0-9]+", name)]
    return next((name[:end] for end in ends if name[:end] in names), name)


def _trunks(places: Sequence[Place]) -> set[str]:
    return {place.trunk for place in places}


def _place(draft: Draft, stem: str) -> Place:
    kind = draft.values.get("contrast") or draft.values.get("modality", "")
    folders, name = draft.below.split("/")[:-1], stem
    if folders and folders[-1].lower() in ("imagestr", "imagests"):
        stem = re.sub(r"_000\d$", "", stem)  # the channel's number in the nnU-Net convention
    kept = [f for f in folders if not any(of_folder(f)) and not spelled(f) and f.lower() not in HOLDERS]
    top = draft.files[0].absolute().parents[len(folders)].name
    return Place(tuple(kept), trunk(stem) if kind else stem, kind, stem, name, "/".join(folders), top)
