"""Does a scan look like those a translation was trained on? What does not is told in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medudl.data.cache import CUT_TOLD
from medudl.data.geometry import along_patient
from medudl.data.geometry import spacing as voxel_size
from medudl.data.pipeline import Prepared

# What is tolerated beyond the range of the training scans, as a share of what is compared.
SPACING, EXTENT = 0.15, 0.15
LEVEL = 0.1  # of the nominal [0, 1], for each quantile of the foreground's intensities
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def warnings_of(prepared: Prepared, modality: str, trained: Mapping[str, Any]) -> list[str]:
    """Sentences on how a scan differs from the training scans of its side; none where it lies within their range.

    modality: of the scan. trained: that side in sides.json. Voxel size and extent are compared along the patient's
    axes (left-right, front-back, up-down), so that thick slices of another plane stand out; quantiles of the
    foreground's intensities channel by channel.
    """
    affine = np.asarray(prepared.geometry["source_affine"])
    spacing = along_patient(affine, voxel_size(affine))
    extent = spacing * along_patient(affine, prepared.geometry["source_shape"])
    found = []
    if trained["modality"] and modality and modality != trained["modality"]:
        found.append(f"is {modality}, trained on {trained['modality']}")
    if told := _outside(spacing, trained["spacing"], SPACING):
        found.append(f"has voxels of {told}")
    if told := _outside(extent, trained["extent"], EXTENT):
        found.append(f"has a field of view of {told}")
    if (cut := prepared.geometry["foreground_cut"]) > CUT_TOLD:
        found.append(f"is larger than the field that the model looks at: {cut:.0%} of it is cut off and not translated")
    names = prepared.geometry["channels"]
    for place, ranges in enumerate(trained["quantiles"]):
        values = prepared.image[place][prepared.foreground[0]]
        levels = np.quantile(values, QUANTILES)
        apart = [max(low - level, level - high) for level, (low, high) in zip(levels, ranges, strict=True)]
        worst = int(np.argmax(apart))
        if apart[worst] > LEVEL:
            low, high = ranges[worst]
            found.append(
                f"has other intensities in {names[place]}: {QUANTILES[worst]:.0%} of its foreground lie below"
                f" {levels[worst]:.2f}, in training below {_span(low, high, '.2f')} (0 to 1 as the network sees them)"
            )
    return found


def _outside(values: Any, ranges: Sequence[Sequence[float]], slack: float) -> str:
    """The values and what was trained on, in words, where one lies beyond its range; else nothing."""
    if all(low * (1 - slack) <= v <= high * (1 + slack) for v, (low, high) in zip(values, ranges, strict=True)):
        return ""
    trained = " x ".join(_span(low, high) for low, high in ranges)
    return f"{' x '.join(f'{v:.3g}' for v in values)} mm, trained on {trained} mm"


def _span(low: float, high: float, form: str = ".3g") -> str:
    one, other = f"{low:{form}}", f"{high:{form}}"
    return one if one == other else f"{one}-{other}"
