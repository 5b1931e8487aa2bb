"""Unusual areas of a map as a list: where each lies, how large it is, how far it stands out. Arrays in, words out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.metrics.detection import areas

SHOWN = 50
_SAMPLES = 200_000  # voxels that are enough to know how far the looked-at part reaches
_SIDES = (("left", "right"), ("posterior", "anterior"), ("lower", "upper"))  # low and high end of x, y, z in RAS
_MIDLINE = 0.06  # of the width, to each side: nearer to the middle no side is named

Array = NDArray[np.float32]
Affine = NDArray[np.float64]
Extent = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Finding:
    """One connected area. mm: RAS, of the voxel with the highest value; voxel: its index; place: words for it."""

    number: int
    voxel: tuple[int, int, int]
    mm: tuple[float, float, float]
    place: str
    voxels: int
    volume_ml: float
    peak: float
    mean: float


@dataclass(frozen=True)
class Found:
    """findings: the SHOWN highest, numbered from 1, highest peak first; total: how many there are."""

    findings: tuple[Finding, ...]
    total: int

    @property
    def rest(self) -> int:
        """How many are not listed."""
        return self.total - len(self.findings)

    def listed(self) -> list[dict[str, Any]]:
        """As plain values, for the browser."""
        return [asdict(finding) for finding in self.findings]


def find(heat: Array, affine: Affine, threshold: float, smallest: int, *, placed: bool = True) -> Found:
    """Connected areas above `threshold` of at least `smallest` voxels (corners touch), highest peak first.

    heat: (X, Y, Z), 0 where the model did not look. affine: voxel -> mm in RAS. placed: False for a picture without
    a patient's directions, whose findings get no words for their place.
    """
    labels, corner = area_labels(heat, threshold, smallest)
    flat = np.flatnonzero(labels)
    if not len(flat):
        return Found((), 0)
    where = np.stack(np.unravel_index(flat, labels.shape), axis=1) + corner
    label, value = labels.ravel()[flat], heat[tuple(where.T)].astype(np.float64)
    order = np.lexsort((-value, label))  # each area's voxels together, its highest first
    first = order[np.unique(label[order], return_index=True)[1]]
    sizes = np.bincount(label)[1:]
    means = np.bincount(label, value)[1:] / sizes
    millilitres = sizes * abs(np.linalg.det(affine[:3, :3])) / 1000
    extent = reach(heat, affine) if placed else None
    ranked = np.argsort(-value[first], kind="stable")
    found = []
    for number, area in enumerate(ranked[:SHOWN], start=1):
        voxel = where[first[area]]
        mm = affine[:3, :3] @ voxel + affine[:3, 3]
        x, y, z = (round(float(c), 2) for c in mm)
        i, j, k = (int(n) for n in voxel)
        found.append(Finding(number, (i, j, k), (x, y, z), words(mm, extent) if extent else "", int(sizes[area]),
                             float(millilitres[area]), float(value[first[area]]), float(means[area])))  # fmt: skip
    return Found(tuple(found), len(sizes))


def area_labels(heat: Array, threshold: float, smallest: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Numbered areas within the box that holds every voxel above the threshold, and the corner (3,) of that box."""
    above = heat > np.float32(threshold)
    box, corner = [], []
    for axis in range(3):
        line = np.flatnonzero(above.any(axis=tuple({0, 1, 2} - {axis})))
        if not len(line):
            return np.zeros((1, 1, 1), np.int32), np.zeros(3, np.int64)
        box.append(slice(int(line[0]), int(line[-1]) + 1))
        corner.append(int(line[0]))
    return areas(above[tuple(box)], smallest)[0], np.array(corner, np.int64)


def mask(heat: Array, threshold: float, smallest: int) -> NDArray[np.bool_]:
    """(X, Y, Z): the voxels of the areas that `find` counts, those that are not listed included."""
    out = np.zeros(heat.shape, bool)
    labels, corner = area_labels(heat, threshold, smallest)
    box = tuple(slice(int(c), int(c) + n) for c, n in zip(corner, labels.shape, strict=True))
    out[box] = labels > 0
    return out


def reach(heat: Array, affine: Affine) -> Extent:
    """Lowest and highest mm (RAS) of the part that the model looked at: where the map is not exactly zero."""
    step = max(1, int(np.ceil((heat.size / _SAMPLES) ** (1 / 3))))
    where = np.argwhere(heat[::step, ::step, ::step]) * step
    if not len(where):
        where = np.array([[0, 0, 0], np.array(heat.shape) - 1])
    mm = where @ affine[:3, :3].T + affine[:3, 3]
    return mm.min(axis=0), mm.max(axis=0)


def words(mm: NDArray[np.float64], extent: Extent) -> str:
    """Say "right, anterior, upper third": the patient's side, then thirds of the looked-at part front to back, up."""
    low, high = extent
    x, y, z = (mm - low) / np.maximum(high - low, 1e-6)
    side = "midline" if abs(x - 0.5) <= _MIDLINE else _SIDES[0][int(x > 0.5)]
    depth = "central" if 1 / 3 <= y <= 2 / 3 else _SIDES[1][int(y > 0.5)]
    height = "middle" if 1 / 3 <= z <= 2 / 3 else _SIDES[2][int(z > 0.5)]
    return f"{side}, {depth}, {height} third"


def smallest_area(least: int, spacing: list[float | None] | None, affine: Affine) -> int:
    """`least` voxels of the model's grid, in voxels of the scan's own; at least 1.

    spacing: mm of the model's grid along its axes, None (wholly, or along an axis) where it keeps the scan's own.
    """
    if spacing is None or None in spacing:
        return least
    model = float(np.prod([mm for mm in spacing if mm is not None]))
    return max(1, round(least * model / abs(float(np.linalg.det(affine[:3, :3])))))
