"""MedMNIST-style .npz: many small images in one file, `<split>_images` and `<split>_labels`."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medudl.data.fault import unusable
from medudl.data.image_header import checked_shape, checked_size, checked_voxels, size_of
from medudl.data.images import PICTURE_AFFINE
from medudl.data.volume import Volume

_IMAGES, _LABELS = "_images.npy", "_labels.npy"
MAX_LABELS = 2**26


@dataclass(frozen=True)
class NpzItem:
    """One image of an .npz. fragment: "<split>/<number>", counted from 0; shape: (X, Y, Z) as it will be read."""

    fragment: str
    split: str
    label: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class _Member:
    """A .npy inside the archive: where its numbers start, and what they are."""

    shape: tuple[int, ...]
    kind: np.dtype[Any]
    fortran: bool
    start: int


def npz_items(path: str | Path) -> list[NpzItem]:
    """All images with their labels ("" without; several labels joined by "+"), headers and labels read only.

    Raises UserError: no .npz, no `<split>_images` in it, sizes that cannot be true, pickled objects.
    """
    path = Path(path)
    with _archive(path) as archive:
        names = archive.namelist()
        splits = [name.removesuffix(_IMAGES) for name in names if name.endswith(_IMAGES)]
        if not splits:
            raise unusable(path, "no <split>_images in it, as MedMNIST has them", "rename its arrays")
        items = []
        for split in splits:
            with _stream(path, archive, split + _IMAGES) as stream:
                member = _member(path, archive, split + _IMAGES, stream)
            shape = _image_shape(path, member)
            labels = _labels(path, archive, split) if split + _LABELS in names else [""] * member.shape[0]
            if len(labels) != member.shape[0]:
                raise unusable(path, f"{split}: {member.shape[0]} images and {len(labels)} labels")
            items += [NpzItem(f"{split}/{i}", split, label, shape) for i, label in enumerate(labels)]
    return items


def read_npz(path: str | Path, fragment: str) -> Volume:
    """Read one image, "<split>/<number>": (H, W) as (W, H, 1); (H, W, 3) as luminance; (D, H, W) as (W, H, D).

    Fast where images are read in ascending order: the archive stays open where the last read ended.
    """
    path = Path(path)
    split, _, number = fragment.partition("/")
    size_of(path)
    stream, member = _open_member(path, path.stat().st_mtime_ns, split + _IMAGES)
    if not number.isdecimal() or int(number) >= member.shape[0]:
        raise unusable(path, f"no image {fragment!r} in it", f"name {split}/0 to {split}/{member.shape[0] - 1}")
    _image_shape(path, member)
    size = member.shape[1:]
    count = int(np.prod(size))
    try:
        stream.seek(member.start + int(number) * count * member.kind.itemsize)
        raw = stream.read(count * member.kind.itemsize)
    except (zlib.error, zipfile.BadZipFile, EOFError, OSError):
        _open_member.cache_clear()
        raise unusable(path, f"broken: {fragment} cannot be read", "copy it again") from None
    if len(raw) < count * member.kind.itemsize:
        raise unusable(path, f"truncated: it ends inside {fragment}", "copy it again")
    image = np.frombuffer(raw, member.kind).reshape(size).astype(np.float32)
    if _is_colour(size):
        image = image @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    voxels = np.ascontiguousarray(image.T)
    return Volume(checked_voxels(path, voxels if voxels.ndim == 3 else voxels[..., None]), PICTURE_AFFINE.copy())


def _is_colour(size: tuple[int, ...]) -> bool:
    return len(size) == 3 and size[-1] == 3


def _image_shape(path: Path, member: _Member) -> tuple[int, int, int]:
    size = member.shape[1:]
    if member.fortran or member.kind.kind not in "iufb" or len(size) not in (2, 3):
        raise unusable(path, f"images of shape {member.shape} and type {member.kind} are not supported")
    return checked_shape(path, (size[:2] if _is_colour(size) else size)[::-1])


def _labels(path: Path, archive: zipfile.ZipFile, split: str) -> list[str]:
    with _stream(path, archive, split + _LABELS) as stream:
        member = _member(path, archive, split + _LABELS, stream)
        count = int(np.prod(member.shape))
        if count > MAX_LABELS or member.kind.kind not in "iubU":
            raise unusable(path, f"{split}: labels of shape {member.shape} and type {member.kind} are not supported")
        values = np.frombuffer(stream.read(count * member.kind.itemsize), member.kind)
    rows: NDArray[Any] = values.reshape(member.shape[0], -1)
    if rows.shape[1] == 1:
        return [str(value) for value in rows[:, 0]]
    return ["+".join(str(place) for place in np.flatnonzero(row)) for row in rows]


@lru_cache(maxsize=1)
def _open_member(path: Path, changed: int, name: str) -> tuple[Any, _Member]:
    """The member's stream, kept open. `changed` keys the cache: a file written anew is opened anew."""
    archive = _archive(path)
    stream = _stream(path, archive, name)
    return stream, _member(path, archive, name, stream)


def _archive(path: Path) -> zipfile.ZipFile:
    size_of(path)
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError):
        raise unusable(path, "not an .npz, or a truncated one", "copy it again") from None


def _stream(path: Path, archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return archive.open(name)
    except KeyError:
        raise unusable(path, f"no {name.removesuffix('.npy')} in it") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError):
        raise unusable(path, "broken or encrypted", "copy it again") from None


def _member(path: Path, archive: zipfile.ZipFile, name: str, stream: BinaryIO) -> _Member:
    """The .npy header, and whether the archive can hold what it claims. Nothing pickled is ever read."""
    form = np.lib.format
    try:
        version = form.read_magic(stream)
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, fortran, kind = read(stream)
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile, SyntaxError):
        raise unusable(path, f"{name} is no array", "save it again with numpy") from None
    if kind.hasobject or not shape:
        raise unusable(path, f"{name} holds objects, not numbers", "save it again as numbers")
    entry = archive.getinfo(name)
    needed = kind.itemsize
    for length in shape:
        needed *= int(length)
    if entry.file_size < stream.tell() + needed:
        raise unusable(path, f"{name} claims {needed:,} bytes, and holds {entry.file_size:,}", "copy it again")
    checked_size(path, needed, deflated=True)
    return _Member(tuple(shape), kind, fortran, stream.tell())
