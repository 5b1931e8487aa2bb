"""One slice of a scan, of what was made of it, of the truth, the difference and the uncertainty, as pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]
FULL = 0.25  # of the nominal range: a difference or uncertainty of so much has full colour
_HEIGHT = 230  # screen pixels


@dataclass(frozen=True)
class Example:
    """One scan. panels: (title, (H, W, 3)); error: what it was ranked by, NaN where there is nothing; slice: from 0."""

    case: str
    patient: str
    error: float
    slice: int
    aspect: float
    panels: list[tuple[str, Grey]]


@dataclass(frozen=True)
class Shown:
    """What is shown of the first channels, (D, H, W) each, nominal; truth, cycle: None where there is none."""

    source: Array
    made: Array
    truth: Array | None
    uncertainty: Array
    cycle: Array | None
    inside: Mask
    spacing: tuple[float, float, float]


def example(case: str, patient: str, error: float, shown: Shown, names: tuple[str, str]) -> Example:
    """The slice in the middle of the foreground. names: of source and target."""
    below = np.cumsum(shown.inside.sum(axis=(1, 2)))
    place = int(np.searchsorted(below, below[-1] / 2))
    source, target = names
    panels = [
        (source, _grey(shown.source[place], shown.source[shown.inside])),
        (f"{target}, made", _grey(shown.made[place], _reference(shown))),
    ]
    if shown.truth is not None:
        panels.append((f"{target}, true", _grey(shown.truth[place], _reference(shown))))
        panels.append(("made - true", _signed((shown.made - shown.truth)[place] / FULL)))
    panels.append(("uncertainty", _hot(shown.uncertainty[place] / FULL)))
    if shown.truth is None and shown.cycle is not None:
        panels.append(("cycle error", _hot(shown.cycle[place] / FULL)))
    return Example(case, patient, error, place, shown.spacing[1] / shown.spacing[2], panels)


def chosen(examples: Sequence[Example]) -> list[tuple[str, Example]]:
    """("worst patient", its worst scan), the median and the best; fewer where there are fewer patients."""
    patients = {one.patient: [other for other in examples if other.patient == one.patient] for one in examples}
    means = {name: float(np.mean([one.error for one in some])) for name, some in patients.items()}
    ranked = sorted((name for name in means if not np.isnan(means[name])), key=lambda name: (-means[name], name))
    if not ranked:
        return [(f"patient {number}", one) for number, one in enumerate(examples[:3], start=1)]
    places = {"worst patient": 0, "median patient": len(ranked) // 2, "best patient": len(ranked) - 1}
    if len(ranked) < 3:
        places = {"worst patient": 0, "best patient": len(ranked) - 1} if len(ranked) == 2 else {"only patient": 0}
    return [(words, max(patients[ranked[at]], key=lambda one: one.error)) for words, at in places.items()]


def data_url(panel: Grey, aspect: float) -> str:
    """A PNG in the page. aspect: a voxel's height over its width."""
    height, width = panel.shape[:2]
    size = max(1, round(_HEIGHT * width / height / aspect)), _HEIGHT
    stream = io.BytesIO()
    Image.fromarray(panel).resize(size, Image.Resampling.BICUBIC).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _reference(shown: Shown) -> Array:
    """Made and true are shown in one window."""
    found: Array = (shown.made if shown.truth is None else shown.truth)[shown.inside]
    return found


def _grey(image: Array, reference: Array) -> Grey:
    low, high = np.percentile(reference, [0.5, 99.5]) if reference.size else (0.0, 1.0)
    grey = ((image - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _hot(value: Array) -> Grey:
    """0 black, then red and yellow, 1 white."""
    made: Grey = ((value[..., None] * 3 - np.arange(3)) * 255).clip(0, 255).astype(np.uint8)
    return made


def _signed(value: Array) -> Grey:
    """-1 blue, 0 white, 1 red."""
    cut = value.clip(-1, 1)
    red, blue = 1 - np.maximum(-cut, 0), 1 - np.maximum(cut, 0)
    made: Grey = (np.stack([red, np.minimum(red, blue), blue], axis=-1) * 255).astype(np.uint8)
    return made
