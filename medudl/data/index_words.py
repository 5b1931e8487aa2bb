"""What names of files and folders say of a scan: what it shows, a mask, a visit, a patient."""

from __future__ import annotations

import re
from collections.abc import Sequence

from medudl.data.contrast import contrast_of_name

MODALITIES = {
    "ct": "CT", "cbct": "CT", "mr": "MR", "mri": "MR", "xr": "XR", "cxr": "XR", "xray": "XR", "pt": "PT", "pet": "PT",
}  # fmt: skip
_OF_FILES = {word: modality for word, modality in MODALITIES.items() if word != "pt"}  # pt_01 is a patient
# What may stand in a name beside a contrast without being a part of the patient's name.
_CONTRASTS = {
    "t1", "t1w", "t1c", "t1ce", "t1gd", "t1n", "t2", "t2w", "t2f", "t2star", "flair", "pd", "pdw", "dwi", "dti", "adc",
    "trace", "swi", "tof", "mra", "stir", "asl", "dsc", "dce", "perf", "perfusion", "mprage", "mp2rage", "vibe", "spgr",
    "localizer", "pre", "post", "ce", "gd", "gad", "km", "contrast", "star", "bias",
}  # fmt: skip
# What may stand in a folder's name beside a contrast: how it was taken, or what was done to it.
_STEPS = {
    "brain", "raw", "bet", "stripped", "skullstripped", "registered", "reg", "n4", "nii", "nifti", "png", "images",
    "sag", "tra", "cor", "ax", "axial", "sagittal", "coronal", "se", "tse", "fse", "space", "blade", "2d", "3d", "iso",
    "fs", "repeat",
}  # fmt: skip
HOLDERS = {"images", "imagestr", "imagests", "imagesval", "scans", "anat"}  # folders that say nothing of what they hold
_MASK = re.compile(r"(?:brain|lesion|tumou?r|a|d)?(?:mask|seg)s?\d*|segmentations?|labelmap|gt|groundtruth")
_MASK_ALONE = re.compile(r"rois?\d*|labels?|lesions?")  # masks where the name tells no contrast
_MASK_FOLDERS = {
    "mask", "masks", "seg", "segs", "segmentation", "segmentations", "labelmap", "labels", "labelstr", "labelsts",
    "labelsval", "rois", "annotations", "ground",
}  # fmt: skip
_DATE = r"(?:19|20)\d\d[-_.]?(?:0\d|1[0-2])[-_.]?[0-3]\d"
_TIMES = (
    r"(?:ses|session|visit|timepoint|baseline|follow[-_ ]?up|pre|post|week|month|year)(?:[-_ ]?op)?[-_ ]?\w{0,3}"
    r"|(?:tp|fu|base|time)[-_ ]?\d{0,2}[a-z]?"
)
# Called like a visit and like nothing else: a date, "ses-2", "baseline".
_SURELY_VISIT = re.compile(
    rf"{_DATE}(?!\d)[^A-Za-z]*|\d{{1,2}}[-_.]\d{{1,2}}[-_.](?:19|20)\d\d|{_TIMES}", re.IGNORECASE
)
# What visits below a patient's folder are called beside that: a number, a letter, "m06", a study's UID.
_VISIT = re.compile(
    r"\d{6,8}|\d{8}\D.*|\d{4}[-_.]\d{1,2}.*|\d{1,2}[-_.](?:\d{1,2}|[\dx]{2})[-_.]\d{2,4}.*|(?:19|20)\d\d|[a-z]|\d{1,2}"
    r"|(?:mri?|ct)[-_ ]?\d{1,2}|[mvdwyt]\d{1,3}|[\d.]{20,}|(?:scan|exam|study|day)(?:[-_ ]?op)?[-_ ]?\w{0,3}"
    rf"|{_SURELY_VISIT.pattern}",
    re.IGNORECASE,
)
_PERSON = r"(?:patient|pat|subject|subj|sub|case|volunteer|proband|person|mrn)s?[-_ ]?"
_PATIENT = re.compile(rf"{_PERSON}\w*\d\w*", re.IGNORECASE)
_AT_THE_START = re.compile(rf"{_PERSON}(?:(?:19|20)\d\d[-_])?\d+(?![A-Za-z0-9])", re.IGNORECASE)
# A date in a patient's name, a visit at its end or beginning; a number behind a longer one is a point in time
# ("00002-001"). Those of _MAYBE_END are visits only of what has a number of its own: "P1_v2", not "brain_MR2".
_DATED = re.compile(rf"(?<!\d)(?:({_DATE})(?:\d{{6}})?|(\d{{1,2}}[-.]\d{{1,2}}[-.](?:19|20)\d\d))(?!\d)")
_WHEN = (
    r"(?:ses|session|visit|tp|timepoint|week|month|year)[-_ ]?\d{1,3}|baseline|follow[-_ ]?up|pre[-_]?op|post[-_]?op"
)
_END = re.compile(rf"(?P<patient>.*[^-_. ])[-_. ]+(?P<visit>{_WHEN})", re.IGNORECASE)
_START = re.compile(rf"(?P<visit>{_WHEN})[-_. ]+(?P<patient>.+)", re.IGNORECASE)
_MAYBE_END = re.compile(
    r"(?P<patient>.*\d.*[^-_. ]|.*\d)[-_. ]+(?P<visit>(?:mri?|v|scan|exam)[-_]?\d{1,2}|m\d{1,2}|fu[-_]?\d{1,3}\w?"
    r"|(?:19|20)\d\d|pre|post)",
    re.IGNORECASE,
)
_POINT = re.compile(r"(?P<patient>.*\D\d{5,})[-_](?P<visit>\d{2,3})")


def words(name: str) -> list[str]:
    """The parts of a file's or folder's name, in lower case: "PAT-01_T1w" -> pat, 01, t1w."""
    return [word for word in re.split(r"[^a-z0-9]+", name.lower().replace("x-ray", "xray")) if word]


def shown_in(folders: Sequence[str], stem: str) -> tuple[str, str, str]:
    """(contrast, modality, where it was read) by a file's name, else by the nearest folder; "" where nothing says it.

    Of a folder the whole name must say it: "T2" and "T2_brain" do, "T2DM_04" does not. CT, XR and PT are contrasts too,
    MR is not.
    """
    of_file = next((_OF_FILES[word] for word in words(stem) if word in _OF_FILES), "")
    named = [("file name", contrast_of_name(stem), of_file)]
    named += [("folder name", *of_folder(folder)) for folder in reversed(folders)]
    for where, contrast, modality in named:
        if contrast or modality:
            return contrast or ("" if modality == "MR" else modality), "MR" if contrast else modality, where
    return "", "", ""


def of_folder(name: str) -> tuple[str, str]:
    """(contrast, modality) of a folder whose whole name says it, a series' number before it left out."""
    name = re.sub(r"^\d{1,4}[-_. ]+", "", name.lower().replace("mp-rage", "mprage"))
    own = [word for word in words(name) if word not in _STEPS]
    if own and set(own) <= _CONTRASTS | set(MODALITIES):
        contrast = contrast_of_name(name)
        return contrast, "MR" if contrast else next((MODALITIES[word] for word in own if word in MODALITIES), "")
    return "", ""


def is_mask(below: str, stem: str) -> bool:
    """Whether a path says that this is a mask: "seg" or "mask" as a word of the name, or a folder such as labelsTr.

    Of the folders the nearest decides: in masks/images/ lie images.
    """
    own = words(stem)
    if any(_MASK.fullmatch(word) for word in own):
        return True
    folders = [folder.lower() for folder in reversed(below.split("/")[:-1])]
    alone = {word for word in own if _MASK_ALONE.fullmatch(word)} - set(words("".join(folders[:1])))  # a class's name
    if alone and (not contrast_of_name(stem) or own[-1] in alone - {"roi", "rois"}):
        return True
    return next((name in _MASK_FOLDERS for name in folders if name in _MASK_FOLDERS | HOLDERS), False)


def trunk(stem: str) -> str:
    """The name without the words that name a contrast or a modality: "P1_2019_T1-post" -> "P1_2019"."""
    parts = re.findall(r"([^A-Za-z0-9]*)([A-Za-z0-9]+)", stem)
    kept = [joint + word for joint, word in parts if not _shows(word)]
    return re.sub(r"^[^A-Za-z0-9]+", "", "".join(kept))


def before_contrast(stem: str) -> str:
    """What stands before the first word that names a contrast or a modality: "P1_t1_mprage_sag" -> "P1"."""
    at = next((word.start() for word in re.finditer(r"[A-Za-z0-9]+", stem) if _shows(word[0])), len(stem))
    return re.sub(r"[^A-Za-z0-9]+$", "", stem[:at])


def holds(name: str, folder: str) -> bool:
    """Whether a file's name holds a folder's name as a word: "ADNI_002_S_0295_MR" holds "002_S_0295"."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(folder)}(?![A-Za-z0-9])", name, re.IGNORECASE) is not None


def like_visit(folder: str) -> bool:
    """Whether a folder below a patient's is called like a visit."""
    return _VISIT.fullmatch(folder) is not None


def surely_visit(folder: str) -> bool:
    """Whether a folder is called like a visit and could not be a patient: a date, "ses-2", "baseline"."""
    return _SURELY_VISIT.fullmatch(folder) is not None


def like_patient(folder: str) -> bool:
    """Whether a folder is called like a patient: "patient_7", "sub-01"."""
    return _PATIENT.fullmatch(folder) is not None


def patient_in(name: str) -> str:
    """The patient that a name begins with: "person63_bacteria_306" -> person63; "" where it names none so."""
    found = _AT_THE_START.match(name)
    return found[0] if found else ""


def parted(name: str) -> tuple[str, str]:
    """(patient, visit) of a name that holds a visit: "P1_20190501" -> P1, 20190501; the name and "" of another."""
    name = re.sub(r"_nifti$", "", name)
    date = _DATED.search(name)
    if date is not None:
        before, after = name[: date.start()].rstrip("-_. "), name[date.end() :].lstrip("-_. ")
        rest = "_".join(filter(None, (before, after)))
        return (rest, date[1] or date[2]) if rest else (name, "")
    found = next((hit for each in (_END, _START, _MAYBE_END, _POINT) if (hit := each.fullmatch(name))), None)
    return (name, "") if found is None else (found["patient"], found["visit"])


def date_in(name: str) -> str:
    """The first date in a name, digits alone; "" where it has none."""
    found = _DATED.search(name)
    return re.sub(r"\D", "", found[1] or found[2]) if found else ""


def _shows(word: str) -> bool:
    return word.lower() in _CONTRASTS or word.lower() in _OF_FILES
