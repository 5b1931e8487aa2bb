"""An embedding folder: what `medudl embed` writes and the viewer, the walker and scripts read.

embedding.npy              (N, Z) float32, the codes
embedding.csv              row i describes row i of every array
pictures.npy, expected.npy (N, h, w) uint8; expected only where the method draws
neighbours.npy             (N, K) int32, the nearest rows of other cases, -1 where there are fewer
neighbours_distance.npy    (N, K) float32, NaN there
uncertainty.npy            (N, Z) float32, only where the method has it
embedding.json             everything that is said of all rows together
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medudl.errors import UserError
from medudl.tasks.outputs import Folder, told

FORMAT = 1
INDEX = "embedding.json"
ARRAYS = ("embedding", "pictures", "expected", "neighbours", "neighbours_distance", "uncertainty")
OPTIONAL = ("expected", "uncertainty")


@dataclass(frozen=True)
class Embedding:
    """An embedding folder that was read: arrays are mapped, not loaded. `arrays` lacks those that are optional."""

    path: Path
    about: dict[str, Any]
    table: pd.DataFrame
    arrays: dict[str, NDArray[Any]]

    @property
    def codes(self) -> NDArray[np.float32]:
        """(N, Z)."""
        return self.arrays["embedding"]

    @classmethod
    def read(cls, path: str | Path) -> Embedding:
        """Raises UserError in one line: no embedding, of another format, damaged, or not whole."""
        path = Path(path)
        about = _about(path)
        try:
            table = pd.read_csv(path / "embedding.csv", dtype=_TEXT, keep_default_na=True)
            arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS
                      if name not in OPTIONAL or (path / f"{name}.npy").is_file()}  # fmt: skip
        except (OSError, ValueError, EOFError, pd.errors.ParserError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: damaged ({reason}); run `medudl embed` again") from None
        lengths = {name: len(array) for name, array in arrays.items()} | {"embedding.csv": len(table)}
        wrong = next((name for name, length in lengths.items() if length != about["n"]), None)
        if wrong is not None:
            raise UserError(f"{path}: damaged ({wrong} has {lengths[wrong]} rows, not {about['n']}); embed again")
        text = [name for name in _TEXT if name in table]
        table[text] = table[text].fillna("")
        return cls(path, about, table, arrays)

    def run(self) -> Path:
        """The run folder that the codes come from. It may have been moved since."""
        return Path(os.path.normpath(self.path / str(self.about["run"])))


_TEXT = dict.fromkeys(
    ("item", "case", "subject", "study", "series", "contrast", "modality", "scanner", "label", "split"), str
)


def _about(path: Path) -> dict[str, Any]:
    if not (path / INDEX).is_file():
        raise UserError(f"{path}: not an embedding (no {INDEX}); give the folder that `medudl embed -o` wrote")
    try:
        about = json.loads((path / INDEX).read_text(encoding="utf-8"))
        version = about["format"]
        int(about["n"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path / INDEX}: damaged; run `medudl embed` again") from None
    if version != FORMAT:
        raise UserError(f"{path}: embedding of format {version}, this medudl reads {FORMAT}; run `medudl embed` again")
    return dict(about)


@contextmanager
def drafted(out: str | Path, index: str = INDEX, what: str = "an embedding") -> Iterator[Folder]:
    """A folder that appears at `out` when the block ends well, and never otherwise.

    An embedding (a folder with the file `index`, called `what`) that lies there is replaced in the end.
    Raises UserError before anything is written where `out` holds something else.
    """
    out = Path(out)
    checked(out, index, what)
    draft = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        _sweep(out)
        folder = Folder.create(draft)
        yield folder
        with told(out):
            if out.is_dir():  # an older embedding, or an empty folder
                shutil.rmtree(out)
            os.replace(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def checked(out: Path, index: str = INDEX, what: str = "an embedding") -> None:
    """Raise UserError where `out` exists and is neither an embedding (or another `what`) nor an empty folder."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / index).is_file())):
        raise UserError(f"{out}: exists and is not {what}; give a new or an empty folder")


def _sweep(out: Path) -> None:
    """Remove what processes that were killed while they wrote to the same place have left."""
    for draft in out.parent.glob(f".{out.name}.*.tmp") if out.parent.is_dir() else ():
        pid = draft.name.split(".")[-2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc").is_dir():
            shutil.rmtree(draft, ignore_errors=True)


def write_array(folder: Folder, name: str, array: NDArray[Any]) -> None:
    """Write <name>.npy. Raises WriteError: no room."""
    with told(folder.path):
        np.save(folder.path / f"{name}.npy", np.ascontiguousarray(array))


class Frames:
    """A .npy file (N, h, w) uint8 that grows: pictures go to the disk as they come and are never all in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shape: tuple[int, int] | None = None
        self.count = 0
        self._stream: BinaryIO | None = None

    def add(self, frames: NDArray[np.uint8]) -> None:
        """Append (n, h, w). Raises UserError where the size differs from that of the first ones."""
        size = (int(frames.shape[1]), int(frames.shape[2]))
        with told(self.path.parent):
            if self._stream is None:
                self.shape, self._stream = size, self.path.open("wb")
                self._header()
            if size != self.shape:
                raise UserError(f"pictures of {size} beside those of {self.shape}; train with data.size set")
            self._stream.write(np.ascontiguousarray(frames).data)
        self.count += len(frames)

    def close(self) -> None:
        """Write how many there are into the header, which has room for it."""
        if self._stream is None:
            return
        with told(self.path.parent):
            self._stream.seek(0)
            self._header()
            self._stream.close()
        self._stream = None

    def _header(self) -> None:
        assert self._stream is not None and self.shape is not None
        head = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self._stream, head)
