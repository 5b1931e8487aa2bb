"""Does the uncertainty of a translation, or its cycle error, tell where it errs, and by how much?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.metrics.calibration import WITHIN_ONE, WITHIN_TWO, Calibration, error_against_uncertainty
from medudl.metrics.image import over_patients

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
GROUPS = 10  # of voxels, equally many in each, the surest first
SEED = 0
UNCERTAINTY, CYCLE = "uncertainty", "cycle error"
DEFINITIONS = {
    "ause": "Area between the error of the voxels that are kept, the least uncertain first, and that of the voxels of"
    " least error (area under the sparsification error), in the error's unit: 0 at best.",
    "excess": "The same as a share of what chance leaves: 0 as good as knowing the error, 1 no better than chance,"
    " above 1 misleading.",
    "spearman": "Rank correlation of |error| and the map, over the voxels of a scan: 1 at best.",
    "within_one": f"Share of the voxels whose |error| is at most one deviation (sd); {WITHIN_ONE:.2f} of a Gaussian."
    " Below that the uncertainty is too small.",
    "within_two": f"The same for two standard deviations; {WITHIN_TWO:.2f} of a Gaussian.",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """One map of one channel of one scan: figures, curves, and (GROUPS,) mean of the map and root mean square error."""

    patient: str
    channel: str
    by: str
    found: Calibration
    level: NDArray[np.float64]
    error: NDArray[np.float64]


def told_by(patient: str, channel: str, by: str, error: Array, level: Array, inside: Mask) -> Told:
    """error, level: (D, H, W), the signed error and the map that is to tell of it."""
    seen, size = level[inside].astype(np.float64), np.abs(error[inside]).astype(np.float64)
    groups = np.array_split(np.argsort(seen, kind="stable"), GROUPS)
    means = np.array([seen[group].mean() if len(group) else np.nan for group in groups])
    errors = np.array([np.sqrt(np.square(size[group]).mean()) if len(group) else np.nan for group in groups])
    return Told(patient, channel, by, error_against_uncertainty(error, level, inside), means, errors)


def calibration_of(told: Sequence[Told]) -> list[dict[str, Any]]:
    """The entries of report.json's `calibration`: one a channel and map, figures and curves by patient."""
    rows = []
    for channel, by in dict.fromkeys((one.channel, one.by) for one in told):
        some = [one for one in told if (one.channel, one.by) == (channel, by)]
        names = [one.patient for one in some]
        figures = {
            "ause": [one.found.area - one.found.oracle_area for one in some],
            "excess": [one.found.excess for one in some],
            "spearman": [one.found.spearman for one in some],
        }
        if by == UNCERTAINTY:  # a cycle error is no standard deviation
            figures["within_one"] = [one.found.within_one for one in some]
            figures["within_two"] = [one.found.within_two for one in some]
        row = {name: over_patients(values, names, seed=SEED).as_dict() for name, values in figures.items()}
        curves = {
            "kept": some[0].found.kept.tolist(),
            "error": _mean([one.found.error for one in some], names),
            "oracle": _mean([one.found.oracle for one in some], names),
            "level": _mean([one.level for one in some], names),
            "level_error": _mean([one.error for one in some], names),
        }
        rows.append({"channel": channel, "by": by, "figures": row, "curves": curves})
    return rows


def _mean(curves: Sequence[NDArray[np.float64]], patients: Sequence[str]) -> list[float | None]:
    """Mean over patients of the means of their scans; NaN is null."""
    found = [
        over_patients([curve[k] for curve in curves], patients, seed=SEED, repeats=1) for k in range(len(curves[0]))
    ]
    return [one.as_dict()["value"] for one in found]
