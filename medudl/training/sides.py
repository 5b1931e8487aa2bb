"""What the two sides of a translation looked like in training: to invert intensities, and to know a stranger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medudl.data.cache import Cache
from medudl.data.cases import Case
from medudl.data.geometry import along_patient
from medudl.data.geometry import spacing as voxel_size
from medudl.data.pipeline import Prepared
from medudl.data.sides import Side, side_name
from medudl.run import Run

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the foreground's nominal intensities


def describe_sides(run: Run, parts: Sequence[tuple[Side | None, Sequence[Case], Cache]]) -> dict[str, Any]:
    """{"source": ..., "target": ...}, each

    name; channels: [{name, unit, low, high}], what the nominal 0 and 1 stand for in the scan's own unit, mean over the
    training scans (HU by a window: the window); modality;
    spacing, extent: [[least, most] in mm, left-right, front-back, up-down] of the scans as they were read;
    quantiles: [[[least, most] of 5, 25, 50, 75, 95 %] a channel] of the foreground in nominal intensities.
    """
    data = run.config.data
    if len(parts) == 2:
        found = {side: _described([(cache.get(case), case) for case in cases], 0) for side, cases, cache in parts}
    else:
        _, cases, cache = parts[0]
        scans = [(cache.get(case), case) for case in cases]
        split = len(data.channels)
        found = {"source": _described(scans, 0, split), "target": _described(scans, split, None)}
    return {str(side): {"name": side_name(data, side), **told} for side, told in found.items()}  # type: ignore[arg-type]


def _described(scans: Sequence[tuple[Prepared, Case]], first: int, last: int | None = None) -> dict[str, Any]:
    names = scans[0][0].geometry["channels"][first:last]
    channels = [_channel(scans, first + i, name) for i, name in enumerate(names)]
    quantiles = [[_quantiles(scan, first + i) for scan, _ in scans] for i in range(len(names))]
    modality = next((case.channels[first] for _, case in scans if case.channels[first] is not None), None)
    affines = [np.asarray(scan.geometry["source_affine"]) for scan, _ in scans]
    voxels = [
        along_patient(affine, scan.geometry["source_shape"]) for affine, (scan, _) in zip(affines, scans, strict=True)
    ]
    spacing = [along_patient(affine, voxel_size(affine)) for affine in affines]
    extent = [mm * count for mm, count in zip(spacing, voxels, strict=True)]
    return {
        "channels": channels,
        "modality": "" if modality is None else modality.modality,
        "spacing": _range(spacing),
        "extent": _range(extent),
        "quantiles": [_range(one) for one in quantiles],
    }


def _channel(scans: Sequence[tuple[Prepared, Case]], place: int, name: str) -> dict[str, Any]:
    maps = [scan.geometry["intensity"][place] for scan, _ in scans]
    ends = np.array([[np.interp(level, one["target"], one["source"]) for level in (0.0, 1.0)] for one in maps])
    low, high = ends.mean(axis=0).tolist()
    units = {scan.geometry["units"][place] for scan, _ in scans}
    return {"name": name, "unit": "HU" if units == {"HU"} else "arbitrary", "low": low, "high": high}


def _quantiles(scan: Prepared, place: int) -> Any:
    values = scan.image[place][scan.foreground[0]]
    return np.quantile(values, QUANTILES) if values.size else np.zeros(len(QUANTILES))


def _range(rows: Sequence[Any]) -> list[list[float]]:
    """[[least, most]] of each column."""
    table = np.asarray(rows, dtype=np.float64)
    return [[float(low), float(high)] for low, high in zip(table.min(axis=0), table.max(axis=0), strict=True)]
