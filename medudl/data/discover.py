"""Which files below a folder are scans, told by their name's ending and, for DICOM, by their first bytes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medudl.data.fault import show
from medudl.errors import UserError

# Ending -> format as it stands in cohort.csv. JPEG and PNG are read alike, and so are MHA and MHD.
_ENDINGS = {
    ".nii": "nifti", ".nii.gz": "nifti", ".nrrd": "nrrd", ".nhdr": "nrrd", ".mha": "mha", ".mhd": "mha",
    ".png": "png", ".jpg": "png", ".jpeg": "png", ".npz": "npz",
}  # fmt: skip
_NEVER = {
    ".csv", ".tsv", ".json", ".txt", ".md", ".key", ".gz", ".zip", ".raw", ".zraw", ".py", ".html", ".pdf", ".xml",
    ".bval", ".bvec", ".yaml", ".yml", ".log",
}  # fmt: skip
# Endings of scans in formats that are not read, one of each pair of files, and of archives: what to do with them.
_OTHER: Mapping[str, str] = {
    **dict.fromkeys((".mgz", ".mgh", ".img", ".mnc", ".par", ".head"), "convert to NIfTI"),
    **dict.fromkeys((".tif", ".tiff", ".bmp"), "convert to PNG"),
    **dict.fromkeys((".zip", ".tar", ".tar.gz", ".tgz", ".bz2", ".xz", ".zst", ".rar", ".7z"), "unpack"),
}  # fmt: skip
_DICOM_ENDINGS = {".dcm", ".dicom", ".ima"}
PAINTED = "labels_masks"  # what readers paint on scans (docs/labels.md): no scans
_LONGEST_FIRST = sorted({*_ENDINGS, *_DICOM_ENDINGS}, key=len, reverse=True)


@dataclass(frozen=True)
class Found:
    """One file that looks like a scan. below: its path below the PATH that was given, with forward slashes."""

    path: Path
    below: str
    format: str

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self.path.name[: len(self.path.name) - len(ending(self.path.name))]


def ending(name: str) -> str:
    """The ending of a scan's file name, ".nii.gz" as a whole; "" where the name tells nothing, as DICOM often does."""
    lower = name.lower()
    for known in _LONGEST_FIRST:
        if lower.endswith(known):
            return name[len(name) - len(known) :]
    return ""


def discover(paths: Sequence[str | Path]) -> tuple[list[Found], list[str], list[str]]:
    """All scans below `paths`, sorted, each once; problems: files that pretend to be scans; notes: formats not read.

    Raises UserError: a path that does not exist, or none given.
    """
    if not paths:
        raise UserError("no PATH given; name the folders or files to index")
    found: dict[Path, Found] = {}
    problems = []
    others: dict[Path, str] = {}
    for given in map(Path, paths):
        if not given.exists():
            raise UserError(f"{show(given)}: no such file or folder; check its spelling")
        top = given if given.is_dir() else given.parent
        for path in _walk(given) if given.is_dir() else [given]:
            kind, problem = classify(path, named=path == given)
            problems += [problem] if problem else []
            if kind:
                found.setdefault(path.absolute(), Found(path, path.relative_to(top).as_posix(), kind))
            elif not problem:
                others[path.absolute()] = other_ending(path.name)
    return list(found.values()), problems, _told(Counter(others.values()))


def other_ending(name: str) -> str:
    """The ending of a scan in a format that is not read, or of an archive that may hold scans; "" of any other file."""
    lower = name.lower()
    return next((known for known in sorted(_OTHER, key=len, reverse=True) if lower.endswith(known)), "")


def _told(others: Mapping[str, int]) -> list[str]:
    """A sentence about each thing to do."""
    notes = []
    for advice in dict.fromkeys(_OTHER.values()):
        found = {known: others[known] for known in sorted(others) if _OTHER.get(known) == advice}
        if found:
            listed = ", ".join(f"{number:,} {known}" for known, number in found.items())
            notes.append(f"files that are not read: {listed}; {advice} what belongs to the cohort")
    return notes


def classify(path: Path, *, named: bool = False) -> tuple[str, str]:
    """(format, "") of a scan, ("", "") of another file, ("", what is wrong) of one that only pretends to be a scan.

    named: the user named this very file, so that it has to be a scan.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "", f"{show(path)}: its name is not UTF-8; rename it"
    known = _ENDINGS.get(ending(path.name).lower())
    if known:
        return known, ""
    suffix = path.suffix.lower()
    if suffix in _NEVER and not named or path.name.upper() == "DICOMDIR":
        return "", ""
    if looks_like_dicom(path):
        return "dicom", ""
    if named or suffix in _DICOM_ENDINGS:
        return "", f"{show(path)}: not a DICOM file, and no other kind of scan by its name; leave it out"
    return "", ""


def looks_like_dicom(path: Path) -> bool:
    """DICM after the preamble, or, without one, a first element of group 2 or 8 as old scanners wrote it."""
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError:
        return False
    if head[128:] == b"DICM":
        return True
    vr = head[4:6]
    plausible = vr.isalpha() and vr.isupper() or head[6:8] == b"\0\0"  # explicit VR, or a length below 64 KiB
    return len(head) == 132 and head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0 and plausible


def _walk(top: Path) -> Iterator[Path]:
    """Files below `top` in a fixed order, hidden and painted ones left out; links are followed, circles are not."""
    visited: set[tuple[int, int]] = set()
    for folder, names, files in os.walk(top, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            names.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        names[:] = sorted(name for name in names if not name.startswith(".") and name != PAINTED)
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path
