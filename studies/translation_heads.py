"""What studies of translation share: phantom heads whose T1 and CT are both known, masses planted into both, sizes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from medudl.data.phantom import Subject, make_subject
from medudl.data.phantom_tissue import NAMES
from medudl.data.planted import plant

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

DEPTH, STEP = 28, 5.0  # slices, mm
HU = (-1000.0, 1500.0)  # the nominal 0 and 1 of CT
ERODED = 7.0  # mm of the head left out beside its surface
LEAST = 0.1  # share of a training slice that is head
# A mass with fine calcium, which is bright on T1 and dense on CT: no tissue of the healthy brain is both.
MASS_HU, MASS_T1 = 250.0, 0.5  # added in HU; added in T1, share of the signal of white matter
MASSES, RADII, TEST_RADIUS = 3, (9.0, 15.0), 12.0  # of a sick training head; mm; one mass of a test head


@dataclass(frozen=True, eq=False)  # one of `SIZES` is itself alone, and heads are kept by it
class Size:
    """How large a study is. side, mm: of a slice; train: heads a side; looks: steps after which is measured."""

    name: str
    side: int
    mm: float
    train: int
    val: int
    test: int
    looks: tuple[int, int]
    network: Mapping[str, Any]
    settings: Mapping[str, Any]  # of `train`
    seeds: int = 3


_SETTINGS: Mapping[str, Any] = {
    "batch_size": 1, "device": "cpu", "optimiser": {"lr": 2e-4, "betas": [0.5, 0.999]},
    "players": {"generator": {"ema": 0.999}},
}  # fmt: skip
SIZES: Mapping[str, Size] = {
    "cpu": Size(
        "cpu", 64, 3.4, 24, 6, 12, (2000, 9000),
        {"width": 16, "blocks": 6, "discriminator_width": 16, "receptive_field": 34}, _SETTINGS,
    ),
    "gpu": Size(
        "gpu", 128, 1.7, 100, 12, 24, (10_000, 40_000),
        {"width": 64, "blocks": 6, "discriminator_width": 64, "receptive_field": 70},
        {**_SETTINGS, "batch_size": 4, "device": "cuda", "precision": "bf16"},
    ),
    "tiny": Size(
        "tiny", 48, 4.6, 2, 1, 2, (2, 3),
        {"width": 2, "blocks": 1, "discriminator_width": 2, "receptive_field": 16}, _SETTINGS, seeds=1,
    ),
}  # fmt: skip


def size_name() -> str:
    """MEDUDL_STUDY_SIZE, by default cpu; another than cpu and gpu ends the program with one line, exit code 2."""
    name = os.environ.get("MEDUDL_STUDY_SIZE", "cpu")
    if name not in ("cpu", "gpu"):
        print(f"MEDUDL_STUDY_SIZE: {name!r} is neither cpu nor gpu", file=sys.stderr)
        sys.exit(2)
    return name


@dataclass(frozen=True)
class Head:
    """One head, its volumes (D, H, W). t1: stored units; ends: what its nominal 0 and 1 are; ct: HU; lesion: or empty.

    white: the T1 signal of white matter. A mass or its removal leaves `ends` as they are: nothing else may change.
    """

    t1: Array
    ct: Array
    inside: Mask
    brain: Mask
    lesion: Mask
    ends: tuple[float, float]
    white: float
    spacing: tuple[float, float, float] = field(default=(STEP, 1.0, 1.0))

    @property
    def source(self) -> Array:
        """T1, nominal: (1, D, H, W)."""
        low, high = self.ends
        return ((self.t1 - low) / (high - low)).clip(0, 1)[None].astype(np.float32)

    @property
    def target(self) -> Array:
        """CT, nominal: (1, D, H, W)."""
        return ((self.ct - HU[0]) / (HU[1] - HU[0])).clip(0, 1)[None].astype(np.float32)

    @cached_property
    def deep(self) -> Mask:
        """The head but for `ERODED` mm below its surface."""
        return np.asarray(ndimage.distance_transform_edt(self.inside, sampling=self.spacing) > ERODED)

    def with_mass(self, radius: float, seed: int) -> Head:
        """With one mass more, in T1 and in CT at one place."""
        where: dict[str, Any] = {"radius": radius, "seed": seed, "spacing": self.spacing}
        ct, mask = plant(self.ct, self.brain, contrast=MASS_HU, **where)
        t1, _ = plant(self.t1, self.brain, contrast=MASS_T1 * self.white, **where)
        return replace(self, t1=t1, ct=ct, lesion=self.lesion | mask)

    def sick(self, seed: int) -> Head:
        """With the masses of a training head."""
        random, head = np.random.default_rng(seed), self
        for place in range(MASSES):
            head = head.with_mass(float(random.uniform(*RADII)), 10 * seed + place)
        return head


@dataclass(frozen=True)
class Heads:
    """mr, ct: training heads, of which one side each is shown; bleeding: the test heads with a haemorrhage."""

    mr: Sequence[Head]
    ct: Sequence[Head]
    val: Sequence[Head]
    test: Sequence[Head]
    bleeding: Sequence[Head]


@lru_cache(maxsize=1)
def heads(size: Size) -> Heads:
    """The heads of a study, the same for every seed of training: no head is in two groups."""
    counts = {"mr": size.train, "ct": size.train, "val": size.val, "test": size.test}
    groups = {
        name: [_head(10_000 * number + i, size) for i in range(count)]
        for number, (name, count) in enumerate(counts.items(), start=1)
    }
    return Heads(**groups, bleeding=[_head(40_000 + i, size, "haemorrhage") for i in range(size.test)])


@lru_cache(maxsize=1)
def test_masses(size: Size) -> list[Head]:
    """The test heads with one mass each."""
    return [head.with_mass(TEST_RADIUS, 40_000 + i) for i, head in enumerate(heads(size).test)]


def slices(group: Sequence[Head], prevalence: float, side: str) -> Tensor:
    """The first `prevalence` of the heads get masses; slices of `source` or `target` with enough head: (N, 1, H, W)."""
    sick = round(prevalence * len(group))
    parts = []
    for i, head in enumerate(group):
        shown = head.sick(i) if i < sick else head
        kept = head.inside.mean((1, 2)) > LEAST
        parts.append(getattr(shown, side)[0][kept])
    return torch.from_numpy(np.concatenate(parts))[:, None]


def _head(seed: int, size: Size, lesion: str | None = None) -> Head:
    subject: Subject = make_subject(
        seed, lesion=lesion, shape=(size.side, size.side, DEPTH), spacing=(size.mm, size.mm, STEP)
    )

    def turned(volume: Any) -> Any:
        return np.ascontiguousarray(volume.transpose(2, 1, 0))

    tissue = turned(subject.fractions[NAMES.index("air")] < 0.5)
    inside = np.stack([ndimage.binary_fill_holes(layer) for layer in tissue])
    t1 = turned(subject.contrasts["T1"].voxels)
    low, high = (float(end) for end in np.percentile(t1, [0.5, 99.5]))
    return Head(
        t1, turned(subject.contrasts["CT"].voxels), inside, turned(subject.brain), turned(subject.mask), (low, high),
        float(subject.scanner.scale["T1"]), (STEP, size.mm, size.mm),
    )  # fmt: skip
