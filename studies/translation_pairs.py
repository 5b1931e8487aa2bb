"""Registered T1 and T2 of pgbm for study `t1_t2`, and the regressions that a network has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medudl.data.foreground import body
from medudl.data.volume import Volume
from medudl.report.translation_baselines import BINS, CONTEXT, Fitting, context
from studies.translation_heads import LEAST, Array, Mask


@dataclass(frozen=True)
class Pair:
    """One study. source, target: T1 and T2, nominal, (1, D, H, W); inside: its head, (D, H, W)."""

    patient: str
    source: Array
    target: Array
    inside: Mask


@lru_cache(maxsize=1)
def pairs(source: Path, side: int) -> list[Pair]:
    """The studies of pgbm."""
    import nibabel

    found = []
    for folder in sorted((source / "pgbm").glob("*/*/")):
        scans = [nibabel.load(folder / f"{name}.nii.gz") for name in ("T1", "T2")]
        t1, t2 = (Volume(np.asarray(scan.get_fdata(dtype=np.float32)), scan.affine) for scan in scans)
        inside = _squared(body(t1).astype(np.float32), side) > 0.5
        source_, target = (_squared(_scaled(one.voxels), side)[None] for one in (t1, t2))
        found.append(Pair(folder.parent.name, source_, target, inside))
    return found


def _scaled(voxels: Array) -> Array:
    low, high = np.percentile(voxels, [0.5, 99.5])
    return np.asarray(((voxels - low) / (high - low)).clip(0, 1), np.float32)


def _squared(voxels: Array, side: int) -> Array:
    """(X, Y, Z) -> (Z, side, side), zeros around what is no square."""
    volume = torch.from_numpy(np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    height, width = volume.shape[1:]
    wide, high = max(height, width) - width, max(height, width) - height
    padded = F.pad(volume, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
    return np.asarray(F.interpolate(padded[:, None], (side, side), mode="area")[:, 0])


def kept(pair: Pair) -> NDArray[np.bool_]:
    """The slices that hold enough of the head: (D,)."""
    return np.asarray(pair.inside.mean((1, 2)) > LEAST)


def baselines(known: Sequence[Pair]) -> dict[str, Any]:
    """(source, inside) -> target: those of the report, and the regressions again by their means."""
    fitting = Fitting(len(known))
    for pair in known:
        fitting.add_pair(pair.source, pair.target, pair.inside)
    found: dict[str, Any] = {one.name: one.make for one in fitting.done()}
    seen = np.concatenate([context(pair.source)[:, pair.inside] for pair in known], axis=1)
    return {**found, **_means(seen, np.concatenate([pair.target[0][pair.inside] for pair in known]))}


def _means(seen: Array, wanted: Array) -> dict[str, Any]:
    """seen: (features, N), the voxel itself first; wanted: (N,)."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    edges = np.unique(np.quantile(seen[0], np.linspace(0, 1, BINS + 1)))
    place = np.clip(np.searchsorted(edges, seen[0], side="right") - 1, 0, len(edges) - 2)
    full, place = np.unique(place, return_inverse=True)
    count = np.bincount(place)
    centres, means = np.bincount(place, seen[0]) / count, np.bincount(place, wanted) / count
    some = np.random.default_rng(0).permutation(len(wanted))[:CONTEXT]
    model = HistGradientBoostingRegressor(max_iter=60, early_stopping=False, random_state=0)
    model.fit(seen[:, some].T, wanted[some])

    def by_voxel(image: Array, inside: Mask) -> Array:
        return np.asarray(np.interp(image, centres, means), np.float32)

    def by_neighbours(image: Array, inside: Mask) -> Array:
        made = by_voxel(image, inside)
        made[0][inside] = model.predict(context(image)[:, inside].T)
        return made

    return {"mean by voxel": by_voxel, "mean by neighbours": by_neighbours}


def without(everyone: Sequence[Pair], number: int) -> tuple[list[Pair], list[Pair]]:
    """The studies of all patients but one, and those of that one."""
    patient = sorted({pair.patient for pair in everyone})[number]
    known = [pair for pair in everyone if pair.patient != patient]
    return known, [pair for pair in everyone if pair.patient == patient]


def learnt_from(known: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Their T1 and T2 slices, (N, 1, H, W) each."""
    source, target = (
        torch.from_numpy(np.concatenate([getattr(p, side)[0][kept(p)] for p in known]))[:, None]
        for side in ("source", "target")
    )
    return source, target
