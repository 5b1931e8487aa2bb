"""Whether two scans of a pair lie on each other: mutual information here and a few millimetres away."""

from __future__ import annotations

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

STEP_MM = 3.0  # how far a pair is moved to see whether it matches better there
TURN_DEGREES = 4.0
GAIN = 1.05  # a better match by less than this factor is noise of the histogram, or of interpolation
_BINS = 32
_SLICES = 16  # of the first axis, the middle ones, are looked at
_FINE_MM = 1.0  # finer voxels are taken every other one


@dataclass(frozen=True)
class Match:
    """here: mutual information in nats as the pair lies; best: of the best move tried; move: that move in words."""

    here: float
    best: float
    move: str

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
        self.sources = len(data.channels)

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
                names = f"{case.names[0]} and {case.names[self.sources]}"
                raise UserError(
                    f"{case.id}: {names} do not lie on each other, {case.names[self.sources]} {found.move} matches"
                    f" better ({found.best:.2f} against {found.here:.2f} nats); set data.register_to_grid: true, or"
                    " data.pairs: trust"
                )
        return prepared


def pipeline_of(data: Data, fitted: dict[str, Any], side: Side | None = None) -> Pipeline:
    """The pipeline that a config asks for. side: of a translation, one side alone; without it, registered pairs."""
    if not data.target:
        return Pipeline(data, fitted)
    return PairPipeline(data, fitted) if side is None else Pipeline(side_data(data, side), fitted)


def match(source: Array, target: Array, inside: NDArray[np.bool_], spacing: tuple[float, float, float]) -> Match:
    """How well two volumes on one grid match, and whether they would match better moved.

    The target is moved by 3 mm to and fro along each axis whose voxels are no coarser than that, and turned by 4
    degrees to and fro in the slice. Mutual information of 32 x 32 bins (1st to 99th percentile) over the voxels
    `inside`. source, target: (D, H, W); spacing: mm.
    """
    source, target, inside, spacing = _thinned(source, target, inside, spacing)
    here = mutual_information(source[inside], target[inside])
    best, move = here, "nowhere"
    for words, moved in _moves(target, spacing):
        found = mutual_information(source[inside], moved[inside])
        if found > best:
            best, move = found, words
    return Match(here, best, move)


def mutual_information(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Of two lists of values, in nats, by a histogram of 32 x 32 bins from the 1st to the 99th percentile of each.

    I = sum p(a, b) log(p(a, b) / (p(a) p(b))) >= 0. 0 where one of them is constant.
    """
    counts, _, _ = np.histogram2d(_levels(a), _levels(b), bins=_BINS, range=[[0, 1], [0, 1]])
    joint = counts / max(1.0, counts.sum())
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def _levels(values: NDArray[np.floating]) -> NDArray[np.floating]:
    low, high = np.percentile(values, [1, 99]) if values.size else (0.0, 1.0)
    if not high > low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0, 1)


def _moves(target: Array, spacing: tuple[float, float, float]) -> list[tuple[str, Array]]:
    """(words, moved target); what comes in from outside repeats the border."""
    found = []
    for axis, name in enumerate(("from slice to slice", "along the rows", "along the columns")):
        if spacing[axis] > STEP_MM or target.shape[axis] == 1:
            continue
        for way in (-1, 1):
            shift = [0.0, 0.0, 0.0]
            shift[axis] = way * STEP_MM / spacing[axis]
            moved = ndimage.shift(target, shift, order=1, mode="nearest")
            found.append((f"moved by about {STEP_MM:g} mm {name}", moved))
    for way in (-1, 1):
        turned = ndimage.rotate(target, way * TURN_DEGREES, axes=(1, 2), reshape=False, order=1, mode="nearest")
        found.append((f"turned by about {TURN_DEGREES:g} degrees in the slice", turned))
    return found


def _thinned(
    source: Array, target: Array, inside: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> tuple[Array, Array, NDArray[np.bool_], tuple[float, float, float]]:
    """The middle slices, and every other voxel of fine ones: a second or two for any scan."""
    depth = source.shape[0]
    # A run of slices that lie beside each other, so that moving along the first axis means what it says.
    first = max(0, (depth - _SLICES) // 2)
    rows, columns = (2 if mm < _FINE_MM else 1 for mm in spacing[1:])
    cut = slice(first, first + _SLICES), slice(None, None, rows), slice(None, None, columns)
    thin = spacing[0], spacing[1] * rows, spacing[2] * columns
    return source[cut], target[cut], inside[cut], thin
