"""What the index does in worker processes: one file's header, one series' voxels.

Imports little at the top, since every worker is a fresh interpreter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medudl.data.dicom_header import DicomHeader
from medudl.data.dicom_parse import read_header
from medudl.data.fault import show
from medudl.errors import UserError

Item = tuple[Path, str]  # file, format
Job = tuple[tuple[Path, ...], str, tuple[str, ...], bool]  # files, format, fragments, whether they make one volume
Digest = tuple[str, str]  # sha256 ("" if there is none), what is wrong ("" if nothing is)
FLAT = "every voxel has the same value"


@dataclass(frozen=True)
class Grid:
    """What the header of a file, or of one image inside it, says."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    orientation: str
    fragment: str = ""
    label: str = ""
    model_output: bool = False


def read_facts(item: Item) -> list[Grid] | DicomHeader:
    """The header of one file. Raises UserError: anything that stands against reading it."""
    path, kind = item
    if kind == "dicom":
        return read_header(path)
    if kind == "npz":
        from medudl.data.npz import npz_items

        return [Grid(item.shape, (1.0, 1.0, 1.0), "LPS", item.fragment, item.label) for item in npz_items(path)]
    from medudl.data.read import check_header

    header = check_header(path, kind)
    return [Grid(header.shape, header.spacing, header.orientation, model_output=header.model_output)]


def digest(job: Job) -> list[Digest]:
    """(sha256, fault) of each fragment's decoded voxels.

    sha256 of "X,Y,Z" and the float32 voxels in C order: equal for two encodings of the same scan. A series whose
    slices make no volume is hashed slice by slice, in the order of the slices' own hashes.
    """
    files, kind, fragments, stacked = job
    if stacked:
        return [_digest(files, kind, fragment) for fragment in fragments]
    slices = [_digest((file,), kind, "") for file in files]
    fault = next((fault for _, fault in slices if fault not in ("", FLAT)), "")
    return [("" if fault else hashlib.sha256("".join(sorted(s for s, _ in slices)).encode()).hexdigest(), fault)]


def what(error: UserError, files: Sequence[Path]) -> str:
    """What is wrong, without the path in front and the advice behind; of several files, with the name of the one."""
    text = str(error)
    for place in (*files, files[0].parent):
        rest = text.removeprefix(f"{show(place)}: ")
        if rest != text:
            text = f"{show(place.name)}: {rest}" if place in files and len(files) > 1 else rest
            break
    return text.rpartition("; ")[0] or text


def _digest(files: tuple[Path, ...], kind: str, fragment: str) -> Digest:
    from medudl.data.read import read_volume

    try:
        voxels = read_volume(files, kind, fragment=fragment).voxels
    except UserError as error:
        return "", what(error, files)
    sha256 = hashlib.sha256(",".join(map(str, voxels.shape)).encode())
    for plane in voxels:  # a copy of one plane at a time, not of the volume
        sha256.update(plane.tobytes())
    return sha256.hexdigest(), FLAT if voxels.max() == voxels.min() else ""
