"""Intensity maps: from a scan's own unit to a nominal [0, 1], monotone and invertible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.config import Intensity
from medudl.errors import UserError

Array = NDArray[np.float32]
_DECILES = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0)


@dataclass(frozen=True)
class IntensityMap:
    """A piecewise linear, strictly rising map, continued beyond its ends with the slope of the last piece.

    source: knots in the scan's unit (HU for CT). target: their values on the nominal [0, 1] scale. With `clip` the
    result is cut to [0, 1]: then `inverse` gives what the cut left, not the brighter or darker voxels that were cut.
    """

    source: tuple[float, ...]
    target: tuple[float, ...]
    clip: bool = False

    def forward(self, voxels: Array) -> Array:
        """Voxels in the scan's unit -> nominal [0, 1]."""
        mapped = _piecewise(voxels, self.source, self.target)
        return mapped.clip(0, 1) if self.clip else mapped

    def inverse(self, voxels: Array) -> Array:
        """Nominal [0, 1] -> the scan's unit."""
        return _piecewise(voxels, self.target, self.source)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"source": list(self.source), "target": list(self.target), "clip": self.clip}

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> IntensityMap:
        """What `to_json` gave."""
        return cls(tuple(tree["source"]), tuple(tree["target"]), bool(tree["clip"]))


def intensity_map(setting: Intensity, values: Array, where: str, standard: list[float] | None = None) -> IntensityMap:
    """The map of one channel from the `values` (N,) of its foreground voxels; `standard` as of `standard_landmarks`.

    Raises UserError where the foreground is constant: no map of it could be undone. `where` names the scan.
    """
    if setting.kind == "window":
        return IntensityMap((setting.low, setting.high), (0.0, 1.0), setting.clip)
    if setting.kind == "zscore":
        mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        source, target = [mean - setting.width * deviation, mean + setting.width * deviation], [0.0, 1.0]
    elif setting.kind == "percentile":
        source, target = np.percentile(values, [setting.low, setting.high]).tolist(), [0.0, 1.0]
    else:
        if standard is None:
            raise UserError(
                f"{where}: no landmarks were learnt for this contrast; train on scans that have it, "
                "or use another intensity map"
            )
        source, target = np.percentile(values, _ranks(setting)).tolist(), list(standard)
    return IntensityMap(*_rising(source, target, where), setting.clip)


def landmarks(setting: Intensity, values: Array, where: str) -> list[float]:
    """One scan's landmarks (its percentiles low, 10, 20, ..., 90, high), scaled to [0, 1]."""
    found = np.percentile(values, _ranks(setting))
    if not found[-1] > found[0]:
        raise _constant(where)
    return [float(x) for x in (found - found[0]) / (found[-1] - found[0])]


def standard_landmarks(scans: list[list[float]]) -> list[float]:
    """The mean of the training scans' landmarks (Nyul & Udupa 1999), kept strictly rising.

    Tied landmarks (many equal voxels) would make a flat piece that cannot be undone, so one thousandth of an even
    spacing is mixed in.
    """
    mean = np.mean(np.asarray(scans), axis=0)
    return [float(x) for x in 0.999 * mean + 0.001 * np.linspace(0, 1, len(mean))]


def _ranks(setting: Intensity) -> list[float]:
    return [setting.low, *(d for d in _DECILES if setting.low < d < setting.high), setting.high]


def _rising(source: list[float], target: list[float], where: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Drop knots that do not rise; the last one always stays, so that `high` keeps its place."""
    gap = 1e-6 * max(abs(source[0]), abs(source[-1]))  # float32 cannot tell closer ones apart
    if not source[-1] - source[0] > gap:
        raise _constant(where)
    kept = [0]
    for i in range(1, len(source) - 1):
        if source[i] - source[kept[-1]] > gap and source[-1] - source[i] > gap:
            kept.append(i)
    kept.append(len(source) - 1)
    return tuple(float(source[i]) for i in kept), tuple(float(target[i]) for i in kept)


def _constant(where: str) -> UserError:
    return UserError(
        f"{where}: every foreground voxel has the same value, so there is nothing to learn from; "
        "leave it out with data.where, or check its foreground"
    )


def _piecewise(voxels: Array, source: tuple[float, ...], target: tuple[float, ...]) -> Array:
    slope = np.diff(target) / np.diff(source)
    if len(source) == 2:
        return ((voxels - np.float32(source[0])) * np.float32(slope[0]) + np.float32(target[0])).astype(np.float32)
    out = np.interp(voxels, source, target)
    out += np.minimum(voxels - source[0], 0) * slope[0] + np.maximum(voxels - source[-1], 0) * slope[-1]
    return out.astype(np.float32)
