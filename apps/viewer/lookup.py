"""One bounded look through a folder: tables, runs, outputs, reports, and how many files look like scans."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medudl.data.discover import classify, ending

DEPTH = 4  # levels below the folder that are looked into
ENTRIES = 50_000  # names that are read before the look ends: a fraction of a second on a local disk
_TRIED = 3  # files without a telling name whose first bytes are read, in each folder
_MADE = {"run.json", "scores.csv", "report.json", "embedding.json", "samples.json", "translations.csv"}
_SILENT = {".csv", ".tsv", ".json", ".txt", ".md", ".key", ".jsonl", ".yaml", ".yml", ".log", ".html", ".safetensors"}


@dataclass
class Look:
    """What a look found. tables: CSV files; scans: files that look like scans; whole: False where it ended early."""

    tables: list[Path] = field(default_factory=list)
    runs: list[Path] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    embeddings: list[Path] = field(default_factory=list)
    samples: list[Path] = field(default_factory=list)
    translations: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    scans: int = 0
    whole: bool = True


@dataclass(frozen=True)
class _Listing:
    path: Path
    depth: int
    files: list[str]
    folders: list[str]


def look(folder: Path) -> Look:
    """Look through `folder`, upper levels first. Hidden names, and links that lead out of it, are passed by.

    A folder that cannot be read is passed by too: its owner may have closed it on purpose.
    """
    found = Look()
    for listing in _listings(folder, found):
        names = set(listing.files)
        if "run.json" in names:
            found.runs.append(listing.path)
        if "scores.csv" in names:
            found.outputs.append(listing.path)
        if "report.json" in names:
            found.reports.append(listing.path)
        if "embedding.json" in names:
            found.embeddings.append(listing.path)
        if "samples.json" in names:
            found.samples.append(listing.path)
        if "translations.csv" in names:
            found.translations.append(listing.path)
        found.labels += [listing.path / name for name in listing.files if name.endswith("labels.sqlite")]
        found.tables += [listing.path / name for name in listing.files if name.lower().endswith(".csv")]
        if not is_made(names):
            found.scans += _scans(listing)
    return found


def is_made(names: set[str]) -> bool:
    """Whether a folder with these names is one that medudl wrote: its pictures and volumes are no scans."""
    return not names.isdisjoint(_MADE)


def inside(path: Path, folder: Path) -> bool:
    """Whether a path, its links followed, lies in `folder` (which is resolved already)."""
    try:
        return path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a circle of links
        return False


def _listings(folder: Path, found: Look) -> Iterator[_Listing]:
    """Folders in order of depth, each once, until the bound is reached."""
    top = folder.resolve()
    waiting = deque([(folder, 0)])
    seen: set[tuple[int, int]] = set()
    left = ENTRIES
    while waiting:
        path, depth = waiting.popleft()
        listing = _list(path, depth, top, seen, left)
        if listing is None:
            continue
        left -= len(listing.files) + len(listing.folders)
        if left <= 0:
            found.whole = False
            return
        yield listing
        # A run's own folders hold nothing to be found, nor do those of samples; slices of a series have no tables.
        own = not {"run.json", "samples.json"}.isdisjoint(listing.files)
        if depth < DEPTH and not own and not _is_stack(listing.files):
            waiting += [(path / name, depth + 1) for name in listing.folders]
        elif depth == DEPTH and listing.folders:
            found.whole = False


def _list(path: Path, depth: int, top: Path, seen: set[tuple[int, int]], left: int) -> _Listing | None:
    files: list[str] = []
    folders: list[str] = []
    try:
        status = path.stat()
        if (status.st_dev, status.st_ino) in seen:
            return None
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.is_symlink() and not inside(Path(entry.path), top):
                    continue
                (folders if entry.is_dir() else files).append(entry.name)
                if len(files) + len(folders) >= left:
                    break
    except OSError:
        return None
    return _Listing(path, depth, sorted(files), sorted(folders))


def _is_stack(files: list[str]) -> bool:
    return any(name.lower().endswith((".dcm", ".dicom", ".ima")) for name in files)


def _scans(listing: _Listing) -> int:
    """Files whose name says scan, and those whose name says nothing where the first few are DICOM."""
    named = [name for name in listing.files if ending(name)]
    silent = [name for name in listing.files if not ending(name) and Path(name).suffix.lower() not in _SILENT]
    dicom = any(classify(listing.path / name)[0] for name in silent[:_TRIED])
    return len(named) + (len(silent) if dicom else 0)
