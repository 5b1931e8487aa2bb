"""A scan, what the model expected, the map and the truth, side by side, as one picture."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from medudl.tasks.detector import Scored

Grey = NDArray[np.uint8]
PANELS = ("scan", "expected", "map", "truth")
_HEIGHT = 220  # screen pixels of a panel


@dataclass(frozen=True)
class Example:
    """One slice of one scan, (H, W) each. truth: None where nobody knows; aspect: a voxel's height over its width."""

    case: str
    label: str
    slice: int
    scan: Grey
    expected: Grey | None
    map: Grey
    truth: NDArray[np.bool_] | None
    aspect: float = 1.0


def example(scan: Scored) -> Example:
    """The slice with most lesion, or with the highest mean of the map where there is no lesion."""
    mask = None if scan.prepared.mask is None else scan.prepared.mask[0]
    weight = mask if mask is not None and mask.any() else scan.smooth
    place = int(weight.sum(axis=(1, 2)).argmax())
    channel = scan.case.channels.index(scan.case.grid)
    image, inside = scan.prepared.image[channel, place], scan.foreground[place]
    low, high = np.percentile(image[inside], [0.5, 99.5]) if inside.any() else (0.0, 1.0)
    expected = None if scan.expected is None else np.where(inside, scan.expected[channel, place], image)
    sides = np.linalg.norm(np.asarray(scan.prepared.geometry["affine"], float)[:3, :3], axis=0)
    return Example(
        scan.case.id, scan.case.label, place, _grey(image, low, high),
        None if expected is None else _grey(expected, low, high),
        _grey(scan.smooth[place], 0, float(scan.smooth.max(initial=0))), None if mask is None else mask[place],
        float(sides[1] / sides[2]),
    )  # fmt: skip


def picture(shown: Example) -> str:
    """The panels in a row as a PNG data URL."""
    truth = _outlined(shown.scan, shown.truth)
    expected = shown.scan * 0 if shown.expected is None else shown.expected
    panels = [_rgb(shown.scan), _rgb(expected), _hot(shown.map), truth]
    height, width = shown.scan.shape
    size = max(1, round(_HEIGHT * width / height / shown.aspect)), _HEIGHT
    row = [np.asarray(Image.fromarray(panel).resize(size, Image.Resampling.BICUBIC)) for panel in panels]
    stream = io.BytesIO()
    Image.fromarray(np.concatenate(row, axis=1)).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _grey(image: NDArray[np.float32], low: float, high: float) -> Grey:
    return ((image - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.uint8)


def _rgb(grey: Grey) -> Grey:
    return np.repeat(grey[..., None], 3, axis=2)


def _hot(grey: Grey) -> Grey:
    """Black, red, yellow, white."""
    value = grey.astype(int)[..., None] * 3 - np.array([0, 255, 510])
    made: Grey = value.clip(0, 255).astype(np.uint8)
    return made


def _outlined(grey: Grey, truth: NDArray[np.bool_] | None) -> Grey:
    out = _rgb(grey)
    if truth is not None:
        out[ndimage.binary_dilation(truth) & ~truth] = (255, 60, 60)
    return out
