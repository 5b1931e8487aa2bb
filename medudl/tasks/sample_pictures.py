"""How samples are shown and marked: grey pictures, one PNG or NIfTI each, and a grid with the nearest real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from medudl.config import Data
from medudl.data.derived import NOTICE, write_nifti
from medudl.data.transforms import PLANES
from medudl.tasks.codes import middle_plane

Pictures = NDArray[np.uint8]
COLUMNS, ROWS = 8, 6  # samples of the grid at most; below each its nearest real image
MARK = f"medudl: {NOTICE}"
_SIDE = 128  # screen pixels of a picture's height in the grid
_GAP, _HEAD = 4, 34
_COPY, _OWN = (230, 60, 40), (70, 70, 70)


def shown(image: Tensor, data: Data) -> Pictures:
    """(B, C, *S) in nominal [0, 1] -> (B, H, W) grey: the first channel, of volumes the middle slice."""
    plane = middle_plane(image, data)
    grey: Pictures = (plane.float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return grey


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """A PNG that says in its header that it is synthetic. picture: (H, W), or (H, W, 3)."""
    about = PngInfo()
    about.add_text("Description", MARK)
    about.add_text("Software", "medudl")
    Image.fromarray(picture).save(path, "PNG", pnginfo=about)


def write_volume(path: Path, image: NDArray[np.float32], data: Data, spacing: Sequence[float]) -> None:
    """A volume (C, D, H, W) as NIfTI in RAS order, nominal [0, 1], its middle at the origin; channels as a 4th axis.

    spacing: of D, H, W in mm. It comes from no scanner, so its place says nothing.
    """
    directions = axcodes2ornt(tuple(PLANES[data.plane]), (("L", "R"), ("P", "A"), ("I", "S")))
    shape = image.shape[1:]
    to_ras = inv_ornt_aff(directions, shape)  # voxel of the turned array -> voxel of this one
    voxels = apply_orientation(np.moveaxis(image, 0, -1), directions)
    sides = np.abs(to_ras[:3, :3].T) @ np.asarray(spacing, np.float64)
    affine = np.diag([*sides, 1.0])
    affine[:3, 3] = -sides * (np.asarray(voxels.shape[:3]) - 1) / 2
    write_nifti(path, voxels[..., 0] if len(image) == 1 else voxels, affine, NOTICE)


def grid(
    samples: Pictures, nearest: Pictures | None, flagged: Sequence[bool], aspect: float, of: int | None = None
) -> Pictures:
    """The first samples in rows, and below each its nearest real image: (h, w, 3). Flagged ones have a red frame.

    aspect: a picture pixel's height over its width; of: how many samples there are, where these are not all.
    """
    count = min(len(samples), COLUMNS * ROWS)
    columns = min(COLUMNS, count)
    height, width = _SIDE, max(1, round(_SIDE * samples.shape[2] / samples.shape[1] / aspect))
    lines = 1 if nearest is None else 2
    step = lines * height + 4 * _GAP
    canvas = Image.new("RGB", (max(columns * (width + _GAP) + _GAP, 560), -(-count // columns) * step + _HEAD), "white")
    draw = ImageDraw.Draw(canvas)
    words = f"Synthetic, not for diagnosis. {count} of {of or len(samples)} samples."
    below = "Below each: the training image nearest to it (a patient's). Red frame: it may be a copy of it."
    draw.text((_GAP, 3), words, fill="black")
    draw.text((_GAP, 17), "" if nearest is None else below, fill="black")
    for number in range(count):
        left, top = _GAP + number % columns * (width + _GAP), _HEAD + number // columns * step
        colour = _COPY if len(flagged) and flagged[number] else _OWN
        draw.rectangle((left - 2, top - 2, left + width + 1, top + lines * height + 1), outline=colour, width=2)
        for line, source in enumerate([samples] if nearest is None else [samples, nearest]):
            panel = Image.fromarray(source[number]).resize((width, height), Image.Resampling.BICUBIC)
            canvas.paste(panel.convert("RGB"), (left, top + line * height))
    made: Pictures = np.asarray(canvas)
    return made


def number_of(index: int, count: int) -> str:
    """'0001' for the first."""
    return f"{index + 1:0{max(4, len(str(count)))}d}"


def spacing_of(data: Data, measured: Sequence[float] | None) -> tuple[float, ...] | None:
    """Voxel sides along D, H, W in mm, None where nobody knows.

    What the run resamples to, where that is set, else what its scans have.
    """
    wanted = data.spacing or [None, None, None]
    if measured is None:
        return tuple(float(side) for side in wanted if side is not None) if all(wanted) else None
    return tuple(float(side or own) for side, own in zip(wanted, measured, strict=True))
