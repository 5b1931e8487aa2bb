"""From float32 voxels to the 16-bit pixels of a DICOM image, and the window to look at them through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.errors import UserError

Voxels = NDArray[np.float32]
_TISSUE = (40.0, 400.0)  # the usual window of soft tissue, HU: centre, width
_SHOWN = (0.5, 99.5)  # percentiles between which a window of arbitrary units lies
_AIR, _METAL = -1024, 3071  # what twelve bits of a CT hold
_WHOLE = np.iinfo(np.int16)
_LEVELS = 2**16 - 1
_FINE = 250  # range from which on whole numbers do for units that are not HU, as they do in 8-bit scans
_EVERY = 4  # one voxel in 64 is enough for a percentile


@dataclass(frozen=True)
class Pixels:
    """value = slope * stored + intercept.

    kind: DICOM's RescaleType, "HU" or "US" (unspecified). dark, light: stored values of burned-in words. window:
    centre and width, in units of value.
    """

    slope: float
    intercept: float
    signed: bool
    kind: str
    dark: int
    light: int
    window: tuple[float, float]

    @property
    def whole(self) -> bool:
        """Whether the stored values are the values themselves."""
        return self.slope == 1.0 and self.intercept == 0.0

    def stored(self, image: Voxels) -> NDArray[Any]:
        """16-bit pixels of one image; off by half a slope at most."""
        values = np.rint((image.astype(np.float64) - self.intercept) / self.slope)
        return values.astype(np.int16) if self.signed else values.clip(0, _LEVELS).astype(np.uint16)


def pixels_of(voxels: Voxels, unit: str, window: tuple[float, float] | None = None) -> Pixels:
    """How a volume is stored: as whole numbers where it fits 16 bits and is in HU, or spans 250 or more.

    Anything else takes 65536 levels from its least to its greatest value. window: the source's own, where its units
    are the same. Raises UserError: voxels that are no number, or HU beyond 16 bits.
    """
    low, high = float(voxels.min()), float(voxels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError("the synthetic volume holds voxels that are no number (NaN or infinite); train the model anew")
    fits = round(low) >= _WHOLE.min and round(high) <= _WHOLE.max
    if unit == "HU":
        if not fits:
            raise UserError(f"the synthetic volume reaches from {low:.4g} to {high:.4g} HU, which no CT holds;"
                            " check the run's intensity scale")  # fmt: skip
        return Pixels(1.0, 0.0, True, "HU", _AIR, _METAL, window or _TISSUE)
    if fits and high - low >= _FINE:
        return Pixels(1.0, 0.0, True, "US", round(low), round(high), _window(voxels))
    slope = decimal((high - low) / _LEVELS) or 1.0
    return Pixels(slope, decimal(low), False, "US", 0, _LEVELS, _window(voxels))


def decimal(value: float) -> float:
    """A number that a decimal string of 16 characters holds exactly."""
    return float(f"{value:.10g}")


def _window(voxels: Voxels) -> tuple[float, float]:
    low, high = np.percentile(voxels[::_EVERY, ::_EVERY, ::_EVERY], _SHOWN)
    return decimal((low + high) / 2), decimal(high - low) or 1.0
