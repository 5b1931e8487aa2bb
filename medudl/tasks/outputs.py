"""Writing what was found: NIfTI, sidecars and derived DICOM below one folder, each file whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medudl.data.cases import Case
from medudl.data.cohort import Cohort, Series
from medudl.data.derived import dataset_description, sidecar, write_nifti
from medudl.data.identity import safe_name, unique_names
from medudl.errors import UserError
from medudl.state import replace_file, write_text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_FULL = {errno.ENOSPC: "the disk is full; free some and run again", errno.EDQUOT: "your quota is used up; free some"}
_OF_FILES = frozenset({".csv", ".json", ".html", ".nii", ".gz", ".dcm", ".png", ".xlsx"})


class WriteError(UserError):
    """OUT cannot be written: no later scan will fare better."""


@contextmanager
def told(place: Path) -> Iterator[None]:
    """An error of the file system (full, read-only, not yours) becomes one line."""
    try:
        yield
    except OSError as error:
        what = _FULL.get(error.errno or 0, f"cannot be written ({error.strerror}); choose another folder")
        raise WriteError(f"{place}: {what}") from None


def stems(cases: Sequence[Case]) -> list[str]:
    """File names without their ending, one a case, all different: its id, and its contrast where the id has none."""
    names = []
    for case in cases:
        several = len(case.channels) > 1 and case.grid.contrast
        names.append(f"{case.id}_{safe_name(case.grid.contrast)}" if several else case.id)
    return unique_names(names)


@dataclass(frozen=True)
class Folder:
    """An output folder. Names are safe by the time they come here; nothing is written elsewhere.

    made: what `create` brought into being, the innermost first.
    """

    path: Path
    made: tuple[Path, ...] = ()

    @classmethod
    def create(cls, path: str | Path, name: str = "") -> Folder:
        """Make the folder, with a dataset_description.json where it has a name.

        Raises WriteError: it cannot be made, or its name is that of a file, which is what was wanted then.
        """
        path = Path(path)
        if path.suffix.lower() in _OF_FILES and not path.is_dir():
            raise WriteError(f"{path}: a folder is written, not a file; name one without {path.suffix}")
        with told(path):
            about = [path / "dataset_description.json"] if name else []
            made = tuple(place for place in (*about, path, *path.parents) if not place.exists())
            path.mkdir(parents=True, exist_ok=True)
            for place in about:
                write_text(place, dataset_description(name))
        return cls(path, made)

    def withdraw(self) -> None:
        """Take away what `create` made, after a call that wrote nothing else; a folder that holds more stays."""
        with suppress(OSError):
            for place in self.made:
                place.rmdir() if place.is_dir() else place.unlink()

    def text(self, name: str, text: str) -> None:
        """Write a text file."""
        with told(self.path):
            write_text(self.path / name, text)

    def volume(self, stem: str, kind: str, voxels: NDArray[Any], affine: NDArray[np.float64], about: About) -> str:
        """Write <stem>_<kind>.nii.gz and its sidecar; returns the volume's name."""
        name = f"{stem}_{kind}.nii.gz"
        self._file(name, lambda path: write_nifti(path, voxels, affine, about.description))
        self.text(f"{stem}_{kind}.json", sidecar(kind, about.description, about.units, about.sources, about.settings))
        return name

    def dicom(self, stem: str, kind: str, made: Dataset) -> str:
        """Write <stem>_<kind>.dcm; returns its name."""
        from medudl.data.derived_dicom import write_dicom

        name = f"{stem}_{kind}.dcm"
        self._file(name, lambda path: write_dicom(path, made))
        return name

    def dicom_series(self, stem: str, kind: str, made: Iterable[tuple[str, Dataset]]) -> str:
        """Write the folder <stem>_<kind> of DICOM files, whole or not at all; returns its name."""
        from medudl.data.derived_dicom import write_dicom

        name = f"{stem}_{kind}"
        building = self.path / f".{name}.tmp"
        with told(self.path):
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
            try:
                for file, dataset in made:
                    write_dicom(building / file, dataset)
                shutil.rmtree(self.path / name, ignore_errors=True)
                os.replace(building, self.path / name)
            finally:
                shutil.rmtree(building, ignore_errors=True)
        return name

    def _file(self, name: str, write: Callable[[Path], None]) -> None:
        with told(self.path):
            replace_file(self.path / name, write)


@dataclass(frozen=True)
class About:
    """What a volume's sidecar says."""

    description: str
    units: str
    sources: list[dict[str, str]]
    settings: dict[str, Any]


def sources_of(case: Case) -> list[dict[str, str]]:
    """The series that went in, by pseudonymous id and hash: a path could hold a name."""
    return [{"series": series.series, "sha256": series.sha256} for series in case.present]


def without_paths(message: str, cohort: Cohort, among: Iterable[Series]) -> str:
    """The message with a series' id in the place of its files: a folder may be called after a patient."""
    names: dict[str, str] = {}
    for series in among:
        listed = [str(name) for name in cohort.meta.get("files", {}).get(series.series, [])]
        names |= {name: series.series for name in (*listed, series.path, series.file, series.mask)}
    for name in sorted(names, key=len, reverse=True):
        if name not in ("", "."):
            message = message.replace(str(cohort.root / name), names[name])
            message = re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w-])", names[name], message)
    return message.replace(str(cohort.root), "the cohort's root")
