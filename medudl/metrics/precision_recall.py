"""How much of what is generated is real, and how much of what is real is generated: four figures of balls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.subsampling import (
    Array,
    Flags,
    Floor,
    Numbers,
    delete_interval,
    floor_of,
    patients_of,
    rows,
    same_width,
    share_interval,
    splits,
    subsamples,
)

NAMES = ("precision", "recall", "density", "coverage")
_AT_ONCE = 512  # rows of a matrix of distances
_DEPTH = 8  # times k neighbours are remembered, for when nearer ones are left out


@dataclass(frozen=True)
class PrecisionRecall:
    """The four figures, each with its interval by patient; k, and images of both sets."""

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate
    k: int
    real: int
    generated: int


def precision_recall(
    real: ArrayLike,
    generated: ArrayLike,
    groups_real: ArrayLike | None = None,
    groups_generated: ArrayLike | None = None,
    k: int = 5,
    repeats: int = 200,
    seed: int = 0,
) -> PrecisionRecall:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

        ball of an image = as far as the k-th nearest OTHER patient of the same set, by his nearest image
        precision = share of the generated images in the ball of any real one
        recall    = share of the real images in the ball of any generated one
        density   = balls of real images that hold a generated one, mean over the generated ones, over k;
                    a patient's balls weigh as much as one
        coverage  = share of the real images with a generated one in their ball

    real: (n, d), generated: (m, d), of one network; Euclidean distances. Neighbouring slices of one patient would make
    every ball tiny, so groups matter; without them each image is a patient, and the figures are the papers'. One stray
    real image makes a wide ball: density and coverage mind it less. Of equal distributions density is expected to be 1
    and coverage `expected_coverage`; precision and recall depend on n, k and d, and `precision_recall_floor` measures
    what they come to. Memory grows with n + m, not with n * m.

    Intervals: a fifth of the patients of both sets is left out at a time, which moves the balls too. n is the number
    of patients that the share is taken over. Raises UserError where a set has no k + 1 patients.
    """
    real, generated = rows(real, "real images"), rows(generated, "generated images")
    same_width(real, generated)
    patient, maker = patients_of(len(real), groups_real), patients_of(len(generated), groups_generated)
    sides = int(patient.max()) + 1, int(maker.max()) + 1
    kept, factor = subsamples(sides[0], repeats, seed)
    kept_generated, factor_generated = subsamples(sides[1], repeats, seed + 1)
    masks = [(np.ones(len(real), bool), np.ones(len(generated), bool))]
    masks += [(a[patient], b[maker]) for a, b in zip(kept, kept_generated, strict=True)]
    found = _figures(real, generated, patient, maker, k, masks)
    return _with_intervals(found, max(factor, factor_generated), sides, (len(real), len(generated)), k)


def expected_coverage(n: int, m: int, k: int = 5) -> float:
    """Coverage of n real images by m generated ones of the SAME distribution (Naeem et al. 2020).

    1 - (n-1) ... (n-k) / ((m+n-1) ... (m+n-k)), in any space; without groups.
    """
    return 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))


def precision_recall_floor(
    real: ArrayLike,
    groups: ArrayLike | None = None,
    n: int | None = None,
    k: int = 5,
    repeats: int = 50,
    seed: int = 0,
) -> dict[str, Floor]:
    """What real images give against real images of other patients, n a side: the best a generator can be asked for.

    By name of the figure. n None: as many as a split by patient allows. Raises UserError where there are too few.
    """
    real = rows(real, "precision and recall of real images", 4)
    made: list[Array] = []

    def figure(one: Numbers, other: Numbers, patients: Numbers, others: Numbers) -> float:
        everyone = [(np.ones(len(one), bool), np.ones(len(other), bool))]
        made.append(_figures(real[one], real[other], patients, others, k, everyone)[0])
        return 0.0

    frame = splits(real, groups, n, repeats, seed, figure)
    spread = {name: [float(row[i]) for row in made] for i, name in enumerate(NAMES)}
    return {name: floor_of(values, frame.n, frame.patients) for name, values in spread.items()}


def _with_intervals(
    found: Array, factor: float, patients: tuple[int, int], images: tuple[int, int], k: int
) -> PrecisionRecall:
    value, values = found[0], found[1:]
    if not np.isfinite(value).all():
        raise UserError(f"precision and recall: k = {k} needs {k + 1} patients in each set; add some or lower k")
    shares = {
        name: share_interval(float(value[i]), values[:, i], factor, patients[side])
        for i, side, name in ((0, 1, "precision"), (1, 0, "recall"), (3, 0, "coverage"))
    }
    density = delete_interval(float(value[2]), values[:, 2], factor, min(patients), low=0.0)
    return PrecisionRecall(**shares, density=density, k=k, real=images[0], generated=images[1])


def _figures(
    real: Array, generated: Array, patient: Numbers, maker: Numbers, k: int, masks: list[tuple[Flags, Flags]]
) -> Array:
    """(masks, 4). What is remembered of the neighbours is doubled until every subset finds its k-th among them."""
    middle = real.mean(0)  # a large mean would cost digits
    real, generated = real - middle, generated - middle
    depth = _DEPTH * k
    while True:
        one = _Balls(real, patient, generated, k, depth)
        other = _Balls(generated, maker, real, k, depth)
        found = [_four(one, other, a, b, k) for a, b in masks]
        if not any(row is None for row in found):
            return np.array(found)
        depth *= 2


def _four(one: _Balls, other: _Balls, real: Flags, generated: Flags, k: int) -> list[float] | None:
    radius, radius_generated = one.radius(real), other.radius(generated)
    if radius is None or radius_generated is None:
        return None
    if not (real.any() and generated.any()):
        return [math.nan] * 4
    if not (np.isfinite(radius[real]).all() and np.isfinite(radius_generated[generated]).all()):
        return [math.nan] * 4
    owner, guest = one.inside(radius, real, generated)
    _, found_real = other.inside(radius_generated, generated, real)
    n, m = real.sum(), generated.sum()
    return [
        len(np.unique(guest)) / m,
        len(np.unique(found_real)) / n,
        one.weight[owner].sum() / (k * m),
        len(np.unique(owner)) / n,
    ]  # fmt: skip


class _Balls:
    """Of each image of x its nearest ones of other patients, and which images of y lie within the farthest of those."""

    def __init__(self, x: Array, patient: Numbers, y: Array, k: int, depth: int) -> None:
        images = np.bincount(patient)[patient]
        self.weight = 1 / images
        depth = min(depth * int(images.max()), len(x))
        self.k, self.whole = k, depth == len(x)
        self.near = np.empty((len(x), depth), np.int64)
        self.far = np.empty((len(x), depth))
        self.first = np.empty((len(x), depth), bool)  # the nearest image of its patient
        owners, guests, distances = [], [], []
        for start in range(0, len(x), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            own = _squared(x[part], x)
            own[patient[part, None] == patient] = np.inf
            near = np.argpartition(own, depth - 1, axis=1)[:, :depth]
            far = np.take_along_axis(own, near, 1)
            order = np.argsort(far, axis=1)
            self.near[part] = np.take_along_axis(near, order, 1)
            self.far[part] = np.take_along_axis(far, order, 1)
            self.first[part] = _first_of_each(patient[self.near[part]])
            across = _squared(x[part], y)
            owner, guest = np.nonzero(across <= self.far[part, -1:])
            owners.append(owner + start)
            guests.append(guest)
            distances.append(across[owner, guest])
        self.owner, self.guest = np.concatenate(owners), np.concatenate(guests)
        self.distance = np.concatenate(distances)

    def radius(self, kept: Flags) -> Array | None:
        """Squared, (n,); inf where there is no k-th neighbour at all, None where too few are remembered."""
        alive = kept[self.near] & self.first & np.isfinite(self.far)
        rank = alive.cumsum(1)
        enough = rank[:, -1] >= self.k
        if not self.whole and not (enough | ~np.isfinite(self.far[:, -1]))[kept].all():
            return None
        place = np.argmax(rank >= self.k, axis=1)
        return np.where(enough, self.far[np.arange(len(place)), place], np.inf)

    def inside(self, radius: Array, kept: Flags, others: Flags) -> tuple[Numbers, Numbers]:
        """Pairs (ball, image of the other set that lies in it) among those kept."""
        hit = (self.distance <= radius[self.owner]) & kept[self.owner] & others[self.guest]
        return self.owner[hit], self.guest[hit]


def _squared(x: Array, y: Array) -> Array:
    made: Array = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * (x @ y.T)
    return made.clip(0)


def _first_of_each(patient: Numbers) -> Flags:
    """Whether an entry is its row's first of that patient: (n, depth)."""
    order = np.argsort(patient, axis=1, kind="stable")
    ranked = np.take_along_axis(patient, order, 1)
    new = np.ones(patient.shape, bool)
    new[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, 1)
    return first
