"""Masks that readers paint: NIfTI files beside the store, each named by an event, none ever written over."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from apps.viewer.source import Source
from medudl.data.discover import PAINTED
from medudl.data.identity import safe_name
from medudl.errors import UserError
from medudl.labels.events import Event, reader_key
from medudl.labels.standing import standing

if TYPE_CHECKING:
    from apps.viewer.label_desk import Pool
    from apps.viewer.store import Held
    from medudl.data.cohort import Series

_LEAST = 1 << 16  # bytes that any mask may take on its way
EMPTY = "The mask is empty, so nothing was saved: paint something, or leave the brush with Esc"
CHANGED = "This scan has changed on the disk since it was shown: load the page again, then paint it anew"


@dataclass(frozen=True)
class Canvas:
    """The series that a mask is painted on: its voxels, and its row of the cohort."""

    held: Held
    row: Series

    @property
    def limit(self) -> int:
        """Bytes that a mask of it may take on its way: no more than it has voxels."""
        return max(math.prod(self.held.decoded.shape), _LEAST)


def canvas_of(pool: Pool, case: str, volume: str, key: str) -> Canvas | None:
    """The series of a case that the browser calls `volume`, None for any other name.

    key: of the content that was shown. Raises UserError: the scan is gone, unreadable, or another one by now.
    """
    from apps.viewer.house import house

    for source, row in zip(pool.sources(case), pool.rows[case], strict=True):
        if source.id == volume:
            held = house().store.open(source)
            if held.key != key:
                raise UserError(CHANGED)
            return Canvas(held, row)
    return None


def mask_of(runs: bytes, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """The mask (X, Y, Z) of lengths of runs: uint32, little endian, of 0s and 1s in turn, 0s first, X fastest.

    Raises ValueError where they do not fill the shape exactly.
    """
    lengths = np.frombuffer(runs, "<u4")
    if int(lengths.sum(dtype=np.uint64)) != math.prod(shape):
        raise ValueError("the runs do not fill the scan")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(shape, order="F")


def keep_mask(
    pool: Pool, reader: str, case: str, canvas: Canvas, runs: bytes, save: Callable[[str], Event]
) -> Event:  # fmt: skip
    """Write the mask, then the event that names it: save(path relative to the store). No event, no file.

    Raises ValueError as `mask_of`, UserError: empty, disk full, folder not writable, and what `save` raises.
    """
    decoded = canvas.held.decoded
    mask = mask_of(runs, decoded.shape)
    if not mask.any():
        raise UserError(EMPTY)
    path = _written(pool.store.path.parent / PAINTED, f"{case}_{safe_name(reader_key(reader))}", mask,
                    np.array(decoded.affine))  # fmt: skip
    name = path.relative_to(pool.store.path.parent).as_posix()
    try:
        return save(name)
    except BaseException:
        # A save may fail after its commit: what an event names stays.
        if all(event.value != name for event in pool.store.events(case=case)):
            path.unlink(missing_ok=True)
        raise


def own_mask(pool: Pool, reader: str, case: str, occasion: int) -> dict[str, Any] | None:
    """{"id": its volume, "on": that of its series} of the mask that a reader painted last; nobody else is told of it.

    occasion: a silent repeat does not show the mask of the first read.
    """
    from apps.viewer.house import house

    own = standing(pool.store.events(reader=reader, case=case))
    last = next((one for one in own[::-1] if one.kind == "mask" and one.occasion == occasion), None)
    if last is None:
        return None
    shown = {row.series: source.id for source, row in zip(pool.sources(case), pool.rows[case], strict=True)}
    on = shown.get(last.view.get("series", ""), next(iter(shown.values())))
    source = Source((pool.store.path.parent / last.value,), "nifti", role="mask", title="your mask", unit="mask")
    house().sources.offer([source])
    return {"id": source.id, "on": on}


def _written(folder: Path, stem: str, mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> Path:
    """On the disk under the first number that is free, whole or not at all."""
    from medudl.data.derived import write_nifti

    try:
        folder.mkdir(exist_ok=True)
        draft = folder / f".{uuid.uuid4().hex}"
        try:
            write_nifti(draft, mask, affine, "painted by a reader, research only")
            _flush(draft)
            path = _claimed(draft, folder, stem)
        finally:
            draft.unlink(missing_ok=True)
        _flush(folder)
    except OSError as error:
        raise UserError(f"The mask could not be written ({error.strerror}): make room in the folder of the labels,"
                        " and make it writable") from None  # fmt: skip
    return path


def _claimed(draft: Path, folder: Path, stem: str) -> Path:
    """A link, unlike a rename, never replaces a file that is there."""
    for number in count(1):
        path = folder / f"{stem}_{number}.nii.gz"
        try:
            try:
                os.link(draft, path)
            except PermissionError:  # a file system without hard links: claim the name, then move over it
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
                os.replace(draft, path)
        except FileExistsError:
            continue
        return path
    raise AssertionError("numbers do not end")


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
