"""Whether two scans of a pair lie on each other: mutual information here and a few millimetres away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medudl.config import Data
from medudl.data.cases import Case
from medudl.data.pipeline import Pipeline, Prepared
from medudl.data.sides import Side, paired_data, side_data
from medudl.errors import UserError

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort

Array = NDArray[np.float32]
Spacing = tuple[float, float, float]
Cut = tuple[slice, slice, slice]

STEP_MM = 3.0  # how far a pair is moved to see whether it matches better there
TURN_DEGREES = 4.0
GAIN = 1.05  # a better match by less than this factor is noise of the histogram, or of interpolation
_BINS = 32
_SLICES = 16  # of the first axis, the middle ones of those with foreground, are looked at
_FINE_MM = 1.0  # finer voxels are taken every other one


@dataclass(frozen=True)
class Match:
    """here: mutual information in nats as the pair lies; best: of the best move tried; move: that move in words.

    mirrored: whether that move is a mirror image, or a turn by 180 degrees, which no registration here undoes.
    """

    here: float
    best: float
    move: str
    mirrored: bool = False

    @property
    def apart(self) -> bool:
        """Whether the pair matches clearly better somewhere else."""
        return self.best > GAIN * self.here


class PairPipeline(Pipeline):
    """`prepare` gives both sides of a registered pair as the channels of one image, the source's first.

    With `data.pairs: check` a pair whose sides do not lie on each other is refused.
    """

    def __init__(self, data: Data, fitted: dict[str, Any] | None = None) -> None:
        super().__init__(paired_data(data), fitted)
        self.sources: int = len(data.channels)

    @property
    def key(self) -> str:
        """As of any pipeline; what was trusted once is checked when that is asked for."""
        return f"{super().key}/{self.sources}/{self.data.pairs}"

    def prepare(self, cohort: Cohort, case: Case) -> Prepared:
        """As of any pipeline. Raises UserError too where the sides lie apart."""
        prepared = super().prepare(cohort, case)
        if self.data.pairs == "check":
            affine = np.asarray(prepared.geometry["affine"])
            depth, height, width = np.linalg.norm(affine[:3, :3], axis=0).tolist()
            source, target = prepared.image[0], prepared.image[self.sources]
            found = match(source, target, prepared.foreground[0], (depth, height, width))
            if found.apart:
                raise UserError(f"{case.id}: {_told(found, case.names[0], case.names[self.sources])}")
        return prepared


def _told(found: Match, source: str, target: str) -> str:
    """What is wrong with a pair that lies apart, and what to do."""
    figures = f"({found.best:.2f} against {found.here:.2f} nats)"
    if found.mirrored:
        return (
            f"{target} is {found.move.split()[0]} against {source}: {found.move} it matches better {figures}; mend the"
            " affine of one, leave the study out with data.where, or set data.pairs: trust"
        )
    return (
        f"{source} and {target} do not lie on each other, {target} {found.move} matches better {figures}; set"
        " data.register_to_grid: true, or data.pairs: trust"
    )


def pipeline_of(data: Data, fitted: dict[str, Any], side: Side | None = None) -> Pipeline:
    """The pipeline that a config asks for. side: of a translation, one side alone; without it, registered pairs."""
    if not data.target:
        return Pipeline(data, fitted)
    return PairPipeline(data, fitted) if side is None else Pipeline(side_data(data, side), fitted)


def match(source: Array, target: Array, inside: NDArray[np.bool_], spacing: Spacing) -> Match:
    """How well two volumes on one grid match, and whether they would match better moved.

    The target is moved by 3 mm to and fro along each axis, or by one whole voxel where voxels are coarser than that;
    turned by 4 degrees to and fro in the slice; mirrored along each axis; turned by 180 degrees about each. Mutual
    information of 32 x 32 bins (1st to 99th percentile) over the voxels `inside`. source, target: (D, H, W); spacing:
    mm.
    """
    cut = _cut(inside, spacing)
    inside = inside[cut]
    bins = _binned(source[cut][inside])
    here = _information(bins, _binned(target[cut][inside]))
    found = Match(here, here, "nowhere")
    for words, mirrored, moved in _moves(target, cut, spacing):
        there = _information(bins, _binned(moved[inside]))
        if there > found.best:
            found = Match(here, there, words, mirrored)
    return found


def mutual_information(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Of two lists of values, in nats, by a histogram of 32 x 32 bins from the 1st to the 99th percentile of each.

    I = sum p(a, b) log(p(a, b) / (p(a) p(b))) >= 0. 0 where one of them is constant.
    """
    return _information(_binned(a), _binned(b))


def _information(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
    counts = np.bincount(a * _BINS + b, minlength=_BINS * _BINS).reshape(_BINS, _BINS)
    joint = counts / max(1, counts.sum())
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def _binned(values: NDArray[np.floating]) -> NDArray[np.intp]:
    """The number of each value's bin."""
    low, high = np.percentile(values, [1, 99]) if values.size else (0.0, 1.0)
    if not high > low:
        return np.zeros(values.shape, dtype=np.intp)
    return (np.clip((values - low) / (high - low), 0, 1) * _BINS).astype(np.intp).clip(max=_BINS - 1)


def _moves(target: Array, cut: Cut, spacing: Spacing) -> Iterator[tuple[str, bool, Array]]:
    """(words, `Match.mirrored`, moved target), each cut; what comes in from outside repeats the border."""
    plain = target[cut]
    for axis, name in enumerate(("from slice to slice", "along the rows", "along the columns")):
        if target.shape[axis] == 1:
            continue
        for way in (-1, 1):
            if spacing[axis] > STEP_MM:
                # Between thick slices interpolation alone would cost a match, so they are moved whole.
                place = (np.arange(target.shape[axis]) - way).clip(0, target.shape[axis] - 1)[cut[axis]]
                others = tuple(slice(None) if other == axis else cut[other] for other in range(3))
                yield f"moved by {spacing[axis]:.3g} mm {name}", False, target[others].take(place, axis)
            else:
                shift = [0.0, 0.0, 0.0]
                shift[axis] = way * STEP_MM / (spacing[axis] * (cut[axis].step or 1))
                moved = ndimage.shift(plain, shift, order=1, mode="nearest")
                yield f"moved by about {STEP_MM:g} mm {name}", False, moved
        yield f"mirrored {name}", True, np.flip(target, axis)[cut]
    for about, axes in (("in the slice", (1, 2)), ("about the rows", (0, 2)), ("about the columns", (0, 1))):
        yield f"turned by 180 degrees {about}", True, np.flip(target, axes)[cut]
    for way in (-1, 1):
        turned = ndimage.rotate(plain, way * TURN_DEGREES, axes=(1, 2), reshape=False, order=1, mode="nearest")
        yield f"turned by about {TURN_DEGREES:g} degrees in the slice", False, turned


def _cut(inside: NDArray[np.bool_], spacing: Spacing) -> Cut:
    """The middle slices of what is `inside`, and every other voxel of fine ones: a second or two for any scan."""
    held = np.flatnonzero(inside.any(axis=(1, 2)))
    # A run of slices that lie beside each other, so that moving along the first axis means what it says.
    first = max(0, int(held[0] + held[-1] + 1 - _SLICES) // 2) if held.size else 0
    rows, columns = (2 if mm < _FINE_MM else 1 for mm in spacing[1:])
    return slice(first, first + _SLICES), slice(None, None, rows), slice(None, None, columns)
