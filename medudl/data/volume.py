"""One scan in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Volume:
    """Voxels and where they lie.

    voxels: (X, Y, Z) float32, rescaled (HU for CT), in the file's own order as nibabel would give it. A 2-D image is
    (W, H, 1): X runs along a row from left to right, Y down the rows.
    affine: (4, 4) float64, voxel index (i, j, k) -> patient mm in RAS.
    unit: "HU" for CT (where the file names no unit, see `data.scan.read_series`), else "arbitrary". MR never has HU.
    repaired: what was resampled on request ("resampled to 2.5 mm from uneven slices"), empty if nothing was.
    """

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]
    unit: str = "arbitrary"
    repaired: str = ""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along X, Y, Z."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)
