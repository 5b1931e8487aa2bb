"""Whose scan a file is, and what it shows, where no pattern and no BIDS name says so: read from folders and names.

A guess is told in the summary. Where two readings are possible it takes the one with fewer patients: files of one
patient that count as two would lie on both sides of a split.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from medudl.data.contrast import contrast_of_name
from medudl.data.identity import safe_name
from medudl.data.index_draft import Draft
from medudl.data.splits import spelled

MODALITIES = {
    "ct": "CT", "cbct": "CT", "mr": "MR", "mri": "MR", "xr": "XR", "cxr": "XR", "xray": "XR", "pt": "PT", "pet": "PT",
}  # fmt: skip
# What may stand in a name beside a contrast without being a part of the patient's name.
_CONTRASTS = {
    "t1", "t1w", "t1c", "t1ce", "t1gd", "t2", "t2w", "t2star", "flair", "pd", "pdw", "dwi", "adc", "swi", "tof", "stir",
    "mprage", "pre", "post", "ce", "gd", "contrast",
}  # fmt: skip
_HOLDERS = {
    "images",
    "imagestr",
    "imagests",
    "imagesval",
    "scans",
    "anat",
}  # folders that say nothing of what they hold
_MASKS = {"mask", "masks", "seg", "segs", "segmentation", "segmentations", "labelmap"}
_MASKS_ALONE = {"roi", "rois", "label", "labels", "lesion", "lesions"}  # masks where the name tells no contrast
_MASK_FOLDERS = _MASKS | {"labels", "labelstr", "labelsts", "labelsval", "rois", "annotations"}
_MOST = 0.9  # share of the files that must be named after their folder
_FILES = 20  # in a patient's folder
_MANY = 5  # folders in one, on average, that are rather patients of a hospital than visits of a patient
# What visits are called: a date, a number or letter, "ses-2", "baseline".
_VISIT = re.compile(
    r"\d{6,8}|\d{4}[-_.]\d{1,2}.*|[a-z]|\d{1,2}|(?:mri?|ct)[-_ ]?\d{1,2}"
    r"|(?:ses|session|visit|tp|time|timepoint|scan|exam|study|base|baseline|follow[-_ ]?up|fu|pre|post|day|week|month"
    r"|year)(?:[-_ ]?op)?[-_ ]?\w{0,3}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """folders: of a path, without those that name a modality, a contrast or a split. trunk: the name without those."""

    folders: tuple[str, ...]
    trunk: str
    kind: str
    stem: str


@dataclass(frozen=True)
class Who:
    """A file's patient and visit, and by what they were told apart. study: "" where nothing tells visits apart."""

    subject: str
    study: str
    reading: str


def words(name: str) -> list[str]:
    """The parts of a file's or folder's name, in lower case: "PAT-01_T1w" -> pat, 01, t1w."""
    return [word for word in re.split(r"[^a-z0-9]+", name.lower().replace("x-ray", "xray")) if word]


def shown_in(folders: Sequence[str], stem: str) -> tuple[str, str, str]:
    """(contrast, modality, where it was read) by a file's name, else by the nearest folder; "" where nothing says it.

    Of a folder the whole name must say it: "T2" does, "T2DM_04" does not. CT, XR and PT are contrasts too, MR is not.
    """
    of_file = next((MODALITIES[word] for word in words(stem) if word in MODALITIES), "")
    named = [("file name", contrast_of_name(stem), of_file)]
    named += [("folder name", *_of_folder(folder)) for folder in reversed(folders)]
    for where, contrast, modality in named:
        if contrast or modality:
            return contrast or ("" if modality == "MR" else modality), "MR" if contrast else modality, where
    return "", "", ""


def is_mask(below: str, stem: str) -> bool:
    """Whether a path says that this is a mask: "seg" or "mask" as a word of the name, or a folder such as labelsTr."""
    own, folders = set(words(stem)), below.split("/")[:-1]
    alone = not contrast_of_name(stem) and bool(own & _MASKS_ALONE)
    return alone or bool(own & _MASKS) or any(folder.lower() in _MASK_FOLDERS for folder in folders)


def who(drafts: Sequence[Draft], stems: Sequence[str]) -> list[Who]:
    """Patient and visit of each file. drafts: with their contrast and modality; stems: their names without ending.

    In this order: a folder whose name the names of its files hold ("P1/2019/P1_2019_T1"); the top folder, or one below
    it (see `_first`), where folders hold one file a contrast, or names repeat ("P1/2019/T1"); the name without its
    contrast ("P1_T1"), where that leaves one name for several contrasts; else each file is a patient of its own.
    Folders that name a modality, a contrast or a split do not count. Visits: the folder below the patient's in which
    one contrast occurs again.
    """
    places = [_place(draft, stem) for draft, stem in zip(drafts, stems, strict=True)]
    found: dict[int, Who] = {}
    for inside in (True, False):  # those in folders and those without: a stray file does not change the reading
        numbers = [number for number, place in enumerate(places) if bool(place.folders) == inside]
        told = _told([drafts[number] for number in numbers], [places[number] for number in numbers])
        found.update(zip(numbers, told, strict=True))
    return [found[number] for number in range(len(places))]


def _told(drafts: Sequence[Draft], places: Sequence[Place]) -> list[Who]:
    level, reading = _level(drafts, places)
    if level is None:
        return _by_name(drafts, places)
    at = _visits(places, level)
    return [
        Who(
            safe_name(place.folders[level]),
            safe_name(place.folders[at]) if at is not None and at < len(place.folders) else "",
            reading,
        )
        for place in places
    ]


def _level(drafts: Sequence[Draft], places: Sequence[Place]) -> tuple[int | None, str]:
    """The depth of the patients' folders, None where no folder is a patient's; and how that was told."""
    if not all(place.folders for place in places):
        return None, ""
    parents = [draft.below.rpartition("/")[0] for draft in drafts]
    trunks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for parent, place in zip(parents, places, strict=True):
        trunks[parent, place.kind].add(place.trunk)
    several = {parent for (parent, _), own in trunks.items() if len(own) > 1}
    crowded = 2 * sum(parent in several for parent in parents) > len(places)
    for level in range(min((len(place.folders) for place in places), default=0)):
        folders = {place.folders[level] for place in places}
        named = sum(_holds(place.trunk, place.folders[level]) for place in places)
        few = 1 < len(folders) and len(places) <= _FILES * len(folders)  # a class or a hospital holds more
        if named >= _MOST * len(places) and (few or not crowded):
            return level, _words_of(level, "the folder that its files are named after")
    repeated = len({place.stem for place in places}) < len(places)
    # Folders that hold several scans of one kind are of several patients, unless their names repeat.
    if repeated or not crowded and len(trunks) > len(set(parents)):
        level = _first(places)
        return level, _words_of(level, f"the folder at depth {level + 1} below PATH")
    return None, ""


def _words_of(level: int, otherwise: str) -> str:
    return "the top folder below PATH" if level == 0 else otherwise


def _holds(name: str, folder: str) -> bool:
    """Whether a file's name holds a folder's name as a word: "ADNI_002_S_0295_MR" holds "002_S_0295"."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(folder)}(?![A-Za-z0-9])", name, re.IGNORECASE) is not None


def _first(places: Sequence[Place]) -> int:
    """The first depth that can be patients': below a folder that all share, or a few that hold many others each.

    Folders that are called like visits end the search: those above them are patients, be there one or many.
    """
    for level in range(min(len(place.folders) for place in places) - 1):
        inside: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for place in places:
            inside[place.folders[: level + 1]].add(place.folders[level + 1])
        names = [name for own in inside.values() for name in own]
        visits = sum(_VISIT.fullmatch(name) is not None for name in names)
        if 2 * visits > len(names) or 1 < len(inside) and len(names) < _MANY * len(inside):
            return level
    return min(len(place.folders) for place in places) - 1


def _visits(places: Sequence[Place], level: int) -> int | None:
    """The first depth below the patients' at which a patient has a contrast in more than one folder."""
    for depth in range(level + 1, max((len(place.folders) for place in places), default=0)):
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for place in places:
            if len(place.folders) > depth:
                found[place.folders[level], place.kind or place.trunk].add(place.folders[depth])
        if any(len(folders) > 1 for folders in found.values()):
            return depth
    return None


def _by_name(drafts: Sequence[Draft], places: Sequence[Place]) -> list[Who]:
    """Patients by the names of files: without their contrasts where these tell files of one patient apart."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for place in places:
        kinds[place.trunk].add(place.kind)
    if all(len(shown) == 1 for shown in kinds.values()):
        alone = "the file: each counts as a patient of its own"
        return [Who(safe_name(place.stem), "", alone) for place in places]
    if set(kinds) == {""}:
        return [
            Who(safe_name(draft.files[0].absolute().parent.name), "", "the folder of the files") for draft in drafts
        ]
    reading = "the file's name without its contrast"
    return [Who(safe_name(place.trunk or place.stem), "", reading) for place in places]


def _place(draft: Draft, stem: str) -> Place:
    kind = draft.values.get("contrast") or draft.values.get("modality", "")
    folders = draft.below.split("/")[:-1]
    if folders and folders[-1].lower() in ("imagestr", "imagests"):
        stem = re.sub(r"_000\d$", "", stem)  # the channel's number in the nnU-Net convention
    kept = [f for f in folders if not any(_of_folder(f)) and not spelled(f) and f.lower() not in _HOLDERS]
    return Place(tuple(kept), _trunk(stem) if kind else stem, kind, stem)


def _trunk(stem: str) -> str:
    """The name without the words that name a contrast or a modality: "P1_2019_T1-post" -> "P1_2019"."""
    parts = re.findall(r"([^A-Za-z0-9]*)([A-Za-z0-9]+)", stem)
    kept = [joint + word for joint, word in parts if word.lower() not in _CONTRASTS and word.lower() not in MODALITIES]
    return re.sub(r"^[^A-Za-z0-9]+", "", "".join(kept))


def _of_folder(name: str) -> tuple[str, str]:
    """(contrast, modality) of a folder whose whole name says it."""
    own = words(name)
    if own and set(own) <= _CONTRASTS | set(MODALITIES):
        contrast = contrast_of_name(name)
        return contrast, "MR" if contrast else next((MODALITIES[word] for word in own if word in MODALITIES), "")
    return "", ""
