"""Shapes of the phantom as approximate signed distances in mm (negative inside), and the share of a voxel they fill."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Point = tuple[float, float, float]
Node = tuple[float, float, float, float]


def ellipsoid(p: Array, centre: Point, radii: Point) -> Array:
    """Distance to an ellipsoid, first order: k0 (k0 - 1) / k1, k0 = |q / r|, k1 = |q / r^2|, q = p - centre.

    p: (3, ...). Returns (...). Exact on the surface and for spheres.
    """
    k0 = np.zeros(p.shape[1:])
    k1 = np.zeros(p.shape[1:])
    for x, c, r in zip(p, centre, radii, strict=True):
        square = ((x - c) / r) ** 2
        k0 += square
        k1 += square / (r * r)
    k0 = np.sqrt(k0)
    return np.asarray(k0 * (k0 - 1.0) / np.sqrt(np.maximum(k1, 1e-12)))


def tube(p: Array, nodes: Sequence[Node]) -> Array:
    """Distance to a chain of rods through `nodes` (x, y, z, radius); the radius runs linearly from node to node."""
    best = np.full(p.shape[1:], np.inf)
    for first, second in zip(nodes[:-1], nodes[1:], strict=True):
        axis = np.subtract(second[:3], first[:3])
        t = np.zeros(p.shape[1:])
        for x, c, a in zip(p, first[:3], axis / float(axis @ axis), strict=True):
            t += a * (x - c)
        np.clip(t, 0.0, 1.0, out=t)
        square = np.zeros(p.shape[1:])
        for x, c, a in zip(p, first[:3], axis, strict=True):
            square += (x - c - a * t) ** 2
        best = np.minimum(best, np.sqrt(square) - (first[3] + t * (second[3] - first[3])))
    return best


def smooth_union(a: Array, b: Array, k: float) -> Array:
    """min(a, b) with the crease rounded over `k` mm: min(a, b) - max(k - |a - b|, 0)^2 / 4k."""
    return np.asarray(np.minimum(a, b) - np.maximum(k - np.abs(a - b), 0.0) ** 2 / (4.0 * k))


def cover(distance: Array, width: float) -> Array:
    """Share of a voxel of `width` mm that a flat border at `distance` leaves inside: 1 deep inside, 0 outside."""
    return np.clip(0.5 - distance / width, 0.0, 1.0)


def sheet(distance: Array, half: Array | float, width: float) -> Array:
    """Share of a voxel that a sheet |distance| <= half fills: 2 half / width where it is thin, 0 at half = 0."""
    d = np.abs(distance)
    return cover(d - half, width) - cover(d + half, width)
