"""One cache entry on the disk: arrays to be mapped into memory, and their geometry. Written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medudl.data.pipeline import Prepared

_TORCH = {"float32": torch.float32, "bool": torch.bool}


def write_entry(prepared: Prepared, folder: Path) -> None:
    """Write to a folder beside `folder`, flush it to the disk, rename it: `folder` is complete or absent.

    Slices lie one after another, (D, C, H, W), so that one slice is one read. Raises OSError where the disk is full;
    nothing is left behind then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
        planes = prepared.foreground if prepared.mask is None else np.concatenate([prepared.foreground, prepared.mask])
        _write_array(draft / "image.npy", prepared.image.swapaxes(0, 1))
        _write_array(draft / "planes.npy", planes.swapaxes(0, 1))
        facts = {"case_id": prepared.case_id, "has_mask": prepared.mask is not None, "geometry": prepared.geometry}
        _write_bytes(draft / "entry.json", json.dumps(facts).encode())
        if folder.is_dir() and read_entry(folder) is None:  # damaged: never served, and never to be kept
            shutil.rmtree(folder)
        try:
            os.rename(draft, folder)
        except OSError:
            if not folder.is_dir():  # else another process has just written the same
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_entry(folder: Path) -> Prepared | None:
    """The entry, its arrays mapped into memory; None where it is absent or not whole.

    The mapping is private: what somebody writes into these arrays stays in that process and never comes to the disk.
    """
    try:
        facts = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
        image, planes = _mapped(folder / "image.npy"), _mapped(folder / "planes.npy")
    except (OSError, ValueError, KeyError):
        return None
    mask = planes[1:] if facts["has_mask"] else None
    return Prepared(facts["case_id"], image, planes[:1], mask, facts["geometry"])


def remove_drafts(root: Path) -> None:
    """Remove what processes that no longer exist were writing when they were killed."""
    for draft in [*root.glob("*/*.tmp"), *root.glob("*.tmp")]:
        pid = draft.name.split(".")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_array(path: Path, array: NDArray[Any]) -> None:
    array = np.ascontiguousarray(array)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        stream.write(array.data)  # unlike ndarray.tofile, says why where the disk is full
        stream.flush()
        os.fsync(stream.fileno())


def _write_bytes(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _mapped(path: Path) -> NDArray[Any]:
    """A .npy file (D, C, H, W) as (C, D, H, W), mapped. Raises ValueError where it is shorter than it says.

    torch closes the file once it is mapped; numpy.memmap keeps it open, and a thousand cases would run into the
    system's limit of open files.
    """
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        shape, _, kind = np.lib.format.read_array_header_1_0(stream)
        start = stream.tell()
    count = int(np.prod(shape))
    if path.stat().st_size != start + count * kind.itemsize:
        raise ValueError(f"{path}: not whole")
    raw = torch.from_file(str(path), shared=False, size=start + count * kind.itemsize, dtype=torch.uint8)
    array: NDArray[Any] = raw[start:].view(_TORCH[kind.name]).reshape(shape).numpy()
    return array.swapaxes(0, 1)
