"""Do the samples copy training images? Beside them held-out patients' images, and the training images themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.config import Data
from medudl.errors import UserError
from medudl.report.generator_figures import figure, told
from medudl.report.generator_sets import ImageSet, Real, Sets
from medudl.tasks.nearest_real import Likenesses, Looked, likenesses
from medudl.tasks.sample_pictures import COLUMNS, grid, shown

PIXELS = "pixels, through flips, shifts, noise and changes of brightness"
MEMORISER = "the training images themselves (a memoriser)"
_FLOOR = "held-out patients' images, each by the threshold of the others"
_MEMORISER_IMAGES = 200
_ROWS = 3  # of the picture


@dataclass(frozen=True)
class Memory:
    """What was found, or why nothing was."""

    samples: Likenesses | None
    memoriser: Likenesses | None
    why: str = ""
    notes: list[str] = field(default_factory=list)


def memory_of(sets: Sets, network: str) -> Memory:
    """Samples, and training images in their place, against the training images."""
    training, held_out = _looked(sets.training, network), _looked(sets.held_out, network)
    some = np.arange(min(len(sets.training), _MEMORISER_IMAGES))
    try:
        samples = likenesses(_looked(sets.samples, network), training, held_out)
        own = Looked(training.pictures[some], training.features[some])
        return Memory(samples, likenesses(own, training, held_out), notes=[_rule(samples)])
    except UserError as error:
        return Memory(None, None, f"{error}.")


def copies_figures(memory: Memory, sets: Sets, network: str) -> list[dict[str, Any]]:
    """The share of samples that are copies, by pixels and by the features of a network."""
    n, m = len(sets.samples), len(sets.training)
    if memory.samples is None or memory.memoriser is None:
        return [figure("copies", PIXELS, None, n, m, why_not=memory.why)]
    rows = []
    for name, kind in ((PIXELS, "pixels"), (network, "features")):
        found, whole = getattr(memory.samples, kind), getattr(memory.memoriser, kind)
        rows.append({
            **figure(
                "copies", name, found.flagged, n, m,
                floor={**told(found.held_out_flagged), "n": len(sets.held_out), "name": _FLOOR},
                baseline={"name": MEMORISER, **told(whole.flagged)},
            ),
            "closeness": found.closeness.as_dict(), "closeness_of_memoriser": whole.closeness.as_dict(),
        })  # fmt: skip
    return rows


def picture_grid(memory: Memory, sets: Sets, real: Real, data: Data) -> NDArray[np.uint8]:
    """The first samples, and below each its nearest training image where that is known."""
    import torch

    count = min(COLUMNS * _ROWS, len(sets.samples))
    samples = shown(torch.from_numpy(sets.samples.images[:count]).float(), data)
    if memory.samples is None:
        return grid(samples, None, [], real.training.aspect, len(sets.samples))
    numbers = sets.shown[memory.samples.place[:count]]
    flagged: Sequence[bool] = memory.samples.pixels.flag[:count].tolist()
    return grid(samples, real.training.pictures_of(numbers, data), flagged, real.training.aspect, len(sets.samples))


def _rule(found: Likenesses) -> str:
    return f"A copy stands out from the next training images as 5 % of new patients' images would: {found.pixels.rule}."


def _looked(one: ImageSet, network: str) -> Looked:
    return Looked(one.pictures, one.features[network], None if one.patients is None else one.patients.astype(str))
