"""The table of what there is: one row a series, as cohort.csv with cohort.json beside it."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medudl.config import nearest
from medudl.data.discover import looks_like_dicom
from medudl.errors import UserError

COLUMNS = (
    "subject", "study", "series", "modality", "contrast", "path", "format", "shape", "spacing", "orientation",
    "label", "mask", "split", "sha256", "problems",
)  # fmt: skip
EXTRA = ("scanner", "age", "sex")  # written when any row has one
SPLITS = ("train", "val", "test")
VERSION = 1
NOTE = "note: "  # a problem that begins so does not keep a series out of training


@dataclass(frozen=True)
class Series:
    """One row. Text throughout, "" where nothing is known.

    path, mask: relative to the cohort's root, with forward slashes; `path` of a DICOM series is the folder that holds
    its files, `#` parts a file from what lies inside it ("digits.npz#train/12"). shape: voxels along X, Y, Z as in
    `Volume`. spacing: mm along the same axes. orientation: where the axes point, "LPS". problems: "" or sentences
    parted by "; ".
    """

    subject: str
    study: str = ""
    series: str = ""
    modality: str = ""
    contrast: str = ""
    path: str = ""
    format: str = ""
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    orientation: str = ""
    label: str = ""
    mask: str = ""
    split: str = ""
    sha256: str = ""
    problems: str = ""
    scanner: str = ""
    age: str = ""
    sex: str = ""

    @property
    def file(self) -> str:
        """`path` without the part inside the file."""
        return split_fragment(self.path)[0]

    @property
    def fragment(self) -> str:
        """The part inside the file ("train/12" of an npz), or ""."""
        return split_fragment(self.path)[1]

    @property
    def usable(self) -> bool:
        """Whether nothing but notes is wrong with it."""
        return not self.problems or all(problem.startswith(NOTE) for problem in self.problems.split("; "))

    def row(self) -> dict[str, str]:
        """The row of cohort.csv: shape as 256x256x22, spacing as 0.86x0.86x6.5."""
        row = {name: value for name, value in vars(self).items() if isinstance(value, str)}
        return {**row, "shape": "x".join(map(str, self.shape)), "spacing": "x".join(f"{s:.6g}" for s in self.spacing)}


def split_fragment(path: str) -> tuple[str, str]:
    """("digits.npz", "train/12") of "digits.npz#train/12"; a # elsewhere belongs to the file's name."""
    head, mark, tail = path.rpartition("#")
    return (head, tail) if mark and head.lower().endswith(".npz") else (path, "")


class Cohort:
    """Rows of series below one root. `table` holds text only: COLUMNS, then any further columns.

    meta: version, key_id, files {series: paths of its files in slice order}, contrast_rules {series: why}, problems
    (sentences about files that became no row), settings.
    """

    def __init__(self, root: str | Path, table: pd.DataFrame, meta: Mapping[str, Any] | None = None):
        self.root = Path(root)
        self.table = table.reset_index(drop=True)
        self.meta: dict[str, Any] = dict(meta or {})

    @classmethod
    def of(cls, root: str | Path, rows: Sequence[Series], meta: Mapping[str, Any] | None = None) -> Cohort:
        """A cohort of these rows; scanner, age and sex become columns when any row has them."""
        table = pd.DataFrame([row.row() for row in rows], columns=[*COLUMNS, *EXTRA], dtype=str).fillna("")
        return cls(root, table[[*COLUMNS, *(name for name in EXTRA if table[name].ne("").any())]], meta)

    @classmethod
    def read(cls, path: str | Path) -> Cohort:
        """Read cohort.csv and, if it is there, cohort.json. Raises UserError: absent, no table, a column missing.

        A table made by hand needs `path` and `subject`; its root is then the folder it lies in.
        """
        path = Path(path)
        table = _read_table(path)
        meta = _read_meta(path.with_suffix(".json"))
        root = Path(os.path.normpath(path.parent / str(meta.pop("root", "."))))
        return cls(root, table, meta)

    def write(self, path: str | Path) -> None:
        """Write cohort.csv and cohort.json, each whole or not at all; the root is stored relative to the table."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        root = Path(os.path.relpath(self.root.resolve(), path.parent.resolve())).as_posix()
        meta = {**self.meta, "version": VERSION, "root": root}
        stream = io.StringIO()
        self.table.to_csv(stream, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        # JSON first: a table without it would be read with another root.
        write_whole(path.with_suffix(".json"), json.dumps(meta, indent=1, ensure_ascii=False) + "\n")
        write_whole(path, stream.getvalue())

    def __len__(self) -> int:
        return len(self.table)

    @property
    def key_id(self) -> str:
        """Which key made the pseudonyms; "" if there are none."""
        return str(self.meta.get("key_id", ""))

    @property
    def problems(self) -> list[str]:
        """Every problem and note as a sentence: those of the rows with their path, then those of other files."""
        series = self.series()
        places = zip(series, self.places(series), strict=True)
        rows = [f"{place}: {each}" for row, place in places if row.problems for each in row.problems.split("; ")]
        return rows + [str(problem) for problem in self.meta.get("problems", [])]

    @property
    def has_problems(self) -> bool:
        """Whether anything worse than a note is known."""
        return bool(self.meta.get("problems")) or any(not row.usable for row in self.series())

    def series(self) -> list[Series]:
        """The rows. Raises UserError where a shape or spacing is no list of numbers."""
        known = [name for name in (*COLUMNS, *EXTRA) if name in self.table]
        return [_series(dict(zip(known, values, strict=True)), n) for n, values in enumerate(self._values(known))]

    def select(self, where: Mapping[str, str | Sequence[str]], split: str | None = None) -> Cohort:
        """The rows whose columns hold one of the values asked for. Raises UserError on an unknown column."""
        table = self.table
        for column, wanted in {**where, **({"split": split} if split is not None else {})}.items():
            if column not in table:
                raise UserError(f"cohort has no column {column}; {nearest(column, list(table.columns))}")
            table = table[table[column].isin([wanted] if isinstance(wanted, str) else list(wanted))]
        return Cohort(self.root, table, self.meta)

    def named(self, name: str) -> Cohort:
        """The rows of that contrast, or of that modality."""
        table = self.table
        return Cohort(self.root, table[(table["contrast"] == name) | (table["modality"] == name)], self.meta)

    def files_of(self, series: Series) -> list[Path]:
        """The files of a series, DICOM slices in slice order (by name where cohort.json is absent).

        Raises UserError if one is absent.
        """
        listed = self.meta.get("files", {}).get(series.series)
        if listed is not None:
            files = [self.root / name for name in listed]
        else:
            place = self.root / series.file  # a folder in a table made by hand is a DICOM series
            files = sorted(filter(looks_like_dicom, place.iterdir())) if place.is_dir() else [place]
        lost = next((file for file in files if not file.is_file()), None)
        if lost is not None or not files:
            raise UserError(f"{lost or series.path}: in the cohort but absent; was it moved? run `medudl index` again")
        return files

    def places(self, series: Sequence[Series]) -> list[str]:
        """Where each lies, for a reader: its path; where a folder holds several series, its first file and how many."""
        shared = Counter(row.path for row in series)
        listed = [self.meta.get("files", {}).get(row.series, []) if shared[row.path] > 1 else [] for row in series]
        return [
            row.path if not files else f"{files[0]} and {len(files) - 1:,} more" if len(files) > 1 else files[0]
            for row, files in zip(series, listed, strict=True)
        ]

    def mask_path(self, series: Series) -> Path | None:
        """The file of the series' lesion mask, or None."""
        return self.root / series.mask if series.mask else None

    def _values(self, columns: list[str]) -> list[list[str]]:
        return self.table[columns].to_numpy(dtype=str).tolist() if len(self.table) else []


def write_whole(path: Path, text: str) -> None:
    """Write to a temporary file, flush it to the disk, rename: a reader finds the old file or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV (or TSV) as text, "" for empty. Raises UserError: absent, or no table."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, sep="\t" if path.suffix == ".tsv" else ",")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as a table ({reason}); save it as CSV in UTF-8 with a header") from None


def _read_table(path: Path) -> pd.DataFrame:
    table = read_csv(path)
    for needed in ("subject", "path"):
        if needed not in table:
            raise UserError(f"{path}: has no column {needed}; a cohort is made by `medudl index`, see docs/data.md")
    if not len(table):
        raise UserError(f"{path}: has no rows; run `medudl index` over a folder with scans")
    for column in COLUMNS:
        if column not in table:
            table[column] = ""
    if not table["series"].all():
        table["series"] = [series or f"row-{n}" for n, series in enumerate(table["series"], start=1)]
    unknown = sorted(set(table["split"]) - {"", *SPLITS})
    if unknown:
        raise UserError(f"{path}: split {unknown[0]!r} is none of {', '.join(SPLITS)}")
    return table[[*COLUMNS, *(name for name in table if name not in COLUMNS)]]


def _read_meta(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        meta = None
    if not isinstance(meta, dict):
        raise UserError(f"{path}: not readable as JSON; run `medudl index` again")
    if meta.get("version") != VERSION:
        raise UserError(f"{path}: not of version {VERSION}, which this medudl reads; run `medudl index` again")
    return meta


def _series(values: dict[str, str], number: int) -> Series:
    try:
        shape = tuple(int(n) for n in values["shape"].split("x") if n)
        spacing = tuple(float(n) for n in values["spacing"].split("x") if n)
    except ValueError:
        raise UserError(f"cohort row {number + 1}: shape or spacing is no list of numbers such as 256x256x22") from None
    return Series(**{**values, "shape": shape, "spacing": spacing})  # type: ignore[arg-type]
