"""Which label stores lie in the opened folder, and the table of scans that each is about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.viewer.catalogue import Catalogue, CohortFile

NAME = "labels.sqlite"


@dataclass(frozen=True)
class StoreFile:
    """A label store. name: its path below the opened folder."""

    id: str
    name: str
    path: Path


def label_stores(catalogue: Catalogue) -> list[StoreFile]:
    """The stores of the folder, those of the upper folders first."""
    return [
        StoreFile(catalogue.id_of("labels", path), path.relative_to(catalogue.folder).as_posix(), path)
        for path in catalogue.look().labels
    ]


def tables_for(path: Path, files: Sequence[CohortFile]) -> list[CohortFile]:
    """Tables that a store may be about, likeliest first: cohort.csv beside it, others beside it, then the nearest."""

    def far(file: CohortFile) -> tuple[int, bool, str]:
        way = os.path.relpath(file.path.parent, path.parent)
        return (0 if way == "." else len(Path(way).parts), file.path.name != "cohort.csv", file.name)

    return sorted(files, key=far)


def free_place(file: CohortFile) -> Path:
    """Where a new store goes: labels.sqlite beside the table, else the next number: labels.sqlite is never replaced."""
    places = (file.path.parent / (NAME if n == 1 else f"{n}-{NAME}") for n in range(1, 1000))
    return next(place for place in places if not place.exists())
