"""What can be shown: volumes behind ids, so that no address of the viewer ever holds a path."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """One volume on disk.

    files, format, fragment: as `medudl.data.read.read_volume` takes them. role: "scan", "expected", "anomaly",
    "mask", "synthetic", "back" (there and back), "cycle" (its error), "uncertainty" or "difference". unit: "HU",
    "arbitrary", "score" or "mask", as the reader of values is told. title: what the screen says; no identity of a
    patient. subject: pseudonymous. grid, grid_format: files of the scan that a mask was drawn on, needed where the mask
    is a DICOM segmentation or an RT structure set, which have no grid of their own; of a difference what is subtracted
    from the first of `files`; a second one says by its values where that means anything.
    flat: made from a picture, so that its affine says nothing of a patient.
    """

    files: tuple[Path, ...]
    format: str
    fragment: str = ""
    role: str = "scan"
    title: str = ""
    subject: str = ""
    modality: str = ""
    contrast: str = ""
    unit: str = "arbitrary"
    grid: tuple[Path, ...] = ()
    grid_format: str = ""
    flat: bool = False
    id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", identify("volume", *map(str, self.files), self.fragment, self.role))

    @property
    def recipe(self) -> str:
        """How its voxels come from its files: "" as they are, "mask", "difference", "scaled difference" without HU."""
        if self.role == "difference":
            return "difference" if self.unit == "HU" else "scaled difference"
        return "mask" if self.role == "mask" else ""


def identify(kind: str, *parts: str) -> str:
    """A short name for an address: 24 hexadecimal digits of a SHA-256. Stable over restarts, says nothing of a path."""
    return hashlib.sha256("\0".join((kind, *parts)).encode()).hexdigest()[:24]


class Sources:
    """The volumes that may be asked for; what no page has ever offered does not exist for a route."""

    def __init__(self) -> None:
        self._known: dict[str, Source] = {}
        self._lock = threading.Lock()

    def offer(self, sources: Iterable[Source]) -> None:
        """From now on these may be asked for."""
        with self._lock:
            self._known |= {source.id: source for source in sources}

    def find(self, id: str) -> Source | None:
        """The volume of this id, None for any other string."""
        return self._known.get(id)
