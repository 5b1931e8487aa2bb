"""Does a scan look like those a translation was trained on? What does not is told in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medudl.data.pipeline import Prepared

# What is tolerated beyond the range of the training scans, as a share of what is compared.
SPACING, EXTENT = 0.15, 0.15
LEVEL = 0.1  # of the nominal [0, 1], for each quantile of the foreground's intensities
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def warnings_of(prepared: Prepared, modality: str, trained: Mapping[str, Any]) -> list[str]:
    """Sentences on how a scan differs from the training scans of its side; none where it lies within their range.

    modality: of the scan. trained: that side in sides.json. Voxel size and extent are compared as sets, smallest with
    smallest, since scans name their axes in any order; quantiles of the foreground's intensities channel by channel.
    """
    affine = np.asarray(prepared.geometry["source_affine"])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    extent = spacing * np.asarray(prepared.geometry["source_shape"])
    found = []
    if trained["modality"] and modality and modality != trained["modality"]:
        found.append(f"is {modality}, trained on {trained['modality']}")
    if told := _outside(spacing, trained["spacing"], SPACING):
        found.append(f"has voxels of {told}")
    if told := _outside(extent, trained["extent"], EXTENT):
        found.append(f"has a field of view of {told}")
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
    """The sorted values and what was trained on, in words, where one lies beyond its range; else nothing."""
    values = np.sort(values)
    table = np.sort(np.asarray(ranges), axis=0)
    if all(low * (1 - slack) <= v <= high * (1 + slack) for v, (low, high) in zip(values, table, strict=True)):
        return ""
    trained = " x ".join(_span(low, high) for low, high in table)
    return f"{' x '.join(f'{v:.3g}' for v in values)} mm, trained on {trained} mm"


def _span(low: float, high: float, form: str = ".3g") -> str:
    one, other = f"{low:{form}}", f"{high:{form}}"
    return one if one == other else f"{one}-{other}"
