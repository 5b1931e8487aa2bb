"""The scans of one output of `medudl translate`: what was made of each, how unsure that is, and what warns of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apps.viewer.anomalies import Shelf
from apps.viewer.catalogue import CohortFile, read_json
from apps.viewer.source import Source, identify
from apps.viewer.tables import rows_of
from apps.viewer.translations_find import TranslationFolder
from apps.viewer.verdicts import number
from medudl.data.cohort import Series
from medudl.data.identity import safe_name
from medudl.errors import UserError

_SYNTHETIC = re.compile(r"(?P<stem>[^/\\]+)_synthetic-(?P<name>[^/\\]+)\.nii\.gz")
_NEEDED = {"subject", "series", "to", "uncertainty", "volume"}


@dataclass(frozen=True)
class Made:
    """One synthetic volume. name: the contrast that it shows; unit: "HU" or "arbitrary"."""

    name: str
    unit: str
    stem: str
    path: Path

    def beside(self, kind: str) -> Path | None:
        """The volume of another kind ("cycle-back") that was written of the same scan."""
        path = self.path.with_name(f"{self.stem}_{kind}.nii.gz")
        return path if path.is_file() else None

    @property
    def about(self) -> dict[str, Any]:
        """Its sidecar, empty where it is gone or damaged."""
        side = read_json(self.path.with_name(self.path.name.removesuffix(".nii.gz") + ".json"))
        return side if isinstance(side, dict) else {}


@dataclass(frozen=True)
class Translation:
    """One row of translations.csv. number: its place in the file; made: none where the scan could not be translated.

    uncertainty: mean standard deviation in the foreground, in the unit of what was made; cycle_error: mean
    |there and back - scan| in the scan's own unit; None where not known. warnings: as written; problem: why none.
    """

    id: str
    number: int
    subject: str
    study: str
    series: str
    contrast: str
    to: str
    uncertainty: float | None
    cycle_error: float | None
    cycle_unit: str
    warnings: tuple[str, ...]
    made: tuple[Made, ...]
    problem: str

    @property
    def map(self) -> Path | None:
        """The first synthetic volume: its sidecar holds the hash of the scan."""
        return self.made[0].path if self.made else None

    @property
    def unit(self) -> str:
        """Of the uncertainty: "HU", "arbitrary", or "" where volumes of both kinds were made."""
        units = {made.unit for made in self.made}
        return units.pop() if len(units) == 1 else ""


def translations_of(folder: TranslationFolder) -> list[Translation]:
    """The rows of a folder's translations.csv, worst first: most warnings, then most uncertain; failures last.

    Raises UserError: gone, half-written, or no table of translations.
    """
    rows = rows_of(
        folder.path / "translations.csv", _NEEDED, "These synthetic scans are gone. Choose others, or translate again.",
        "The table of these synthetic scans cannot be read: it is damaged or still being written. Wait a moment, or"
        " translate again.",
    )  # fmt: skip
    found = [_row(folder, row, place) for place, row in enumerate(rows, start=1)]
    return sorted(found, key=lambda one: (not one.made, -len(one.warnings), -(one.uncertainty or 0), one.number))


def _row(folder: TranslationFolder, text: dict[str, str], place: int) -> Translation:
    part = {name: text.get(name, "") for name in ("study", "contrast", "cycle_unit", "problem")}
    names, units = text["volume"].split("; "), text.get("unit", "").split("; ")
    made = [_made(folder.path, name, units[n] if n < len(units) else units[-1]) for n, name in enumerate(names)]
    return Translation(
        id=identify("translation", folder.id, text["volume"] or str(place)),
        number=place,
        subject=text["subject"],
        study=part["study"],
        series=text["series"],
        contrast=part["contrast"],
        to=text["to"],
        uncertainty=_figure(text["uncertainty"]),
        cycle_error=_figure(text.get("cycle_error", "")),
        cycle_unit=part["cycle_unit"],
        warnings=tuple(told for told in text.get("warnings", "").split("; ") if told),
        made=tuple(one for one in made if one is not None),
        problem=part["problem"],
    )


def _made(folder: Path, name: str, unit: str) -> Made | None:
    """None but for a plain name of this folder: a table that somebody made must not lead to another place."""
    found = _SYNTHETIC.fullmatch(name)
    if found is None or name.startswith("."):
        return None
    return Made(found["name"], "HU" if unit == "HU" else "arbitrary", found["stem"], folder / name)


def _figure(text: str) -> float | None:
    try:
        return number(float(text))
    except ValueError:
        return None


@dataclass(frozen=True)
class Volumes:
    """What is shown of a translation; None for what is not there. notes: sentences about what cannot be shown."""

    scan: Source | None
    made: Source
    real: Source | None
    back: Source | None
    uncertainty: Source | None
    cycle: Source | None
    difference: Source | None
    notes: tuple[str, ...]


def volumes_of(shelf: Shelf, scan: Translation, made: Made) -> Volumes:
    """Everything of a translation that can be shown. Raises UserError: the synthetic volume is gone."""
    if not made.path.is_file():
        raise UserError("The synthetic volume of this scan is gone. Choose another scan, or translate again.")
    subject = shelf.subject(scan)
    found = shelf.find(scan)
    source, notes = _source(shelf, found, scan, subject)
    flat = source is not None and source.format in ("png", "npz")
    own = source.unit if source else ("HU" if scan.cycle_unit == "HU" else "arbitrary")

    synthetic = Source((made.path,), "nifti", role="synthetic", title=f"synthetic {made.name}", subject=subject,
                       unit=made.unit, flat=flat, contrast=made.name)  # fmt: skip

    def volume(kind: str, role: str, title: str, unit: str) -> Source | None:
        path = made.beside(kind)
        return replace(synthetic, files=(path,), role=role, title=title, unit=unit) if path else None

    real, note = _real(shelf, found, scan, made, subject)
    return Volumes(
        source, synthetic, real,
        volume("cycle-back", "back", f"{shelf.title(scan)} there and back", own),
        volume(f"uncertainty-{made.name}", "uncertainty", "uncertainty", made.unit),
        volume("cycle-error", "cycle", "cycle error", own),
        _difference(synthetic, real, made), (*notes, *([note] if note else [])),
    )  # fmt: skip


def _source(
    shelf: Shelf, found: tuple[CohortFile, Series] | None, scan: Translation, subject: str
) -> tuple[Source | None, list[str]]:
    if found is None:
        return None, ["The scan itself stands in no table of this folder: what was made of it is shown without it."]
    try:
        source = shelf.catalogue.source_of(*found)
    except (UserError, OSError):
        return None, ["The scan itself cannot be shown: its files are gone, or lie outside the opened folder. What was"
                      " made of it is shown without it."]  # fmt: skip
    return _called(source, shelf.title(scan), subject), []


def _real(
    shelf: Shelf, found: tuple[CohortFile, Series] | None, scan: Translation, made: Made, subject: str
) -> tuple[Source | None, str]:
    """The series of the same study that shows what was made, and a sentence where there are several."""
    if found is None:
        return None, ""
    file, row = found
    same = [one for one in file.rows if (one.subject, one.study) == (row.subject, row.study) and one != row]
    # made.name was read from a file's name, where not every contrast can stand as it is.
    fitting = [one for one in same if safe_name(one.contrast) == made.name]
    fitting = fitting or [one for one in same if one.modality == made.name]
    fitting = [one for one in fitting if one.usable]
    if len(fitting) > 1:
        return None, f"This study holds {len(fitting)} series that may be the real {made.name}: none is compared with."
    try:
        source = shelf.catalogue.source_of(file, fitting[0]) if fitting else None
    except (UserError, OSError):
        return None, f"The real {made.name} of this study cannot be shown: it is gone, or lies outside the folder."
    return source and _called(source, f"real {made.name}", subject), ""


def _difference(synthetic: Source, real: Source | None, made: Made) -> Source | None:
    """|synthetic - real| as a volume that is made when it is asked for; HU against HU only as they are."""
    if real is None or real.fragment:
        return None
    unit = "HU" if synthetic.unit == real.unit == "HU" else "arbitrary"
    title = f"difference from the {real.title}"
    looked = made.beside(f"uncertainty-{made.name}")  # 0 beyond what the model looked at
    files = (*synthetic.files, *([looked] if looked else []))
    return Source(files, synthetic.format, role="difference", title=title, subject=synthetic.subject,
                  unit=unit, grid=real.files, grid_format=real.format, flat=synthetic.flat)  # fmt: skip


def _called(source: Source, title: str, subject: str) -> Source:
    return replace(source, title=title, subject=subject)
