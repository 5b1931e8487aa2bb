"""How `train` learns where nobody says how: a config that comes with medudl, made to fit the scans of a store."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from medudl.data.cohort import Cohort, Series
from medudl.labels.store import LabelStore
from medudl.networks.efficientnet import installed

__all__ = ["chosen"]

SIDE = 64  # pixels of a slice at most that is learnt from nothing; 28 x 28 stays as it is
FILM_SIDE = 224  # of a film that a trained network looks at
_FLAT = ("png", "jpeg", "npz")
# For a few labels and the minutes that a team waits; the config's own are for a night.
_QUICK: dict[str, Any] = {"train.steps": 1000, "train.batch_size": 32, "train.validate_every": 100,
                          "train.checkpoint_every": 100, "train.sample_every": 500, "method.width": 16}  # fmt: skip
_CT = {"kind": "window", "low": -100, "high": 200}
_OTHER = {"kind": "percentile", "low": 0.5, "high": 99.5}


def chosen(store: LabelStore, cohort: Cohort) -> tuple[str, list[str]]:
    """The config's name, and settings for `--set` that make it fit the scans.

    Films larger than 64 x 64: label_spreading, where the weights that it looks through are installed, on 224 x 224 at
    most. All else: semi_supervised_gan on slices of 64 x 64 at most. All contrasts, or those of every study as
    channels. Slices are made coarser, never finer; projections are taken whole. CT goes by a window of soft tissue, all
    else by percentiles.
    """
    series = [one for rows in store.series_of(cohort).values() for one in rows]
    flat = all(one.format in _FLAT or min(one.shape, default=1) == 1 for one in series)
    looked_at = flat and installed() and any(max(one.shape, default=0) > SIDE for one in series)
    side, spacing = _grid(series, flat, FILM_SIDE if looked_at else SIDE)
    ct = all(one.modality == "CT" for one in series)
    settings: dict[str, Any] = {
        "data.where": {}, "data.channels": _channels(store, series), "data.plane": "axial", "data.size": [side, side],
        "data.spacing": [None, spacing, spacing], "data.foreground": "none" if flat else "body",
        "data.crop_foreground": not flat, "data.intensity": {**(_CT if ct else _OTHER), "clip": looked_at},
        "train.workers": 0,  # an epoch of few scans is over before a process has started
        **({} if looked_at else _QUICK),
    }  # fmt: skip
    name = "label_spreading" if looked_at else "semi_supervised_gan"
    return name, [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def _channels(store: LabelStore, series: Sequence[Series]) -> list[str]:
    """The contrasts that every study has, where a label is about a study; none: each series by itself."""
    if store.unit != "study":
        return []
    studies: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in series:
        studies[one.subject, one.study].add(one.contrast)
    shared = set.intersection(*studies.values()) - {""} if studies else set()
    return sorted(shared) if len(shared) > 1 else []


def _grid(series: Sequence[Series], flat: bool, most: int) -> tuple[int, float | None]:
    """Pixels a side, `most` at most, and mm a pixel (None: as they are) at which nearly all scans fit in."""
    planes = [_plane(one, flat) for one in series if len(one.shape) >= 2 and len(one.spacing) >= 2]
    if not planes:
        return most, None
    pixels = math.ceil(np.quantile([max(count for count, _ in plane) for plane in planes], 0.95))
    steps = {round(step, 4) for plane in planes for _, step in plane}
    if pixels <= most and len(steps) == 1:
        return max(pixels, 8), None
    reach = float(np.quantile([max(count * step for count, step in plane) for plane in planes], 0.95))
    finest = float(np.median([min(step for _, step in plane) for plane in planes]))
    spacing = float(f"{max(reach / most, finest):.3g}")
    return min(most, max(8, math.ceil(reach / spacing))), spacing


def _plane(one: Series, flat: bool) -> list[tuple[int, float]]:
    """Pixels and mm a pixel along the two axes of the axial plane."""
    axes = [0, 1]
    if not flat and len(one.orientation) == 3:
        axes = [place for place, letter in enumerate(one.orientation) if letter in "LRAP"] or axes
    return [(one.shape[axis], one.spacing[axis]) for axis in axes]
