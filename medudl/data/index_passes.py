"""The two passes over files, each in parallel workers under limits: headers first, then decoded pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medudl.data.dicom_header import DicomHeader
from medudl.data.discover import Found
from medudl.data.fault import show
from medudl.data.guard import Guard
from medudl.data.index_draft import Draft
from medudl.data.index_progress import Progress
from medudl.data.index_worker import Grid, Item, Job, digest, read_facts, what
from medudl.errors import UserError

HEADER_SECONDS, HEADER_MB = 10.0, 512
PIXEL_SECONDS, PIXEL_MB = 120.0, 8192  # a volume at the limit of 2^30 voxels takes 4 GB as float32
_IMAGES = 512  # images of an npz file that are hashed in one go


@dataclass(frozen=True)
class Unreadable:
    """A file that no header could be read from, and why."""

    found: Found
    fault: str

    def told(self) -> str:
        """The sentence for the list of problems."""
        return f"{show(self.found.path)}: {self.fault}"


Result = tuple[Found, list[Grid] | DicomHeader] | Unreadable


def header_pass(found: Sequence[Found], progress: Progress, workers: int) -> Iterator[Result]:
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
    groups = _groups(drafts)
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


def _groups(drafts: Sequence[Draft]) -> list[list[Draft]]:
    """What one worker reads in one go: a series, or many images of one npz file."""
    # One file that makes no volume has been told already, and its frames cannot be had apart.
    whole = [[d] for d in drafts if d.shape and not d.fragment and (len(d.files) > 1 or not d.faults)]
    parts: dict[Path, list[Draft]] = {}
    for draft in drafts:
        if draft.fragment:
            parts.setdefault(draft.files[0], []).append(draft)
    return whole + [own[i : i + _IMAGES] for own in parts.values() for i in range(0, len(own), _IMAGES)]
