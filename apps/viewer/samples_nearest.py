"""The training images of a run, ready to be searched: says of any drawing what `medudl sample` says of a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from medudl.metrics.intervals import Estimate
from medudl.metrics.likeness import FeatureLikeness, Matches, PictureLikeness
from medudl.metrics.memorisation import Copies
from medudl.run import Run
from medudl.tasks.detector import Restored
from medudl.tasks.feature_choice import chosen_features
from medudl.tasks.nearest_real import Compared, Likenesses, look
from medudl.tasks.progress import counted
from medudl.tasks.real_images import learnt_and_held_out, read_images
from medudl.tasks.walk import Walker

_UNKNOWN = Estimate(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Limits:
    """How far the nearest image must stand out for a light, as samples.json says it; None: nobody has found out.

    network: the name of what made the features. images: how many training images there were then.
    """

    pixels: float | None = None
    features: float | None = None
    network: str = ""
    images: int | None = None


@dataclass(frozen=True)
class Judged:
    """rows: of each image what stands in samples.csv. nearest: uint8 (n, h, w), at most 128 pixels a side.

    images: training images that were searched. lights: "both", "pixels" (the features' network is not at hand), "none".
    """

    rows: list[dict[str, Any]]
    nearest: NDArray[np.uint8]
    images: int
    lights: str


class Index:
    """The training images of a run, by pixels, and by features where the network of that name is at hand."""

    def __init__(self, run: Run, network: str) -> None:
        """Raises UserError: the scans are gone, or too few."""
        restored = Restored(run, "cpu")
        cohort = run.cohort()
        learnt, _ = learnt_and_held_out(run, cohort)
        self.real = read_images(restored, cohort, learnt, "reading the training images", False)
        networks = chosen_features(None, restored, "cpu").networks
        self.known = any(each.name == network for each in networks)
        self.network = next((each for each in networks if each.name == network), networks[-1])
        self.data, loader = restored.data, self.real.loader
        batches = counted(self.real.batches(), "preparing the training images", len(loader), False)
        looked = look(batches, self.network, self.data, self.real.patients)
        self.pictures = looked.pictures
        self.pixels, self.features = PictureLikeness(looked.pictures), FeatureLikeness(looked.features)
        self.walker = Walker(run)

    def of(self, codes: ArrayLike, limits: Limits) -> Judged:
        """Of what the run's model draws of codes (n, Z). Raises UserError: no such codes."""
        images = [torch.from_numpy(self.walker.volume(code))[None] for code in np.atleast_2d(codes)]
        looked = look(images, self.network, self.data)
        if limits.images not in (None, len(self.real)):
            limits = Limits()
        pixels = _judged(self.pixels.nearest(looked.pictures), limits.pixels)
        features = _judged(self.features.nearest(looked.features), limits.features if self.known else None)
        found = Likenesses(pixels, features)
        columns = Compared(found, self.real, self.network.name).columns()
        rows = [{name: _plain(values[row]) for name, values in columns.items()} for row in range(len(looked.pictures))]
        lights = "none" if limits.pixels is None else "both" if self.known and limits.features is not None else "pixels"
        return Judged([_lit(row, lights) for row in rows], self.pictures[found.place], len(self.real), lights)


def _judged(found: Matches, threshold: float | None) -> Copies:
    """What `copies` says of them at a threshold that it has set before; nothing stands out where there is none."""
    limit = math.inf if threshold is None else threshold
    return Copies(
        risk=np.full(len(found.index), math.nan), flag=found.stands_out > limit, index=found.index, alike=found.alike,
        stands_out=found.stands_out, rest=found.rest, threshold=limit, rule="", flagged=_UNKNOWN,
        held_out_flagged=_UNKNOWN, closeness=_UNKNOWN, training=0,
    )  # fmt: skip


def _lit(row: dict[str, Any], lights: str) -> dict[str, Any]:
    """Without what the lights that there are do not tell."""
    unknown = {"none": _UNLIT, "pixels": ("distance_features", "threshold_features"), "both": ()}[lights]
    return {name: value for name, value in row.items() if name not in unknown}


_UNLIT: Sequence[str] = ("risk", "flagged", "threshold_pixels", "distance_features", "threshold_features")


def _plain(value: Any) -> Any:
    """For JSON: numbers that are not finite become None."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
