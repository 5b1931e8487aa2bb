"""The scans of one output of `medudl detect`: their scores, and the volumes that belong to each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from apps.viewer.catalogue import Catalogue, CohortFile, Output, read_json
from apps.viewer.source import Source, identify
from apps.viewer.tables import rows_of
from apps.viewer.verdicts import number
from apps.viewer.words import Names
from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError

_ENDING = "_anomaly.nii.gz"
_NEEDED = {"subject", "series", "score", "map"}
_FIGURES = ("score", "threshold", "expected_false_alarms", "expected_false_alarms_low", "expected_false_alarms_high")


@dataclass(frozen=True)
class Scan:
    """One row of scores.csv. figures: its numbers by column, None where absent; number: its place in the file.

    map: the anomaly map's file, None where the scan could not be scored; problem: why, as the file says it.
    """

    id: str
    number: int
    subject: str
    series: str
    contrast: str
    figures: dict[str, float | None]
    map: Path | None
    problem: str

    @property
    def score(self) -> float | None:
        """Higher is more unusual."""
        return self.figures["score"]

    @property
    def flagged(self) -> bool | None:
        """Whether the score lies above the scan threshold; None without a score or a threshold."""
        score, threshold = self.figures["score"], self.figures["threshold"]
        return None if score is None or threshold is None else score > threshold

    def beside(self, kind: str) -> Path | None:
        """The volume of another kind ("expected", "unusual") that was written with the map."""
        if self.map is None:
            return None
        path = self.map.with_name(self.map.name.removesuffix(_ENDING) + f"_{kind}.nii.gz")
        return path if path.is_file() else None


@dataclass(frozen=True)
class Volumes:
    """What is shown of a scan; None for what is not there. row, file: the scan's row in a table of the folder.

    note: a sentence where the scan itself cannot be shown.
    """

    scan: Source | None
    expected: Source | None
    map: Source
    lesion: Source | None
    note: str


def scans_of(output: Output) -> list[Scan]:
    """The rows of an output's scores.csv, highest score first, those without one last.

    Raises UserError: gone, half-written, or no table of scores.
    """
    rows = rows_of(
        output.path / "scores.csv", _NEEDED, "These maps are gone. Choose others, or look for unusual areas again.",
        "The scores of these maps cannot be read: the file is damaged or still being written. Wait a moment, or look"
        " for unusual areas again.",
    )  # fmt: skip
    found = [_scan(output, row, place) for place, row in enumerate(rows, start=1)]
    return sorted(found, key=lambda scan: (scan.score is None, -(scan.score or 0), scan.number))


def _scan(output: Output, text: dict[str, str], place: int) -> Scan:
    name = text["map"]
    # A name and nothing else: a table that somebody made must not lead to another place.
    known = name.endswith(_ENDING) and Path(name).name == name and not name.startswith(".")
    return Scan(
        identify("map", output.id, name or str(place)), place, text["subject"], text["series"],
        text.get("contrast", ""), {figure: _figure(text.get(figure, "")) for figure in _FIGURES},
        output.path / name if known else None, text.get("problem", ""),
    )  # fmt: skip


def _figure(text: str) -> float | None:
    try:
        return number(float(text))
    except ValueError:
        return None


class Row(Protocol):
    """A scan in a table of results. map: the file made of it, whose sidecar tells what it was made from."""

    @property
    def number(self) -> int:
        """Its place in the table of results."""

    @property
    def subject(self) -> str:
        """As in the table of scans."""

    @property
    def series(self) -> str:
        """As in the table of scans."""

    @property
    def contrast(self) -> str:
        """As in the table of scans."""

    @property
    def map(self) -> Path | None:
        """None where nothing was made."""


class Visited(Row, Protocol):
    """A row that tells the visit too."""

    @property
    def study(self) -> str:
        """As in the table of scans."""


class Shelf:
    """The tables in which the scans of an output may stand: those of the folder, then the run's own."""

    def __init__(self, catalogue: Catalogue, run: Path | None, private: bool) -> None:
        self.catalogue = catalogue
        self.private = private
        self._rows: dict[tuple[str, str], list[tuple[CohortFile, Series]]] = {}
        self._names: dict[str, Names] = {}
        for file in (*catalogue.cohorts(), *tables_of_run(catalogue, run)):
            for row in file.cohort.series():
                self._rows.setdefault((row.subject, row.series), []).append((file, row))

    def find(self, scan: Row) -> tuple[CohortFile, Series] | None:
        """The row of a scan: of several tables the one whose file is the one that was looked at, by its hash."""
        found = self._rows.get((scan.subject, scan.series), [])
        if len(found) > 1 and scan.map is not None:
            side = read_json(scan.map.with_name(scan.map.name.removesuffix(".nii.gz") + ".json"))
            hashes = side.get("SourceSHA256") if isinstance(side, dict) else None
            wanted = hashes.get(scan.series) if isinstance(hashes, dict) else None
            found = [pair for pair in found if pair[1].sha256 == wanted] or found
        shown = [pair for pair in found if self.catalogue.shows(pair[0])]
        return next(iter(shown or found), None)

    def subject(self, scan: Row) -> str:
        """What the patient is called on the screen; a number where only a table could say whether it is a name."""
        found = self.find(scan)
        if found is None:
            return f"scan {scan.number}" if self.private else scan.subject or f"scan {scan.number}"
        file, row = found
        return self._of(file).subject(row)

    def study(self, scan: Visited) -> str:
        """What the visit is called on the screen; nothing where only a table could say whether it is a name."""
        found = self.find(scan)
        if found is None:
            return "" if self.private else scan.study
        file, row = found
        return self._of(file).study(row)

    def _of(self, file: CohortFile) -> Names:
        if file.id not in self._names:
            self._names[file.id] = Names(file.cohort, self.private)
        return self._names[file.id]

    def title(self, scan: Row) -> str:
        """What the series is called."""
        return scan.contrast or "scan"

    def label(self, scan: Scan) -> str:
        """The label that the table gives the scan, "" for none."""
        found = self.find(scan)
        return found[1].label if found else ""

    def volumes(self, scan: Scan) -> Volumes:
        """Everything of a scan that can be shown. Raises UserError: its map is gone."""
        if scan.map is None or not scan.map.is_file():
            raise UserError("The map of this scan is gone. Choose another scan, or look for unusual areas again.")
        subject = self.subject(scan)
        source, lesion, note = self._scan(scan, subject)
        heat = Source((scan.map,), "nifti", role="anomaly", title="anomaly map", unit="score", subject=subject,
                      modality=source.modality if source else "", contrast=scan.contrast)  # fmt: skip
        path, unit = scan.beside("expected"), source.unit if source else "arbitrary"
        expected = replace(heat, files=(path,), role="expected", title="expected normal", unit=unit) if path else None
        return Volumes(source, expected, heat, lesion, note)

    def _scan(self, scan: Scan, subject: str) -> tuple[Source | None, Source | None, str]:
        found = self.find(scan)
        if found is None:
            return None, None, "The scan itself stands in no table of this folder: its map is shown without it."
        try:
            source = replace(self.catalogue.source_of(*found), title=self.title(scan), subject=subject)
        except (UserError, OSError):
            return None, None, ("The scan itself cannot be shown: its files are gone, or lie outside the opened folder."
                                " Its map is shown without it.")  # fmt: skip
        try:
            lesion = self.catalogue.mask_of(*found)
        except (UserError, OSError):
            return source, None, "The lesion mask of this scan cannot be shown: it is gone, or lies outside the folder."
        return source, lesion and replace(lesion, title="lesion mask (truth)", subject=subject), ""


def tables_of_run(catalogue: Catalogue, run: Path | None) -> Iterator[CohortFile]:
    """The table that a run keeps of what it was trained from."""
    path = run / "cohort.csv" if run is not None else None
    if path is not None and path.is_file():
        try:
            cohort = Cohort.read(path)
            cohort.series()
        except (UserError, OSError):
            return  # half-written or damaged: the tables of the folder remain
        yield CohortFile(catalogue.id_of("cohort", path), path, cohort, path.name)
