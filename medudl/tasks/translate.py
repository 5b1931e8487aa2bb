"""Translate: for each scan the other contrast, its uncertainty, and a warning where it must not be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from medudl.data.cases import Case
from medudl.data.cohort import Cohort
from medudl.data.derived import NOTICE
from medudl.data.identity import safe_name
from medudl.errors import UserError
from medudl.tasks.detect import cases_in, check_dicom, left_out
from medudl.tasks.folds import one_run
from medudl.tasks.outputs import About, Folder, WriteError, sources_of, stems, without_paths
from medudl.tasks.translator import Passed, Translated, TranslationRun

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

COLUMNS = (
    "subject", "study", "series", "contrast", "to", "unit", "uncertainty", "cycle_error", "cycle_unit", "warnings",
    "volume", "problem",
)  # fmt: skip

__all__ = ["COLUMNS", "Volumes", "row_of", "translate"]


def translate(
    run: str | Path, input: str | Path, out: str | Path, *, to: str | None = None, dicom: bool = False,
    burn_in: bool = False, ensemble: Sequence[str | Path] = (), split: str | None = None, device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Write synthetic volumes and translations.csv of every scan of INPUT below OUT; returns the table.

    <name>_synthetic-<TO>.nii.gz on the source's grid (HU for CT), <name>_uncertainty-<TO>.nii.gz, the standard
    deviation over mirrored and moved views or over `ensemble`'s runs, in the same unit, and, where the method knows the
    way back, <name>_cycle-back.nii.gz, the scan there and back, and <name>_cycle-error.nii.gz, how far that is from the
    scan, both in its own unit; each with a JSON sidecar. to: which side is made; default the run's target. dicom: a
    derived DICOM series beside them; burn_in: with words in its pixels. warnings says where a scan differs from
    those it was trained on. A scan that cannot be read, or that is left out (see `detect.left_out`), keeps its row with
    the reason under `problem`; where that is so for every scan, the first reason is raised and no new folder stays.

    UserError: no run, no translation, a member of `ensemble` that differs, no readable input, DICOM asked for other
    input, OUT not writable.
    """
    if burn_in and not dicom:
        raise UserError("--burn-in writes words into DICOM images; add --dicom")
    opened = one_run(run)
    translator = TranslationRun(opened, to, [one_run(other) for other in ensemble], device)
    cohort, cases = cases_in(opened, input, split, translator.source)
    if dicom:
        check_dicom(cases)
    folder = Folder.create(out, "medudl synthetic scans")
    volumes = Volumes(translator, cohort, folder, dicom, burn_in)
    rows: list[dict[str, Any]] = []
    first: UserError | None = None
    with _bar(progress) as bar:
        task = bar.add_task("translating", total=len(cases))
        for number, (case, stem) in enumerate(zip(cases, stems(cases), strict=True)):
            try:
                rows.append(row_of(case, **volumes.write(case, stem, number, lambda share: bar.advance(task, share))))
            except WriteError:
                raise
            except UserError as error:
                first = first or error
                rows.append(row_of(case, problem=without_paths(str(error), cohort, case.present)))
            bar.update(task, completed=number + 1)
    if first is not None and all(row["problem"] for row in rows):
        folder.withdraw()
        raise first
    others = left_out(cohort, cases, opened.config.data, translator.source)
    rows += [row_of(case, problem=why) for case, why in others]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    folder.text("translations.csv", table.to_csv(index=False, lineterminator="\n"))
    return table


def _bar(progress: bool) -> Progress:
    """Moves with every batch of slices: a single large scan takes minutes."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not progress)


@dataclass(frozen=True)
class Volumes:
    """Writes one scan's files below `folder`."""

    translator: TranslationRun
    cohort: Cohort
    folder: Folder
    dicom: bool
    burn_in: bool

    def write(self, case: Case, stem: str, number: int, passed: Passed) -> dict[str, Any]:
        """Translate and write one scan, the `number`-th of its output; returns its columns of translations.csv.

        UserError: it cannot be read or does not fit the run; nothing of it is written then. WriteError: the folder
        cannot take it.
        """
        return self.put(self.translator.translated(self.cohort, case, passed), stem, number)

    def put(self, done: Translated, stem: str, number: int) -> dict[str, Any]:
        """Write a scan that was translated already; otherwise as `write`."""
        affine = self.translator.pipeline.source_affine(done.prepared)
        inside = done.prepared.foreground[0]
        channels = self.translator.channels
        volumes = [
            self._on_source(done, done.made[place : place + 1], one["low"]) for place, one in enumerate(channels)
        ]
        # What can fail comes before the first file, and the series, which can still fail while it is written, first.
        series = [
            self._series(done, number * len(channels) + place, made, affine) if self.dicom else None
            for place, made in enumerate(volumes)
        ]
        names = []
        for place, (channel, made, images) in enumerate(zip(channels, volumes, series, strict=True)):
            safe = safe_name(channel["name"])  # a contrast may be called T2/FLAIR
            if images is not None:
                self.folder.dicom_series(stem, f"synthetic-{safe}", images)
            unit = "HU (synthetic)" if channel["unit"] == "HU" else "arbitrary, mean scale of the training scans"
            what = f"Synthetic {channel['name']}"
            names.append(self.folder.volume(stem, f"synthetic-{safe}", made, affine, self._about(done, what, unit)))
            spread = self._on_source(done, done.uncertainty[place : place + 1], 0.0)
            about = self._about(done, f"Standard deviation of {what.lower()}", unit)
            self.folder.volume(stem, f"uncertainty-{safe}", spread, affine, about)
        columns = {"uncertainty": float(done.uncertainty[:, inside].mean()), "volume": "; ".join(names)}
        if done.back is not None and done.cycle is not None:
            self._write_back(done, done.back, stem, affine)
            cycle = self._on_source(done, done.cycle.mean(axis=0, keepdims=True), 0.0)
            unit = self._source_unit
            about = self._about(done, "Difference of the scan from its translation there and back", unit)
            self.folder.volume(stem, "cycle-error", cycle, affine, about)
            columns |= {"cycle_error": float(done.cycle[:, inside].mean()), "cycle_unit": unit}
        unit = "; ".join(channel["unit"] for channel in self.translator.channels)
        return {**columns, "to": self.translator.to, "unit": unit, "warnings": "; ".join(done.warnings)}

    def _write_back(self, done: Translated, back: NDArray[Any], stem: str, affine: Any) -> None:
        """Of several channels the one of the row: it is what is shown beside the scan."""
        place = done.case.channels.index(done.case.grid)
        nothing = np.zeros_like(done.prepared.image[:, :1, :1, :1])
        low = float(self.translator.pipeline.to_intensity(done.prepared, nothing)[place].item())
        about = self._about(done, "The scan translated there and back", self._source_unit)
        self.folder.volume(stem, "cycle-back", self._on_source(done, back[place : place + 1], low), affine, about)

    @property
    def _source_unit(self) -> str:
        units = {one["unit"] for one in self.translator.sides[self.translator.source]["channels"]}
        return "HU" if units == {"HU"} else "arbitrary"

    def _on_source(self, done: Translated, array: NDArray[Any], fill: float) -> NDArray[np.float32]:
        """(1, D, H, W) -> (X, Y, Z) on the scan's own grid, `fill` where the model did not look."""
        made = self.translator.pipeline.invert(done.prepared, array, fill=fill)[0]
        return np.asarray(made, np.float32)

    def _series(
        self, done: Translated, number: int, made: NDArray[np.float32], affine: Any
    ) -> Iterator[tuple[str, Dataset]]:
        """The images of a derived series, not written yet. UserError: no series can be made of this scan."""
        from medudl.data.synthetic_dicom import Synthetic, synthetic_series

        translator = self.translator
        channel = translator.channels[number % len(translator.channels)]
        modality = translator.sides[translator.target]["modality"]
        about = Synthetic(
            channel["name"], "CT" if modality == "CT" or channel["unit"] == "HU" else "MR", channel["unit"],
            translator.name, number + 1, tuple(done.warnings), self.burn_in,
        )  # fmt: skip
        try:
            return synthetic_series(self.cohort.files_of(done.case.grid), made, affine, about)
        except UserError as error:
            raise UserError(f"{done.case.id}: {error}") from None

    def _about(self, done: Translated, description: str, units: str) -> About:
        members = len(self.translator.methods)
        told = {
            "Method": self.translator.name,
            "Notice": NOTICE,
            "Uncertainty": "standard deviation over "
            + (f"{members} runs" if members > 1 else "the scan as it is, mirrored, and moved by 1 and 2 voxels"),
            "Warnings": done.warnings,
        }
        return About(description, units, sources_of(done.case), told)


def row_of(case: Case, **values: Any) -> dict[str, Any]:
    """A scan's row of translations.csv."""
    told = {"subject": case.subject, "study": case.study, "series": case.grid.series, "contrast": case.grid.contrast}
    return {**dict.fromkeys(COLUMNS), **told, "problem": "", **values}
