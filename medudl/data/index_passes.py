"""The two passes over files, each in parallel workers under limits: headers first, then decoded pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medudl.data.dicom_header import DicomHeader
from medudl.data.dicom_parse import read_header
from medudl.data.discover import Found
from medudl.data.fault import show
from medudl.data.guard import Guard
from medudl.data.index_draft import Draft
from medudl.data.index_progress import Progress
from medudl.data.npz import npz_items
from medudl.data.read import check_header, read_volume
from medudl.data.splits import spelled
from medudl.errors import UserError

HEADER_SECONDS, HEADER_MB = 10.0, 512
PIXEL_SECONDS, PIXEL_MB = 120.0, 4096
_IMAGES = 512  # images of an npz file that are hashed in one go

Item = tuple[Path, str]
Job = tuple[tuple[Path, ...], str, tuple[str, ...], bool]  # files, format, fragments, whether they make one volume
Digest = tuple[str, str]  # sha256 ("" if there is none), what is wrong ("" if nothing is)
FLAT = "every voxel has the same value"


@dataclass(frozen=True)
class Grid:
    """What the header of a file, or of one image inside it, says."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    orientation: str
    fragment: str = ""
    label: str = ""

    def draft(self, found: Found) -> Draft:
        """The draft of this image; of an npz file, split and label come from its arrays."""
        place = (self.shape, self.spacing, self.orientation)
        draft = Draft([found.path], found.below, found.format, self.fragment, *place)
        if self.fragment:
            draft.values = {"split": spelled(self.fragment.split("/")[0]), "label": self.label}
        return draft


@dataclass(frozen=True)
class Unreadable:
    """A file that no header could be read from, and why."""

    found: Found
    fault: str

    def told(self) -> str:
        """The sentence for the list of problems."""
        return f"{show(self.found.path)}: {self.fault}"


def header_pass(
    found: Sequence[Found], progress: Progress, workers: int
) -> Iterator[tuple[Found, list[Grid] | DicomHeader] | Unreadable]:
    """The header of every file, in order."""
    items: list[Item] = [(file.path, file.format) for file in found]
    with Guard(workers=workers, seconds=HEADER_SECONDS, memory_mb=HEADER_MB) as guard:
        results = progress.track(guard.map(read_facts, items), "Reading headers", len(items))
        for file, result in zip(found, results, strict=True):
            if isinstance(result, UserError):
                yield Unreadable(file, what(result, [file.path]))
            else:
                yield file, result


def hash_pass(drafts: Sequence[Draft], progress: Progress, workers: int) -> None:
    """Decode every series once: set its hash, and tell what only the voxels show (truncated, NaN, one value only)."""
    # One file that makes no volume has been told already, and its frames cannot be had apart.
    whole = [[d] for d in drafts if d.shape and not d.fragment and (len(d.files) > 1 or not d.faults)]
    parts: dict[Path, list[Draft]] = {}
    for draft in drafts:
        if draft.fragment:
            parts.setdefault(draft.files[0], []).append(draft)
    groups = whole + [own[i : i + _IMAGES] for own in parts.values() for i in range(0, len(own), _IMAGES)]
    jobs: list[Job] = [
        (tuple(group[0].files), group[0].format, tuple(draft.fragment for draft in group), not group[0].faults)
        for group in groups
    ]
    with Guard(workers=workers, seconds=PIXEL_SECONDS, memory_mb=PIXEL_MB) as guard:
        results = progress.track(guard.map(digest, jobs), "Comparing voxels", len(jobs))
        for group, result in zip(groups, results, strict=True):
            if isinstance(result, UserError):
                result = [("", what(result, group[0].files))] * len(group)
            for draft, (sha256, fault) in zip(group, result, strict=True):
                draft.sha256 = sha256
                if fault and fault not in draft.faults:
                    draft.condemn(fault)


def read_facts(item: Item) -> list[Grid] | DicomHeader:
    """In a worker: the header of one file."""
    path, kind = item
    if kind == "dicom":
        return read_header(path)
    if kind == "npz":
        return [Grid(item.shape, (1.0, 1.0, 1.0), "LPS", item.fragment, item.label) for item in npz_items(path)]
    header = check_header(path, kind)
    return [Grid(header.shape, header.spacing, header.orientation)]


def digest(job: Job) -> list[Digest]:
    """In a worker: (sha256, fault) of each fragment's decoded voxels.

    sha256 of "X,Y,Z" and the float32 voxels in C order: equal for two encodings of the same scan. A series whose
    slices make no volume is hashed slice by slice, in the order of the slices' own hashes.
    """
    files, kind, fragments, stacked = job
    if stacked:
        return [_digest(files, kind, fragment) for fragment in fragments]
    slices = [_digest((file,), kind, "") for file in files]
    fault = next((fault for _, fault in slices if fault not in ("", FLAT)), "")
    return [("" if fault else hashlib.sha256("".join(sorted(s for s, _ in slices)).encode()).hexdigest(), fault)]


def _digest(files: tuple[Path, ...], kind: str, fragment: str) -> Digest:
    try:
        voxels = read_volume(files, kind, fragment=fragment).voxels
    except UserError as error:
        return "", what(error, files)
    sha256 = hashlib.sha256(",".join(map(str, voxels.shape)).encode())
    sha256.update(np.ascontiguousarray(voxels).tobytes())
    return sha256.hexdigest(), FLAT if voxels.max() == voxels.min() else ""


def what(error: UserError, files: Sequence[Path]) -> str:
    """What is wrong, without the path in front and the advice behind; of several files, with the name of the one."""
    text = str(error)
    for place in (*files, files[0].parent):
        rest = text.removeprefix(f"{show(place)}: ")
        if rest != text:
            text = f"{show(place.name)}: {rest}" if place in files and len(files) > 1 else rest
            break
    return text.rpartition("; ")[0] or text
