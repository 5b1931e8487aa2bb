"""A folder that `medudl sample` wrote, read with distrust: it may be half-written, cut off, changed or gone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.viewer.explore_folder import Rows
from apps.viewer.source import identify
from medudl.errors import UserError

FILES = ("samples.json", "samples.csv", "pictures.npy")  # without these nothing can be shown
MORE = ("nearest.npy", "codes.npy", "held_out.npy")
MOST = 20_000
RISKS = ("copy", "close", "own")
_GONE = "These samples are gone. Choose others, or make them again."
_DAMAGED = "These samples cannot be read: their folder is damaged or still being written. Wait, or make them again."


@dataclass(frozen=True)
class Samples:
    """Samples as they are on the disk at one moment; `key` changes when the files do. Row i is one sample.

    table: columns of samples.csv as text. pictures, nearest: uint8 (N, h, w). held_out: uint8 (M, h, w), patients'
    images that were not trained on. codes: (N, Z). None for what is not there.
    """

    path: Path
    key: str
    meta: dict[str, Any]
    table: dict[str, list[str]]
    pictures: Rows
    nearest: Rows | None
    held_out: Rows | None
    codes: NDArray[np.float32] | None

    @property
    def n(self) -> int:
        """Samples."""
        return int(self.pictures.shape[0])

    @property
    def aspect(self) -> float:
        """A pixel's height over its width."""
        told = self.meta.get("picture_aspect")
        if isinstance(told, (int, float)) and not isinstance(told, bool) and 0.05 <= told <= 20:
            return float(told)
        return 1.0

    @property
    def ratio(self) -> float:
        """Width over height, as a picture is to be shown."""
        height, width = self.pictures.shape[1:]
        return float(width / (height * self.aspect))

    @property
    def checked(self) -> bool:
        """Whether they were compared with patients' images."""
        return self.nearest is not None and any(self.text("risk", row) in RISKS for row in range(self.n))

    def text(self, column: str, row: int) -> str:
        """A cell, "" where there is no such column."""
        return self.table[column][row] if column in self.table else ""

    def number(self, column: str, row: int) -> float | None:
        """A cell as a finite number, None where it is none."""
        try:
            value = float(self.text(column, row))
        except ValueError:
            return None
        return value if np.isfinite(value) else None

    def risk(self, row: int) -> str:
        """One of RISKS, "" where it was not looked at."""
        told = self.text("risk", row)
        return told if told in RISKS else ""


def read_samples(path: Path) -> Samples:
    """Read a folder; kept until its files change. Raises UserError, one sentence for the screen."""
    return _read(path, stamp(path))


def stamp(path: Path) -> str:
    """What the entries of the folder's files say; another one when any of them changes. Raises UserError: gone."""
    parts = []
    for name in (*FILES, *MORE):
        try:
            status = (path / name).stat()
            parts.append(f"{status.st_ino} {status.st_size} {status.st_mtime_ns}")
        except OSError:
            if name in FILES:
                raise UserError(_DAMAGED if path.is_dir() else _GONE) from None
            parts.append("")
    return identify("samples-state", str(path), *parts)


def taken(rows: Rows, places: Sequence[int]) -> NDArray[np.uint8]:
    """These pictures. Raises UserError: gone, or cut short."""
    try:
        return np.asarray(rows.take(places), np.uint8)
    except UserError:
        raise UserError(_GONE if not rows.path.exists() else _DAMAGED) from None


@lru_cache(maxsize=8)
def _read(path: Path, key: str) -> Samples:
    meta, table = read_meta(path), _table(path)
    n = len(next(iter(table.values())))
    pictures = _pictures(path / "pictures.npy", n)
    if pictures is None or not 0 < n <= MOST:
        raise UserError(_DAMAGED)
    held_out = _pictures(path / "held_out.npy", None)
    if held_out is not None and held_out.shape[1:] != pictures.shape[1:]:
        raise UserError("The held-out images beside these samples have another size. Make the samples again.")
    return Samples(path, key, meta, table, pictures, _pictures(path / "nearest.npy", n), held_out, _codes(path, n))


def read_meta(path: Path) -> dict[str, Any]:
    """samples.json. Raises UserError: no samples, damaged, or of another version."""
    try:
        meta = json.loads((path / "samples.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(_DAMAGED) from None
    if not isinstance(meta, dict) or meta.get("kind") != "samples":
        raise UserError(_DAMAGED)
    if meta.get("format") != 1:
        raise UserError("These samples were written by another version of medudl. Make them again with this one.")
    return meta


def _table(path: Path) -> dict[str, list[str]]:
    try:
        head, *rows = list(csv.reader(io.StringIO((path / "samples.csv").read_text(encoding="utf-8"))))
    except (OSError, ValueError, csv.Error):
        raise UserError(_DAMAGED) from None
    if "sample" not in head or any(len(row) != len(head) for row in rows):
        raise UserError(_DAMAGED)
    return {name: [row[place] for row in rows] for place, name in enumerate(head)}


def _pictures(path: Path, n: int | None) -> Rows | None:
    if not path.is_file():
        return None
    rows = _opened(path)
    if len(rows.shape) != 3 or rows.dtype != np.uint8 or max(rows.shape[1:]) > 4096 or n not in (None, rows.shape[0]):
        raise UserError(_DAMAGED)
    return rows


def _codes(path: Path, n: int) -> NDArray[np.float32] | None:
    if not (path / "codes.npy").is_file():
        return None
    rows = _opened(path / "codes.npy")
    if len(rows.shape) != 2 or rows.shape[0] != n or rows.dtype.kind != "f":
        raise UserError(_DAMAGED)
    codes = rows.whole().astype(np.float32)
    if not np.isfinite(codes).all():
        raise UserError(_DAMAGED)
    return codes


def _opened(path: Path) -> Rows:
    try:
        return Rows(path)
    except UserError:
        raise UserError(_DAMAGED) from None
