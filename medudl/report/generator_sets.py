"""The sets of images that a generator is judged by: its samples, held-out and training images, trivial samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medudl.config import Data
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.networks.feature_files import ImageFeatures
from medudl.report.trivial_generator import gaussian_samples
from medudl.tasks.codes import middle_plane, picture
from medudl.tasks.detector import Restored
from medudl.tasks.draw import Drawing
from medudl.tasks.progress import counted
from medudl.tasks.real_images import RealImages, learnt_and_held_out, read_images

MOST = 1000  # held-out images that a network looks at
MOST_TRAINING = 5000
SAMPLES = 500  # drawn where nobody says how many, or as many as there are training images where those are fewer
FEWEST = 50


@dataclass(frozen=True)
class ImageSet:
    """n images. features: (n, d) by network; pictures: (n, h, w), at most 128 pixels a side; patients: of each.

    images: (n, C, *S) float16; of all training images together, none.
    """

    images: NDArray[np.float16]
    pictures: NDArray[np.uint8]
    features: dict[str, NDArray[np.float32]]
    patients: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Sets:
    """All of them; `floor` is of the training images, as many as there are samples. shown: which training images."""

    samples: ImageSet
    held_out: ImageSet
    training: ImageSet
    trivial: ImageSet
    floor: ImageSet
    shown: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Real:
    """What was read of the run's scans."""

    training: RealImages
    held_out: RealImages


def read_real(restored: Restored, cohort: Cohort | None, split: str, progress: bool) -> Real:
    """Training images of the run, and images of `split` of patients that it has not seen.

    Raises UserError: nothing there to compare with.
    """
    own = restored.run.cohort()
    learnt, others = learnt_and_held_out(restored.run, own, (split,))
    rows = own
    if cohort is not None:
        known, rows = {case.subject for case in learnt}, cohort
        others = [case for case in learnt_and_held_out(restored.run, cohort, (split,))[1] if case.subject not in known]
    if not others:
        raise UserError(
            f"split {split}: no scan of it is of a patient that the run has not learnt from and of the kind that it"
            " learnt from (healthy, see data.healthy_labels); name another split, such as --split val"
        )
    training = read_images(restored, own, learnt, "training images", progress)
    return Real(training, read_images(restored, rows, others, "held-out images", progress))


def how_many(asked: int | None, training: int) -> int:
    """Samples to draw. Raises UserError where fewer than two are asked for."""
    if asked is not None and asked < 2:
        raise UserError(f"--samples {asked}: figures of a set take two at the least; ask for some hundred")
    return asked or max(FEWEST, min(SAMPLES, training))


def gather_sets(
    restored: Restored, real: Real, networks: Sequence[ImageFeatures], n: int, seed: int, progress: bool
) -> Sets:
    """Draw n samples, and look at everything through every network."""
    drawing = Drawing(restored, n, seed)
    look = _Look(networks, restored.data)
    steps = drawing.starts()
    samples = look(drawing.batch(start) for start in counted(steps, "drawing samples", len(steps), progress))
    chosen, notes = _some(len(real.held_out), MOST, "held-out", seed)
    shown, more = _some(len(real.training), MOST_TRAINING, "training", seed + 1)
    held_out = look(_counted(real.held_out, chosen, progress), patients=_patients(real.held_out, chosen))
    floor = np.sort(np.random.default_rng([seed, 2]).permutation(len(shown))[:n])
    training = look(_counted(real.training, shown, progress), kept=floor, patients=_patients(real.training, shown))
    trivial = gaussian_samples(real.training.batches, len(real.training), n, tuple(restored.method.shape), seed)
    return Sets(
        samples, held_out, training, look(counted(trivial, "trivial samples", 1, progress)), _part(training, floor),
        shown, [*notes, *more],
    )  # fmt: skip


class _Look:
    """Images as they are compared: clipped to [0, 1], for a generator gives no more, and brighter voxels would tell."""

    def __init__(self, networks: Sequence[ImageFeatures], data: Data) -> None:
        self.networks, self.data = networks, data

    def __call__(
        self, batches: Iterable[Tensor], *, kept: NDArray[np.int64] | None = None,
        patients: NDArray[np.int64] | None = None,
    ) -> ImageSet:  # fmt: skip
        """kept: numbers of those whose images are kept, ascending; all where None."""
        images, pictures, seen = [], [], 0
        features: dict[str, list[NDArray[np.float32]]] = {network.name: [] for network in self.networks}
        for batch in batches:
            clipped = batch.clamp(0, 1)
            inside = np.arange(len(batch)) if kept is None else kept[(kept >= seen) & (kept < seen + len(batch))] - seen
            seen += len(batch)
            images.append(clipped.numpy()[inside].astype(np.float16))
            pictures.append(picture(middle_plane(clipped, self.data)))
            for network in self.networks:
                features[network.name].append(network(clipped).numpy().astype(np.float32, copy=False))
        joined = {name: np.concatenate(parts) for name, parts in features.items()}
        return ImageSet(np.concatenate(images), np.concatenate(pictures), joined, patients)


def _counted(images: RealImages, chosen: NDArray[np.int64], progress: bool) -> Iterable[Tensor]:
    return counted(images.batches(chosen), "looking at real images", len(images.loader), progress)


def _patients(images: RealImages, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(np.asarray(images.patients)[chosen], return_inverse=True)[1].astype(np.int64)


def _some(count: int, most: int, what: str, seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """Numbers of at most `most` images, ascending, and a note where that is not all."""
    if count <= most:
        return np.arange(count), []
    chosen = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    return chosen, [f"{most} of {count} {what} images were compared, drawn at random."]


def _part(whole: ImageSet, rows: NDArray[np.int64]) -> ImageSet:
    """Those of its images that were kept."""
    patients = None if whole.patients is None else np.unique(whole.patients[rows], return_inverse=True)[1]
    features = {name: found[rows] for name, found in whole.features.items()}
    return ImageSet(whole.images, whole.pictures[rows], features, patients)
