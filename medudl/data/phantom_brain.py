"""Folded cortex, white matter, ventricles, deep nuclei, brainstem and cerebellum of the standard head; mm, RAS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medudl.data.phantom_anatomy import Anatomy
from medudl.data.phantom_head import Layers, cerebrum, dome, mirrored, spread
from medudl.data.phantom_shapes import Array, cover, ellipsoid, sheet, smooth_union, tube


@dataclass(frozen=True)
class Brain:
    """Layers from the CSF inwards, and the distances that lesions are placed by; each (N,)."""

    layers: Layers
    white: Array  # 0 to 1: cerebral white matter
    core: Array  # depth below the cortex in mm, negative outside the white matter
    ventricle: Array  # distance to the ventricles in mm


def draw_brain(p: Array, depth: Array, anatomy: Anatomy, width: float) -> Brain:
    """Everything inside the skull. p: (3, N) standard coordinates; depth: (N,) mm below the inner table."""
    core, csf = _folds(p, depth, anatomy, width)
    # Small parts are drawn where they can be, which saves half of the time.
    low = np.flatnonzero(p[2] < 4)
    middle = np.flatnonzero((np.abs(p[0]) < 48) & (np.abs(p[1]) < 74) & (p[2] > -34) & (p[2] < 38))
    centre = p[:, middle]
    ventricle = np.full_like(depth, 40.0)
    ventricle[middle] = _ventricles(centre, anatomy)
    white = cover(-core, width)
    layers: Layers = [
        ("csf", np.ones_like(depth)),
        *spread(_hind_brain(p[:, low], depth[low], anatomy, width), low, depth),
        ("grey", cover(-(core + anatomy.cortex), width)),
        ("white", white),
        *spread(_callosum(centre, width), middle, depth),
        ("csf", csf),
        *spread(_nuclei(centre, width), middle, depth),
        *spread(_ventricle_layers(centre, ventricle[middle], anatomy, width), middle, depth),
        *_dura(p, depth, width),
    ]
    return Brain(layers, white * (1 - csf) * cover(1.0 - ventricle, width), core, ventricle)


def _flat(p: Array) -> Array:
    """The point on the midline beside p."""
    return np.stack([np.zeros_like(p[0]), p[1], p[2]])


def _tentorium(p: Array) -> Array:
    """Height in mm above the tentorium, which falls backwards and sidewards and ends in front at the petrous ridges."""
    front = (p[1] + 20.0 + 0.35 * np.abs(p[0])).clip(0, None)
    return np.asarray(p[2] + 8.0 - 0.34 * (p[1] + 30.0) + 0.22 * np.abs(p[0]) + 1.6 * front)


def _folds(p: Array, depth: Array, anatomy: Anatomy, width: float) -> tuple[Array, Array]:
    """Depth below the cortex (white matter > 0), and the share of CSF in sulci and fissures.

    Sulci are the zero surfaces of noise that changes little along the way inwards, cut off at their depth; fissures are
    sheets. The pia's distance is the least over hull, sulci and fissures; the cortex follows it.
    """
    q = mirrored(p)
    patch = anatomy.patches.at(p)
    convexity = dome(p)
    gap = anatomy.subarachnoid * (1.0 + 0.3 * patch)
    hull = np.minimum(np.minimum(-cerebrum(p, convexity), depth) - gap, _tentorium(p) - 1.2)
    # Sulci reach inwards from the convexity; the flat floor of the brain folds only near its rim.
    inwards = np.maximum(hull, -convexity - gap)
    fan = np.sqrt((p[0] / 67) ** 2 + (p[1] / 84) ** 2 + (p[2] / 69) ** 2).clip(0.3, None) ** -0.35
    bottom = anatomy.sulcus_depth * (1.0 + 0.35 * anatomy.patches.at(p[::-1] + 35.0)).clip(0.3, 1.6)
    across = anatomy.folds.sheets(p * fan + 4.0 * patch + [[300.0], [200.0], [100.0]]) / fan
    below = (inwards - bottom).clip(0, None)
    half = anatomy.sulcus * (1.0 - inwards / bottom).clip(0, 1) ** 0.7
    csf = sheet(across, half, width) * cover(below - 0.5, 1.0)

    midline = ellipsoid(_flat(p), (0, -4, 4), (1, 42, 24))
    wavy = p[0] + 1.5 * np.sin(p[1] / 23.0 + p[2] / 31.0 + 100.0 * anatomy.fissure)
    parted = np.hypot(wavy, (-midline).clip(0, None)) - anatomy.fissure
    csf = np.maximum(csf, sheet(wavy, anatomy.fissure, width) * cover(-midline, 2.0))

    lateral, insula = _sylvian(q, anatomy)
    csf = np.maximum(csf, cover(np.minimum(lateral, insula), width))
    pia = np.minimum(np.minimum(hull, np.hypot(across, below) - half), np.minimum(parted, np.minimum(lateral, insula)))
    return pia - anatomy.cortex, csf * cover(-hull, width)


def _sylvian(q: Array, anatomy: Anatomy) -> tuple[Array, Array]:
    """Distances to the Sylvian fissure, which rises backwards and narrows, and to the cleft over the insula."""
    rise = (q[2] + 8.0 + 0.42 * (q[1] - 14.0) - 0.004 * (q[1] - 14.0) ** 2 + 0.15 * (q[0] - 45.0)) / 1.15
    beyond = np.maximum(np.maximum(40.0 - q[0], np.abs(q[1] + 2.0) - 26.0), 0.0)
    lateral = np.hypot(rise, beyond) - anatomy.sylvian * (0.75 + (q[1] / 80.0).clip(-0.4, 0.4))
    bowl = q[0] - 40.0 + 0.012 * (q[1] - 2.0) ** 2 + 0.012 * (q[2] - 1.0) ** 2
    edge = np.maximum(ellipsoid(_flat(q), (0, 3, 1), (1, 19, 13)), 0.0)
    return lateral, np.hypot(bowl, edge) - 0.6 * anatomy.sylvian


def _callosum(p: Array, width: float) -> Layers:
    """The band of white matter that joins the halves, and the fornix below it."""
    ring = np.abs(ellipsoid(_flat(p), (0, -6, 4), (1, 37, 20))) - 2.6
    band = np.maximum(np.maximum(ring, 2.0 - p[2]), np.abs(p[0]) - 12.0)
    return [("white", cover(band, width))]


def _nuclei(p: Array, width: float) -> Layers:
    """Putamen, pallidum, caudate and thalamus, with the internal capsule kept free between them."""
    q = mirrored(p)
    putamen = ellipsoid(q, (27.0, 4, 3), (5.5, 17, 11))
    pallidum = ellipsoid(q, (20.5, 2, 0), (4.0, 8.5, 6.5))
    caudate = smooth_union(
        ellipsoid(q, (13.5, 23, 8), (5.0, 9, 9)),
        tube(q, [(14, 22, 13, 4.5), (17, 4, 21, 3.2), (20, -16, 21, 2.2), (24, -30, 14, 1.5)]),
        4.0,
    )
    thalamus = smooth_union(ellipsoid(q, (8.5, -10, 5), (6.0, 11, 8)), ellipsoid(q, (13, -21, 5), (7.5, 9, 8)), 5.0)
    return [
        ("striatum", cover(putamen, width)),
        ("pallidum", cover(pallidum, width)),
        ("striatum", cover(caudate, width)),
        ("thalamus", cover(thalamus, width)),
    ]


def _ventricles(p: Array, anatomy: Anatomy) -> Array:
    """Distance to the lateral and third ventricles."""
    q = mirrored(p)
    v = anatomy.ventricles * (1.0 + anatomy.asymmetry * np.tanh(-p[0] / 4.0))
    lateral = [(7, 32, 8, 2.5), (7, 22, 12, 4.2), (8, 5, 18, 4.6), (12, -18, 19, 4.6), (20, -36, 12, 6.2)]
    occipital = [(20, -36, 12, 6.2), (23, -50, 7, 3.6), (23, -62, 5, 1.4)]
    temporal = [(21, -36, 10, 5.2), (30, -26, -8, 2.4), (32, -4, -20, 1.9)]
    shape = smooth_union(smooth_union(tube(q, lateral), tube(q, occipital), 3.0), tube(q, temporal), 3.0)
    # Radii grow by (v - 1) of a typical 4.5 mm; the septum keeps the two sides apart.
    shape = np.maximum(shape - 4.5 * (v - 1.0), 0.9 - q[0])
    third = ellipsoid(q, (0, -9, 1), (1.15 * anatomy.third, 14, 10))
    whole: Array = np.minimum(shape, third)
    return whole


def _ventricle_layers(p: Array, ventricle: Array, anatomy: Anatomy, width: float) -> Layers:
    """Rim of mild gliosis (caps in front, a wider one behind), CSF, choroid plexus, pineal, calcium."""
    q = mirrored(p)
    patch = anatomy.patches.at(1.7 * p)
    ends = 1.0 + 1.0 * np.exp(-(((p[1] - 34) / 10) ** 2)) + 1.3 * np.exp(-(((p[1] + 42) / 14) ** 2))
    rim = anatomy.rim * np.exp(-ventricle.clip(0, None) / (1.3 * ends)) * (1.0 + 0.4 * patch).clip(0, 1.3)
    rim = rim.clip(0, 1) * (np.abs(p[0]) > 6) * (p[2] > -12)
    plexus = ellipsoid(q, (21, -36, 10), (3.2, 6.5, 4.5))
    chalk = ellipsoid(q, (21, -38, 9), (2.2, 3.2, 2.4))
    pineal = ellipsoid(p, (0, -30, 1), (3.0, 4.0, 3.0))
    flow = 0.5 * cover(ellipsoid(p, (0, 2, 6), (9, 12, 9)), 6.0)
    wet = cover(ventricle, width)
    return [
        ("gliosis", rim),
        ("csf", wet),
        ("csf_inflow", wet * flow),
        ("choroid", 0.85 * cover(plexus, width) * wet),
        ("calcium", 0.55 * anatomy.choroid_calcium * cover(chalk, width)),
        ("grey", cover(pineal, width)),
        ("calcium", 0.6 * anatomy.pineal_calcium * cover(pineal + 1.2, width)),
    ]


def _hind_brain(p: Array, depth: Array, anatomy: Anatomy, width: float) -> Layers:
    """Moving CSF of the cisterns, brainstem, cerebellum with fine folia around a white core, fourth ventricle."""
    q = mirrored(p)
    flow = 0.8 * cover(ellipsoid(p, (0, -6, -30), (20, 16, 26)), 8.0)
    fourth = cover(ellipsoid(q, (0, -38, -34), (6.5 * anatomy.ventricles**0.5, 5.5, 9)), width)
    stem = tube(p, [(0, -17, 0, 12), (0, -18, -14, 13), (0, -15, -32, 15.5), (0, -24, -50, 10), (0, -30, -85, 7.5)])
    halves = smooth_union(ellipsoid(q, (24, -51, -37), (30, 33, 26)), ellipsoid(q, (0, -48, -28), (15, 24, 20)), 6.0)
    shape = np.maximum(np.maximum(halves, anatomy.subarachnoid + 1.0 - depth), _tentorium(p) + 1.5)
    peduncle = tube(q, [(16, -36, -34, 6), (4, -22, -32, 8)])
    marrow = smooth_union(ellipsoid(q, (20, -44, -37), (17, 14, 8)), peduncle, 6.0)
    branch = 2.6 * np.sin(anatomy.folds.at(1.5 * p[[2, 0, 1]]) * 3.0)
    folia = 0.5 + 0.5 * np.sin(2 * np.pi * (0.9 * p[2] + 0.35 * p[1]) / 4.2 + 0.8 * anatomy.patches.at(p))
    shallow = np.exp(shape.clip(None, 0) / 9.0)
    return [
        ("csf_inflow", flow),
        ("grey", cover(shape, width)),
        ("csf", 0.22 * (0.5 + anatomy.sulcus) * folia * shallow * cover(shape, width)),
        ("white", cover(np.maximum(marrow + branch, shape + 3.0), width)),
        ("white", cover(stem, width)),
        ("grey", 0.25 * cover(stem + 2.0, width)),
        ("csf", fourth),
        ("csf_inflow", 0.8 * fourth),
    ]


def _dura(p: Array, depth: Array, width: float) -> Layers:
    """Falx, tentorium and the superior sagittal sinus."""
    midline = ellipsoid(_flat(p), (0, -4, 2), (1, 56, 38))
    falx = sheet(p[0], 0.45, width) * cover(-midline, 2.0) * (p[2] > -10)
    tent = sheet(_tentorium(p), 0.45, width) * cover(depth - 30.0, 6.0) * (p[1] < -25)
    sinus = np.maximum(np.abs(p[0]) + 0.7 * depth - 6.0, -depth) + 100.0 * ((p[2] < 5) | ((p[1] > 30) & (p[2] < 40)))
    return [("dura", falx), ("dura", tent), ("blood", cover(sinus, width))]
