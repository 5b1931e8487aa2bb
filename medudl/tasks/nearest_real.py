"""Which training image each sample is most like, and whether it is more like it than other patients' images are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medudl.config import Data
from medudl.errors import UserError
from medudl.metrics.likeness import FeatureLikeness
from medudl.metrics.memorisation import Copies, copies
from medudl.networks.feature_files import ImageFeatures
from medudl.tasks.codes import middle_plane, picture
from medudl.tasks.detector import Restored
from medudl.tasks.progress import counted
from medudl.tasks.real_images import RealImages, learnt_and_held_out, read_images
from medudl.tasks.sample_pictures import Pictures

ALPHA = 0.05  # of other patients' images are marked: where the thresholds lie
_BATCH = 32
_NO_OTHERS = "No scan of another patient is at hand, so nothing says how alike two patients are: no sample is marked."


@dataclass(frozen=True)
class Real:
    """The run's own scans as far as they are at hand. why: in words, where there are no training images."""

    training: RealImages | None
    held_out: RealImages | None
    why: str | None
    notes: list[str]

    @property
    def aspect(self) -> float:
        """A picture pixel's height over its width; 1 where nobody knows."""
        return 1.0 if self.training is None else self.training.aspect

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Of the grid in mm along D, H, W."""
        return None if self.training is None else self.training.spacing

    def counts(self) -> dict[str, Any] | None:
        """For samples.json: what the samples were compared with."""
        if self.training is None:
            return None
        none = {"scans": 0, "images": 0, "patients": 0}
        held_out = none if self.held_out is None else self.held_out.counts()
        return {"training": self.training.counts(), "held_out": held_out}


def real_of(restored: Restored, progress: bool) -> Real:
    """Training images, and those of the val and test split of other patients. Nothing is raised: scans may be gone."""
    try:
        cohort = restored.run.cohort()
        learnt, others = learnt_and_held_out(restored.run, cohort)
        training = read_images(restored, cohort, learnt, "training images", progress)
    except UserError as error:
        why = f"The training scans are not at hand: nothing tells whether a sample copies one of them ({error})."
        return Real(None, None, why, [why])
    notes = list(training.left_out)
    held_out = None
    if others:
        try:
            held_out = read_images(restored, cohort, others, "held-out images", progress)
            notes += held_out.left_out
        except UserError as error:
            notes.append(f"No scan of another patient could be read ({error}).")
    return Real(training, held_out, None, notes)


@dataclass(frozen=True)
class Looked:
    """A set of images as they are compared. pictures: (n, h, w), at most 128 pixels a side; features: (n, d)."""

    pictures: Pictures
    features: NDArray[np.float32]
    patients: NDArray[np.str_] | None = None


def look(batches: Iterable[Tensor], network: ImageFeatures, data: Data, patients: list[str] | None = None) -> Looked:
    """Of batches (B, C, *S), clipped to [0, 1]."""
    pictures, features = [], []
    for batch in batches:
        clipped = batch.clamp(0, 1)
        pictures.append(picture(middle_plane(clipped, data)))
        features.append(network(clipped).numpy().astype(np.float32, copy=False))
    return Looked(np.concatenate(pictures), np.concatenate(features), None if patients is None else np.array(patients))


@dataclass(frozen=True)
class Likenesses:
    """Samples against training images: by pixels, whatever was flipped, shifted, made noisy or darker; by features."""

    pixels: Copies
    features: Copies

    @property
    def place(self) -> NDArray[np.int64]:
        """Which training image to show: the one most like it in pixels, or in features where those alone stand out."""
        return np.where(self.features.flag & ~self.pixels.flag, self.features.index, self.pixels.index)

    @property
    def risk(self) -> list[str]:
        """Of each: copy (stands out in pixels), close (in features alone), own."""
        return [
            "copy" if p else "close" if f else "own" for p, f in zip(self.pixels.flag, self.features.flag, strict=True)
        ]


def likenesses(samples: Looked, training: Looked, held_out: Looked) -> Likenesses:
    """Raises UserError: too few training images, or too few held-out patients, to say what is alike."""
    who = held_out.patients
    return Likenesses(
        copies(samples.pictures, training.pictures, held_out.pictures, who, ALPHA),
        copies(samples.features, training.features, held_out.features, who, ALPHA, likeness=FeatureLikeness),
    )


@dataclass(frozen=True)
class Compared:
    """What samples.csv and samples.json say of samples beside real images."""

    found: Likenesses
    training: RealImages
    network: str

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(N,): whether it is a copy, or nearly."""
        return self.found.pixels.flag

    def columns(self) -> dict[str, Any]:
        """Of samples.csv. The thresholds of a sample are what it would have to pass to stand out."""
        pixels, features, place = self.found.pixels, self.found.features, self.found.place
        return {
            "nearest_case": [self.training.cases[at] for at in place],
            "nearest_slice": [self.training.slices[at] for at in place],
            "similarity_pixels": pixels.alike, "threshold_pixels": _limit(pixels),
            "distance_features": -features.alike, "threshold_features": _nearest_allowed(features),
            "risk": self.found.risk, "flagged": pixels.flag,
        }  # fmt: skip

    def about(self) -> dict[str, Any]:
        """Of samples.json: thresholds in standard deviations by which the nearest image stands out from the next."""
        return {
            "features": self.network, "threshold_pixels": self.found.pixels.threshold,
            "threshold_features": self.found.features.threshold, "alpha": ALPHA, "rule": self.found.pixels.rule,
        }  # fmt: skip

    def pictures(self, data: Data) -> Pictures:
        """The training image of each, at full size: (N, H, W)."""
        return self.training.pictures_of(self.found.place, data)


def compare(
    images: NDArray[np.float16], real: Real, network: ImageFeatures, data: Data, progress: bool
) -> tuple[Compared | None, str]:
    """Hold samples (N, C, *S) against the real images; None, and why, where that is not possible."""
    if real.training is None:
        return None, real.why or ""
    if real.held_out is None:
        return None, _NO_OTHERS

    def looked(one: RealImages, what: str) -> Looked:
        return look(counted(one.batches(), what, len(one.loader), progress), network, data, one.patients)

    try:
        drawn = counted(_batches(images), "comparing samples", -(-len(images) // _BATCH), progress)
        sides = look(drawn, network, data), looked(real.training, "comparing training images")
        found = likenesses(*sides, looked(real.held_out, "comparing held-out images"))
    except UserError as error:
        return None, f"{error}."
    return Compared(found, real.training, network.name), ""


def _limit(found: Copies) -> NDArray[np.float64]:
    """Likeness that each sample would have to pass to be flagged: (likeness - rest) / deviation = threshold."""
    deviation = (found.alike - found.rest) / np.where(found.stands_out == 0, 1.0, found.stands_out)
    limit: NDArray[np.float64] = found.rest + found.threshold * deviation
    return limit


def _nearest_allowed(found: Copies) -> NDArray[np.float64]:
    """Distance of features that each would have to come under: log(rest / distance) = threshold."""
    limit: NDArray[np.float64] = -found.rest * np.exp(-found.threshold)
    return limit


def _batches(images: NDArray[np.float16]) -> Iterator[Tensor]:
    for start in range(0, len(images), _BATCH):
        yield torch.from_numpy(images[start : start + _BATCH].astype(np.float32))
