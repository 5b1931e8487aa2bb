"""What any ruler could do in a translator's place: histogram matching, regression by voxel, by voxel and neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Maker = Callable[[Array, Mask], Array]  # source (C, D, H, W) nominal, its foreground -> (C', D, H, W) nominal

QUANTILES = np.linspace(0, 1, 201)
BINS = 128  # of source intensity, equally full
VOXELS = 200_000  # of all training scans together, behind the regression by voxel
CONTEXT = 40_000  # of them behind the regression by neighbours, which takes longest
TREES = 60
WIDTHS = (3, 9)  # voxels a side of the squares, within the slice, whose means it sees


@dataclass(frozen=True)
class Baseline:
    """A name, how it translates, and what it is, in a sentence."""

    name: str
    make: Maker
    definition: str


@dataclass
class Fitting:
    """Learns the baselines from the training scans alone, one scan at a time. All in nominal intensities.

    scans: how many will come, so that each gives its share of the voxels. source_spread, target_spread: standard
    deviation of the first channel's foreground, one a scan.
    """

    scans: int
    seed: int = 0
    quantiles: list[NDArray[np.float64]] = field(default_factory=list)
    source_spread: list[float] = field(default_factory=list)
    target_spread: list[float] = field(default_factory=list)
    _seen: list[tuple[Array, Array]] = field(default_factory=list)

    def add_source(self, source: Array, inside: Mask) -> None:
        """A scan of the source side."""
        self.source_spread.append(float(source[0][inside].std()))

    def add_target(self, target: Array, inside: Mask) -> None:
        """A scan of the target side."""
        self.target_spread.append(float(target[0][inside].std()))
        self.quantiles.append(np.stack([np.quantile(channel[inside], QUANTILES) for channel in target]))

    def add_pair(self, source: Array, target: Array, inside: Mask) -> None:
        """A registered pair: both sides, and which voxel became which."""
        self.add_source(source, inside)
        self.add_target(target, inside)
        random = np.random.default_rng([self.seed, len(self._seen)])
        place = np.flatnonzero(inside)
        some = random.choice(place, min(len(place), max(1, VOXELS // self.scans)), replace=False)
        self._seen.append((context(source).reshape(-1, inside.size)[:, some], target.reshape(len(target), -1)[:, some]))

    def done(self) -> list[Baseline]:
        """Histogram matching, and where pairs came the two regressions."""
        found = [_histogram_matching(np.mean(self.quantiles, axis=0))]
        if self._seen:
            features, target = (np.concatenate(parts, axis=1) for parts in zip(*self._seen, strict=True))
            by_voxel = _by_voxel(features[0], target)
            found += [by_voxel, _by_neighbours(features, target, by_voxel.make, self.seed)]
        return found


def context(source: Array) -> Array:
    """(C, D, H, W) -> (3 C, D, H, W): the voxel, and the means of squares of `WIDTHS` around it within its slice."""
    means = [ndimage.uniform_filter(channel, (0, side, side)) for side in WIDTHS for channel in source]
    made: Array = np.stack([*source, *means]).astype(np.float32)
    return made


def _histogram_matching(target: NDArray[np.float64]) -> Baseline:
    """target: (C', quantiles), mean over the training scans of the other side."""

    def make(source: Array, inside: Mask) -> Array:
        # Tied intensities (air) get the middle of their ranks.
        levels, place = np.unique(np.quantile(source[0][inside], QUANTILES), return_inverse=True)
        ranks = np.bincount(place, QUANTILES) / np.bincount(place)
        rank = np.interp(source[0], levels, ranks)
        return np.stack([np.interp(rank, QUANTILES, channel) for channel in target]).astype(np.float32)

    return Baseline(
        "histogram matching", make,
        "The scan's first channel with its foreground's distribution of intensities made that of the training scans of"
        " the other side (mean of their quantiles).",
    )  # fmt: skip


def _by_voxel(source: Array, target: Array) -> Baseline:
    """source: (N,) intensities, target: (C', N)."""
    edges = np.unique(np.quantile(source, np.linspace(0, 1, BINS + 1)))
    place = np.clip(np.searchsorted(edges, source, side="right") - 1, 0, max(0, len(edges) - 2))
    full = np.unique(place)
    centres = np.array([np.median(source[place == one]) for one in full])
    medians = np.array([[np.median(channel[place == one]) for one in full] for channel in target])

    def make(image: Array, inside: Mask) -> Array:
        return np.stack([np.interp(image[0], centres, channel) for channel in medians]).astype(np.float32)

    return Baseline(
        "regression by voxel", make,
        f"The median of the target among training voxels of the same source intensity ({BINS} bins of the first"
        " channel), the best that a map of intensities can do in mean absolute error.",
    )  # fmt: skip


def _by_neighbours(features: Array, target: Array, elsewhere: Maker, seed: int) -> Baseline:
    """features: (F, N), target: (C', N). Outside the foreground, where nothing was learnt, `elsewhere` stands."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    some = np.random.default_rng([seed, 1]).permutation(features.shape[1])[:CONTEXT]
    models: list[Any] = []
    for channel in target:
        model = HistGradientBoostingRegressor(
            loss="absolute_error", max_iter=TREES, early_stopping=False, random_state=seed
        )
        models.append(model.fit(features[:, some].T, channel[some]))

    def make(image: Array, inside: Mask) -> Array:
        made = elsewhere(image, inside)
        seen = context(image)[:, inside].T
        if len(seen):
            for channel, model in zip(made, models, strict=True):
                channel[inside] = model.predict(seen)
        return made

    return Baseline(
        "regression by neighbours", make,
        "Boosted trees for the mean absolute error, from the voxel and the means of"
        f" {' and '.join(f'{side} x {side}' for side in WIDTHS)} voxels around it within the slice, of every source"
        f" channel; fitted on {len(some)} training voxels.",
    )  # fmt: skip
