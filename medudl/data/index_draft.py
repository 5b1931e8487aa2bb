"""A row in the making: what is known of a series before it becomes a row of cohort.csv."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medudl.data.cohort import NOTE, Series
from medudl.data.discover import Found
from medudl.data.fault import show
from medudl.data.identity import safe_name
from medudl.data.index_worker import Grid
from medudl.data.splits import spelled

Values = dict[str, str]
SYNTHETIC = "synthetic, model output: not learnt from"  # the fault of what a model made


@dataclass
class Draft:
    """A series and its files, with raw identifiers that stay in memory.

    below: path of its first file below the PATH given. values: subject, study, contrast ... as they will be written.
    faults: what keeps it out of training; hopeless: the file itself is of no use (unreadable, truncated, NaN), so that
    no setting can mend it. notes: what is worth knowing. rule: what named its contrast.
    """

    files: list[Path]
    below: str
    format: str
    fragment: str = ""
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    orientation: str = ""
    values: Values = field(default_factory=dict)
    series_uid: str = ""
    frame_of_reference: str = ""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hopeless: bool = False
    sha256: str = ""
    mask: Path | None = None
    rule: str = ""
    model_output: bool = False

    @classmethod
    def of(cls, found: Found, grid: Grid) -> Draft:
        """The draft of an image file; of an npz file, split and label come from its arrays."""
        draft = cls([found.path], found.below, found.format, grid.fragment, grid.shape, grid.spacing, grid.orientation)
        if grid.fragment:
            draft.values = {"split": spelled(grid.fragment.split("/")[0]), "label": grid.label}
        draft.model_output = grid.model_output
        return draft

    @classmethod
    def unreadable(cls, found: Found, fault: str) -> Draft:
        """The draft of a file that no header could be read from."""
        draft = cls([found.path], found.below, found.format)
        draft.condemn(fault)
        return draft

    @property
    def place(self) -> Path:
        """The file, or the folder that holds all files of the series."""
        if len(self.files) == 1:
            return self.files[0]
        return Path(os.path.commonpath([file.parent.absolute() for file in self.files]))

    def condemn(self, fault: str) -> None:
        """A fault that no setting can mend."""
        self.faults.insert(0, fault)
        self.hopeless = True

    def problems(self) -> str:
        """Faults, then notes, as one text for cohort.csv."""
        sentences = [*self.faults, *(NOTE + note for note in self.notes)]
        return "; ".join(" ".join(sentence.replace(";", ",").split()) for sentence in sentences)

    def path_below(self, root: Path) -> str:
        """Its path as it will stand in cohort.csv."""
        return relative(self.place, root) + (f"#{self.fragment}" if self.fragment else "")

    def row(self, root: Path) -> Series:
        """The row of cohort.csv; paths relative to `root`."""
        return Series(
            path=self.path_below(root), format=self.format, shape=self.shape, spacing=self.spacing,
            orientation=self.orientation, mask=relative(self.mask, root) if self.mask else "", sha256=self.sha256,
            problems=self.problems(),
            **self.values,
        )  # fmt: skip


def relative(path: Path, root: Path) -> str:
    """`path` relative to `root`, with forward slashes."""
    return Path(os.path.relpath(path.absolute(), root)).as_posix()


def series_name(below: str, stem: str, fragment: str = "") -> str:
    """Name of a file's series: its path without the ending, "/" as "_"; of a BIDS file its name, which says it all."""
    folders = [] if stem.startswith("sub-") else below.split("/")[:-1]
    return safe_name("_".join([*folders, stem, *([fragment.replace("/", "-")] if fragment else [])]))


def told(paths: Sequence[Path], shown: int = 3) -> str:
    """The first few paths, and how many more there are."""
    rest = f" and {len(paths) - shown} more" if len(paths) > shown else ""
    return ", ".join(show(path) for path in paths[:shown]) + rest


def count(number: int, one: str, many: str = "") -> str:
    """Say "1 patient", "2 patients"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
