"""A folder that `medudl embed` wrote, read with distrust: it may be half-written, cut off, changed or gone."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.viewer.source import identify
from medudl.errors import UserError

FILES = ("embedding.json", "embedding.csv", "embedding.npy")  # without these nothing can be shown
MOST = 100_000  # items that a browser is asked to draw
_GONE = "This map of cases is gone. Choose another one, or make it again."
_DAMAGED = "This map of cases cannot be read: its folder is damaged or still being written. Wait, or make it again."
_PROJECTIONS = ("pca", "umap", "tsne")
_WHOLE_BYTES = 2 << 30  # codes and neighbours are held in memory


class Rows:
    """Rows of a .npy file, read one by one with `pread`.

    No memory map: a file that is cut short while it is mapped ends the whole process that looks at it.
    """

    def __init__(self, path: Path) -> None:
        """Raises UserError: gone, or no whole array."""
        try:
            with path.open("rb") as stream:
                version = np.lib.format.read_magic(stream)
                read = _HEADERS[version]
                self.shape, fortran, self.dtype = read(stream)
                self._start = stream.tell()
        except FileNotFoundError:
            raise UserError(_GONE) from None
        except (OSError, ValueError, KeyError, EOFError):
            raise UserError(_DAMAGED) from None
        self.path = path
        self._bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        if fortran or self.dtype.hasobject or not self.shape or path.stat().st_size < self._end:
            raise UserError(_DAMAGED)

    @property
    def _end(self) -> int:
        return int(self._start + self.shape[0] * self._bytes)

    def take(self, rows: Sequence[int]) -> NDArray[Any]:
        """These rows, (len(rows), ...). Raises UserError: the file is gone or has been cut short."""
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        try:
            with self.path.open("rb") as stream:
                for place, row in enumerate(rows):
                    data = os.pread(stream.fileno(), self._bytes, self._start + row * self._bytes)
                    out[place] = np.frombuffer(data, self.dtype).reshape(self.shape[1:])
        except FileNotFoundError:
            raise UserError(_GONE) from None
        except (OSError, ValueError):
            raise UserError(_DAMAGED) from None
        return out

    def whole(self) -> NDArray[Any]:
        """All rows. Raises UserError as `take`, and where they are too many to be held."""
        if self.shape[0] * self._bytes > _WHOLE_BYTES:
            raise UserError("This map of cases is too large to be shown. Make one of fewer cases.")
        try:
            with self.path.open("rb") as stream:
                stream.seek(self._start)
                data = stream.read(self.shape[0] * self._bytes)
            return np.frombuffer(data, self.dtype).reshape(self.shape)
        except FileNotFoundError:
            raise UserError(_GONE) from None
        except (OSError, ValueError):
            raise UserError(_DAMAGED) from None


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class Embedding:
    """One map of cases as it is on the disk at one moment; `key` changes when its files do. Row i is one item.

    meta: embedding.json. table: columns of embedding.csv as text. code: (N, Z). pictures, expected: uint8 (N, h, w).
    neighbours: (N, K) rows, distances: (N, K). uncertainty: (N, Z). None for what is not there.
    """

    path: Path
    key: str
    meta: dict[str, Any]
    table: dict[str, list[str]]
    code: NDArray[np.float32]
    pictures: Rows | None
    expected: Rows | None
    neighbours: NDArray[Any] | None
    distances: NDArray[Any] | None
    uncertainty: Rows | None
    sigma: NDArray[np.float32] = field(repr=False)
    mean: NDArray[np.float32] = field(repr=False)

    @property
    def n(self) -> int:
        """Items."""
        return len(self.code)

    @property
    def verbs(self) -> frozenset[str]:
        """What the method can do."""
        return frozenset(map(str, _listed(self.meta.get("verbs"))))

    @property
    def order(self) -> list[int]:
        """Numbers of the code's directions, the most useful first."""
        z = self.code.shape[1]
        told = [d for d in _listed(self.meta.get("order")) if isinstance(d, int) and 0 <= d < z]
        return list(dict.fromkeys(told)) or np.argsort(-self.sigma, kind="stable").tolist()

    @property
    def projections(self) -> list[str]:
        """Of pca, umap and tsne those that were made."""
        return [name for name in _PROJECTIONS if {f"{name}_1", f"{name}_2"} <= self.table.keys()]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as numbers, NaN where it is empty or is none."""
        return np.array([_number(text) for text in self.table.get(name, [""] * self.n)])

    def nearest(self, codes: NDArray[Any]) -> tuple[list[int], list[float]]:
        """The row nearest to each code (n, Z), every direction in its own sigma, and how far it lies."""
        rows, far = [], []
        told = [d for d in _listed(self.meta.get("used")) if isinstance(d, int) and 0 <= d < len(self.sigma)]
        used = np.isin(np.arange(len(self.sigma)), told) if told else self.sigma > 0
        scale = np.where(used & (self.sigma > 0), self.sigma, np.inf)  # a direction that never varies says nothing
        for code in np.atleast_2d(codes):
            apart = np.square((self.code - code) / scale).sum(axis=1)
            rows.append(int(apart.argmin()))
            far.append(float(np.sqrt(apart[rows[-1]])))
        return rows, far


def read_embedding(path: Path) -> Embedding:
    """Read a folder; kept until its files change. Raises UserError, one sentence for the screen."""
    return _read(path, stamp(path))


def stamp(path: Path) -> str:
    """What the entries of the folder's files say; another one when any of them changes. Raises UserError: gone."""
    parts = []
    for name in (*FILES, "pictures.npy", "expected.npy", "neighbours.npy", "uncertainty.npy"):
        try:
            status = (path / name).stat()
            parts.append(f"{status.st_ino} {status.st_size} {status.st_mtime_ns}")
        except OSError:
            if name in FILES:
                raise UserError(_GONE if not path.is_dir() else _DAMAGED) from None
            parts.append("")
    return identify("embedding-state", str(path), *parts)


@lru_cache(maxsize=8)
def _read(path: Path, key: str) -> Embedding:
    meta = _meta(path)
    code = _finite(Rows(path / "embedding.npy").whole())
    n, z = code.shape
    if n > MOST:
        raise UserError(f"This map holds {n:,} cases; at most {MOST:,} can be drawn. Make one of fewer cases.")
    neighbours = _array(path / "neighbours.npy", n)
    if neighbours is not None and (neighbours.dtype.kind not in "iu" or neighbours.max(initial=-1) >= n):
        raise UserError(_DAMAGED)
    return Embedding(
        path, key, meta, _table(path, n), code,
        _pictures(path / "pictures.npy", n), _pictures(path / "expected.npy", n),
        neighbours, _array(path / "neighbours_distance.npy", n), _rows(path / "uncertainty.npy", n),
        _vector(meta.get("sigma"), z, code.std(axis=0)), _vector(meta.get("mean"), z, code.mean(axis=0)),
    )  # fmt: skip


def _meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads((path / "embedding.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(_DAMAGED) from None
    if not isinstance(meta, dict):
        raise UserError(_DAMAGED)
    if meta.get("format") != 1:
        raise UserError("This map of cases was written by another version of medudl. Make it again with this one.")
    return meta


def _table(path: Path, n: int) -> dict[str, list[str]]:
    try:
        text = (path / "embedding.csv").read_text(encoding="utf-8")
        head, *rows = list(csv.reader(io.StringIO(text)))
    except (OSError, ValueError, csv.Error):
        raise UserError(_DAMAGED) from None
    if len(rows) != n or any(len(row) != len(head) for row in rows):
        raise UserError(_DAMAGED)
    return {name: [row[place] for row in rows] for place, name in enumerate(head)}


def _finite(code: NDArray[Any]) -> NDArray[np.float32]:
    if code.ndim != 2 or not code.size or code.dtype.kind != "f":
        raise UserError(_DAMAGED)
    if not np.isfinite(code).all():
        raise UserError("The codes of these cases hold values that are no number: the model's training has failed.")
    return code.astype(np.float32, copy=False)


def _rows(path: Path, n: int) -> Rows | None:
    if not path.is_file():
        return None
    rows = Rows(path)
    if rows.shape[0] != n:
        raise UserError(_DAMAGED)
    return rows


def _pictures(path: Path, n: int) -> Rows | None:
    rows = _rows(path, n)
    if rows is not None and (len(rows.shape) != 3 or rows.dtype != np.uint8 or max(rows.shape[1:]) > 512):
        raise UserError(_DAMAGED)
    return rows


def _array(path: Path, n: int) -> NDArray[Any] | None:
    rows = _rows(path, n)
    if rows is not None and len(rows.shape) != 2:
        raise UserError(_DAMAGED)
    return None if rows is None else rows.whole()


def _vector(told: Any, z: int, instead: NDArray[Any]) -> NDArray[np.float32]:
    """A list of z numbers; what was measured on the codes where the file has none."""
    if isinstance(told, list) and len(told) == z and all(isinstance(v, (int, float)) for v in told):
        return np.asarray(told, np.float32)
    return instead.astype(np.float32)


def _listed(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")
