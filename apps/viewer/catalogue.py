"""What lies in the viewed folder: tables of scans, runs, outputs, reports. Looked up anew at each call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from apps.viewer.lookup import Look, inside, look
from apps.viewer.source import Source, identify
from medudl.data.cohort import Cohort, Series
from medudl.data.fault import show
from medudl.errors import UserError

_INDEX_WRITES = {"subject", "path", "format", "sha256"}  # columns that tell a table of `medudl index` from another
_MASK_FORMATS = {".nii": "nifti", ".gz": "nifti", ".nrrd": "nrrd", ".nhdr": "nrrd", ".mha": "mha", ".mhd": "mha",
                 ".png": "png", ".jpg": "png", ".jpeg": "png"}  # fmt: skip


@dataclass(frozen=True)
class CohortFile:
    """A table of scans. name: its path below the folder; the cohort is shared by all sessions: read it only."""

    id: str
    path: Path
    cohort: Cohort
    name: str

    @property
    def rows(self) -> tuple[Series, ...]:
        """The rows of the cohort, made once for all."""
        return _rows(self.cohort)


@dataclass(frozen=True)
class RunFolder:
    """A folder that `medudl train` wrote. status: as run.json says it; whether its process lives is asked elsewhere."""

    id: str
    name: str
    path: Path
    method: str
    status: str


@dataclass(frozen=True)
class Output:
    """A folder that `medudl detect` wrote. run: id of the run that made it, "" where none in the folder did."""

    id: str
    name: str
    path: Path
    run: str


@dataclass(frozen=True)
class Report:
    """A folder that `medudl evaluate` wrote. run: as of an Output."""

    id: str
    name: str
    path: Path
    run: str


@dataclass(frozen=True)
class EmbeddingFolder:
    """A folder that `medudl embed` wrote. run: the run that made it, None where none in the folder did.

    trouble: why it cannot be shown, "" where its embedding.json can be read.
    """

    id: str
    name: str
    path: Path
    run: RunFolder | None
    trouble: str = ""


class Catalogue:
    """The viewed folder. Half-written files are left out, and `troubles` says so; nothing here raises but source_of."""

    def __init__(self, folder: Path, *also: Path) -> None:
        self.folder = folder
        self._places = [place.resolve() for place in (folder, *also)]

    def look(self) -> Look:
        """One bounded look through the folder."""
        return look(self.folder)

    def cohorts(self) -> list[CohortFile]:
        """Tables of scans, those of the upper folders first; a run's copy of its own table is none."""
        return [file for file in map(self._cohort, _tables(self.look())) if isinstance(file, CohortFile)]

    def runs(self) -> list[RunFolder]:
        """Runs, by name."""
        return [run for run in map(self._run, self.look().runs) if isinstance(run, RunFolder)]

    def outputs(self) -> list[Output]:
        """Folders of anomaly maps, each with the run that made it."""
        found = self.look()
        return [Output(self.id_of("output", p), self._name(p), p, self._maker(_made_by(p), found, p))
                for p in found.outputs]  # fmt: skip

    def reports(self) -> list[Report]:
        """Folders with a report.json, each with the run it judges."""
        found = self.look()
        return [Report(self.id_of("report", p), self._name(p), p, self._maker(_judged(p), found, p))
                for p in found.reports]  # fmt: skip

    def embeddings(self) -> list[EmbeddingFolder]:
        """Folders with an embedding.json, each with the run that its file names."""
        found = self.look()
        runs = {run.path.resolve(): run for run in map(self._run, found.runs) if isinstance(run, RunFolder)}
        # What lies beside the opened folder is out of reach, so that a run that was opened itself holds its map inside.
        inner = [path / "cases" for path in found.runs if (path / "cases" / "embedding.json").is_file()]
        return [self._embedding(path, runs) for path in (*found.embeddings, *inner)]

    def troubles(self) -> list[str]:
        """Sentences about tables and runs that could not be read, and about a look that ended early."""
        found = self.look()
        parts = [*map(self._cohort, _tables(found)), *map(self._run, found.runs)]
        told = [part for part in parts if isinstance(part, str)]
        if not found.whole:
            told.append("The folder is large or deep: only its upper part was looked through. Open a smaller folder.")
        return told

    def id_of(self, kind: str, path: Path) -> str:
        """The name of a file or folder of this catalogue in an address."""
        return identify(kind, self._name(path))

    def source_of(self, file: CohortFile, series: Series) -> Source:
        """A row as something to be shown. Raises UserError: its files are gone, or lie outside the folder."""
        files = tuple(file.cohort.files_of(series))
        self._check(files)
        unit = "HU" if series.modality == "CT" and series.format not in ("png", "npz") else "arbitrary"
        title = series.contrast or series.modality or "scan"
        return Source(
            files, series.format, series.fragment, title=title, subject=series.subject, modality=series.modality,
            contrast=series.contrast, unit=unit,
        )  # fmt: skip

    def mask_of(self, file: CohortFile, series: Series) -> Source | None:
        """The row's lesion mask, None where it has none. Raises UserError as source_of does."""
        path = file.cohort.mask_path(series)
        if path is None:
            return None
        if not path.exists():
            raise UserError("The lesion mask of this series is gone; was it moved? Run `medudl index` again.")
        files: tuple[Path, ...] = (path,)
        if path.is_dir():
            files = tuple(sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")))
        self._check(files)
        format = _MASK_FORMATS.get(path.suffix.lower(), "dicom") if path.is_file() else "dicom"
        scan = self.source_of(file, series)  # a segmentation's outlines are drawn on its grid
        return Source(files, format, role="mask", title="lesion mask", subject=series.subject, unit="mask",
                      grid=scan.files, grid_format=scan.format)  # fmt: skip

    def id_of_series(self, file: CohortFile, series: Series) -> str:
        """The name of a row in an address; it needs no look at the row's files."""
        return identify("series", file.id, series.series, series.path)

    def shows(self, file: CohortFile) -> bool:
        """Whether the scans of a table lie where scans may be shown from."""
        return self._allowed(file.cohort.root)

    def _check(self, files: tuple[Path, ...]) -> None:
        if not all(map(self._allowed, files)):
            raise UserError(
                "These scans lie outside the opened folder, and nothing outside it is shown;"
                " start the viewer on the table itself, or name their folder with --also"
            )

    def _allowed(self, path: Path) -> bool:
        return any(inside(path, place) for place in self._places)

    def _name(self, path: Path) -> str:
        below = path.relative_to(self.folder).as_posix()
        return show(below if below != "." else self.folder.resolve().name)

    def _cohort(self, path: Path) -> CohortFile | str:
        """The table, or a sentence about it."""
        try:
            cohort = _read_cohort(path, _stamp(path), _stamp(path.with_suffix(".json")))
        except (UserError, OSError):
            return (f"{self._name(path)} cannot be read as a table of scans: it is damaged or still being written."
                    " Wait a moment, or index the scans again.")  # fmt: skip
        return CohortFile(self.id_of("cohort", path), path, cohort, self._name(path))

    def _run(self, path: Path) -> RunFolder | str:
        meta = read_json(path / "run.json")
        if not isinstance(meta, dict) or not isinstance(meta.get("method"), str):
            return (f"The run {self._name(path)} cannot be read: its run.json is damaged or still being written."
                    " Wait a moment, or restore the folder from a copy.")  # fmt: skip
        status = str(meta.get("status", ""))
        return RunFolder(self.id_of("run", path), self._name(path), path, meta["method"], status)

    def _embedding(self, path: Path, runs: dict[Path, RunFolder]) -> EmbeddingFolder:
        meta = read_json(path / "embedding.json")
        if not isinstance(meta, dict) or not isinstance(meta.get("run"), str):
            told = f"{self._name(path)} cannot be read: it is damaged or still being written."
            return EmbeddingFolder(self.id_of("embedding", path), self._name(path), path, None, told)
        run = runs.get((path / meta["run"]).resolve())
        return EmbeddingFolder(self.id_of("embedding", path), self._name(path), path, run)

    def _maker(self, thresholds: set[float], found: Look, path: Path) -> str:
        """The run whose healthy thresholds stand in an output; of copies of a run, the one that lies nearest."""
        fitting = [run for run in found.runs if thresholds & _thresholds(read_json(run / "calibration.json"))]
        runs = [run for run in map(self._run, sorted(fitting, key=lambda run: _apart(run, path)))
                if isinstance(run, RunFolder)]  # fmt: skip
        return runs[0].id if runs else ""


def read_json(path: Path) -> Any:
    """A JSON file, None where it is absent, half-written or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=16)
def _read_cohort(path: Path, table: tuple[int, ...], meta: tuple[int, ...]) -> Cohort:
    """A table, read once for each state of its two files. Raises UserError where a row is no series."""
    cohort = Cohort.read(path)
    _rows(cohort)
    return cohort


@lru_cache(maxsize=16)
def _rows(cohort: Cohort) -> tuple[Series, ...]:
    return tuple(cohort.series())


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _tables(found: Look) -> list[Path]:
    runs = set(found.runs)
    return [path for path in found.tables if path.parent not in runs and _is_cohort(path)]


def _is_cohort(path: Path) -> bool:
    """By its name, or by the columns that `medudl index` writes."""
    if path.name == "cohort.csv":
        return True
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return set(stream.readline(4096).strip().split(",")) >= _INDEX_WRITES
    except OSError:
        return False


def _thresholds(calibration: Any) -> set[float]:
    """The scan and voxel thresholds of a calibration: numbers of full length, so that equal ones mean the same run."""
    if not isinstance(calibration, dict):
        return set()
    parts = [calibration.get(name) for name in ("scan", "voxel")]
    found = [part.get("threshold") for part in parts if isinstance(part, dict)]
    return {float(value) for value in found if isinstance(value, (int, float))}


def _made_by(output: Path) -> set[float]:
    """The thresholds that the sidecars of an output's maps name; one map stands for all."""
    side = next(iter(sorted(output.glob("*_anomaly.json"))), None)
    meta = read_json(side) if side else None
    value = meta.get("Threshold") if isinstance(meta, dict) else None
    return {float(value)} if isinstance(value, (int, float)) else set()


def _judged(report: Path) -> set[float]:
    found = read_json(report / "report.json")
    return _thresholds(found.get("calibration")) if isinstance(found, dict) else set()


def _apart(run: Path, path: Path) -> tuple[int, str]:
    """Steps between two folders."""
    shared = sum(1 for _ in _common(run.parts, path.parts))
    return len(run.parts) + len(path.parts) - 2 * shared, str(run)


def _common(one: tuple[str, ...], two: tuple[str, ...]) -> list[str]:
    return [a for a, b in zip(one, two, strict=False) if a == b]
