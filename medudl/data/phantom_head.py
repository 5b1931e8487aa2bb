"""Scalp, fat, muscle, skull with diploe, orbits and air cells of the standard head; lengths in mm, RAS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medudl.data.phantom_anatomy import Anatomy
from medudl.data.phantom_shapes import Array, Point, cover, ellipsoid, sheet, smooth_union, tube

Layers = list[tuple[str, Array]]  # tissue and the share of each point that it covers, over all earlier layers


def mirrored(p: Array) -> Array:
    """The head's right half for both sides: |x|, y, z."""
    return np.stack([np.abs(p[0]), p[1], p[2]])


def spread(layers: Layers, points: NDArray[np.intp], like: Array) -> Layers:
    """Layers drawn at some points, as layers over all points (which `like` has)."""
    wide: Layers = []
    for tissue, share in layers:
        everywhere = np.zeros_like(like)
        everywhere[points] = share
        wide.append((tissue, everywhere))
    return wide


def dome(p: Array) -> Array:
    """Distance to the convexity of the brain: an egg, wider behind."""
    y = p[1] / 84.0
    egg = np.stack([p[0] / (1.0 - 0.09 * y - 0.08 * y * y), p[1], p[2]])
    return ellipsoid(egg, (0, 0, 0), (67, 84, 69))


def cerebrum(p: Array, convexity: Array) -> Array:
    """Distance to the cerebrum's hull: the convexity (from `dome`), flat below, with two temporal lobes."""
    q = mirrored(p)
    # The frontal lobes lie on the roofs of the orbits and dip between them; behind, the tentorium is the floor, and it
    # is drawn elsewhere.
    roof = 7.0 * np.exp(-(((q[0] - 28.0) / 15.0) ** 2)) - 21.0 - 0.12 * (p[1] - 40.0).clip(-30, 60)
    floor = roof - p[2] - 20.0 * (1.0 - np.tanh((p[1] + 16.0) / 12.0))
    temporal = ellipsoid(q, (39, 6, -20), (25, 43, 25))
    return smooth_union(np.maximum(convexity, floor), temporal, 5.0)


def fossa(p: Array) -> Array:
    """Distance to the posterior fossa with the canal of the brainstem."""
    hind = ellipsoid(p, (0, -43, -34), (51, 41, 32))
    stem = tube(p, [(0, -10, -10, 19), (0, -14, -34, 18), (0, -26, -80, 14)])
    return smooth_union(hind, stem, 8.0)


def cavity(p: Array) -> Array:
    """Distance to the inner table of the skull (negative inside the skull)."""
    return smooth_union(cerebrum(p, dome(p)), fossa(p), 9.0)


def outer_layers(p: Array, inner: Array, anatomy: Anatomy, width: float) -> Layers:
    """Everything outside the brain's cavity, from the skin inwards.

    p: (3, N) standard coordinates; inner: (N,) from `cavity`; width: voxel in mm.
    """
    patch = anatomy.patches.at(p)
    skull = anatomy.skull * (1.0 + 0.09 * patch + 0.10 * (p[1] < -60))
    side = np.exp(-(((p[1] - 22) / 26) ** 2) - ((p[2] + 12) / 26) ** 2)  # the temporal muscle
    scalp = anatomy.scalp * (1.0 + 0.05 * patch) + 7.0 * side * (np.abs(p[0]) / 70.0).clip(0, 1)
    neck = tube(p, [(0, -20, -40, 62), (0, -20, -120, 58)])
    face = smooth_union(ellipsoid(p, (0, 44, -58), (60, 58, 58)), neck, 20.0)
    head = smooth_union(inner - skull - scalp, face, 14.0)
    fat = 3.4 * (anatomy.scalp / 6.0) * (1.0 + 0.12 * patch)
    below = cover(head + 1.8 + fat + 6.0, width) * (patch > 0.55) * (p[2] < -25)
    layers: Layers = [
        ("muscle", cover(head, width)),
        ("fat", cover(head + 1.8, width)),
        ("muscle", cover(head + 1.8 + fat, width)),
        ("fat", 0.8 * below),
    ]
    front = np.flatnonzero((p[2] < -2) & (p[1] > 10))
    layers += spread(_face(p[:, front], width), front, inner)
    middle = inner - 0.5 * skull
    layers += [
        ("bone", cover(inner - skull, width)),
        ("marrow", sheet(middle, (0.22 + 0.04 * patch) * skull, width)),
    ]
    cells = ellipsoid(mirrored(p), (56, -28, -42), (11, 15, 17))
    layers += [
        ("bone", cover(cells - 3.0, width)),
        ("air", cover(cells, width) * (0.45 + 0.35 * np.tanh(4 * anatomy.folds.at(2.2 * p))).clip(0, 1)),
    ]
    return layers


def _face(p: Array, width: float) -> Layers:
    """Orbits with globes, and the air of nose and sinuses, each with a thin wall of bone."""
    q = mirrored(p)
    layers: Layers = []
    orbit = smooth_union(ellipsoid(q, (31, 70, -36), (18, 20, 16)), tube(q, [(30, 62, -36, 14), (14, 34, -32, 4)]), 6.0)
    layers += [("bone", sheet(orbit, 0.8, width) * (p[1] < 78)), ("fat", cover(orbit + 0.8, width))]
    globe = ellipsoid(q, (31, 75, -36), (12, 12, 12))
    layers += [("muscle", sheet(globe, 0.8, width)), ("csf", cover(globe + 0.8, width))]
    layers += [("muscle", cover(tube(q, [(29, 62, -36, 1.8), (12, 32, -32, 1.8)]), width))]
    sinuses: list[tuple[Point, Point]] = [
        ((6, 62, -40), (8, 24, 16)),  # ethmoid cells
        ((7, 34, -40), (9, 10, 9)),  # sphenoid sinus
        ((9, 88, -22), (10, 5, 8)),  # frontal sinus
        ((28, 62, -66), (14, 18, 14)),  # maxillary sinus
    ]
    for centre, radii in sinuses:
        air = ellipsoid(q, centre, radii)
        layers += [("bone", cover(air - 1.2, width)), ("air", cover(air, width))]
    return layers
