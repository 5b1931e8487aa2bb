"""Lesions of the phantom: tumour with oedema, haemorrhage, white-matter plaques; mm in the standard head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medudl.data.phantom_anatomy import rotation
from medudl.data.phantom_brain import Brain
from medudl.data.phantom_fields import Noise, noise
from medudl.data.phantom_head import Layers
from medudl.data.phantom_shapes import Array, cover, ellipsoid

KINDS = ("tumour", "haemorrhage", "plaques")


@dataclass(frozen=True)
class Lesion:
    """Layers over the healthy brain, and the share of each point that belongs to the lesion; (N,)."""

    layers: Layers
    extent: Array


@dataclass(frozen=True)
class Mass:
    """A space-taking lesion: it pushes the brain away from its centre before the brain is drawn."""

    centre: Array  # (3,) mm, standard head
    radius: float
    push: float  # share of the radius by which tissue at the border moves outwards

    def displaced(self, p: Array, depth: Array) -> Array:
        """Where the tissue now at p (3, N) was before the mass grew; it fades towards the skull, which stays."""
        q = p - self.centre[:, None]
        r2 = (q * q).sum(0)
        pull = self.push * np.exp(-r2 / (2 * (1.5 * self.radius) ** 2)) * (depth / 15.0).clip(0, 1)
        before: Array = p - pull * q
        return before


def draw_mass(rng: np.random.Generator, kind: str, p: Array, brain: Brain) -> Mass | None:
    """Place a tumour or a haemorrhage in a healthy brain; None for plaques, which do not push.

    Tumours lie in the white matter of a lobe; haemorrhages in the basal ganglia (60 %) or a lobe.
    """
    if kind == "plaques":
        return None
    deep = kind == "haemorrhage" and rng.random() < 0.6
    side = 1.0 if rng.random() < 0.5 else -1.0
    radius = float(rng.uniform(8, 20) if kind == "tumour" else rng.uniform(8, 17))
    if deep:
        centre = np.array([side * rng.normal(25, 2.5), rng.normal(0, 6), rng.normal(4, 4)])
    else:
        lobar = (brain.core > 3) & (brain.ventricle > 8) & (np.abs(p[0]) > 14) & (p[2] > -14) & (p[2] < 48)
        centre = p[:, rng.choice(np.flatnonzero(lobar))]
    return Mass(centre, radius, push=float(rng.uniform(0.15, 0.4)))


def draw_lesion(rng: np.random.Generator, kind: str, mass: Mass | None, p: Array, brain: Brain, width: float) -> Lesion:
    """Draw a lesion of `kind` into the (already pushed) brain. p: (3, N) before the push; width: voxel in mm."""
    draw: dict[str, Callable[..., Lesion]] = {"tumour": _tumour, "haemorrhage": _haemorrhage}
    if mass is None:
        return _plaques(rng, p, brain, width)
    return draw[kind](rng, mass, p, brain, width)


def _blob(rng: np.random.Generator, mass: Mass, p: Array, rough: Noise) -> Array:
    """Distance to an uneven, tilted ellipsoid about the mass."""
    stretch = np.exp(rng.normal(0, 0.15, 3))
    radii = mass.radius * stretch / np.prod(stretch) ** (1 / 3)
    q = rotation(rng.uniform(0, np.pi, 3)) @ (p - mass.centre[:, None])
    shape = ellipsoid(q, (0, 0, 0), (float(radii[0]), float(radii[1]), float(radii[2])))
    return np.asarray(shape + 0.16 * mass.radius * rough.at(p))


def _tumour(rng: np.random.Generator, mass: Mass, p: Array, brain: Brain, width: float) -> Lesion:
    """Solid rim, necrotic middle where it is big, and oedema that spreads along white matter and spares grey."""
    rough = noise(rng, wavelength=1.5 * mass.radius, bandwidth=0.5)
    core = _blob(rng, mass, p, rough)
    wall = float(rng.uniform(4, 8))
    dead = cover(core + wall + 1.5 * rough.at(1.8 * p), width) * (1.0 if mass.radius > 11 else 0.0)
    reach = float(rng.uniform(0.25, 1.0)) * mass.radius
    fingers = core - reach * (1.0 + 0.35 * rough.at(1.3 * p))
    soft = cover(fingers, 4.0) * (0.12 + 0.88 * brain.white.clip(0, 1)) * (brain.core > -2)
    amount = float(rng.uniform(0.55, 0.95)) * (1.0 + 0.25 * rough.at(0.8 * p)).clip(0.4, 1.0 / 0.95)
    inside = cover(core, width) * (p[2] > -60)
    body = 1.0 - 0.25 * (0.5 + 0.5 * np.tanh(rough.at(2.2 * p)))
    extent = np.maximum(inside, soft)
    return Lesion([("oedema", soft * amount), ("tumour", inside * body), ("necrosis", dead)], extent)


def _haemorrhage(rng: np.random.Generator, mass: Mass, p: Array, brain: Brain, width: float) -> Lesion:
    """A clot of one age with parts of the next, within a rim of oedema."""
    rough = noise(rng, wavelength=1.4 * mass.radius, bandwidth=0.5)
    core = _blob(rng, mass, p, rough)
    ages = ("clot_acute", "clot_early_subacute", "clot_late_subacute")
    age = int(rng.choice(3, p=(0.45, 0.35, 0.20)))
    other = ages[min(age + 1, 2)] if age < 2 else ages[1]
    rim = float(rng.uniform(2, 7))
    inside = cover(core, width)
    soft = cover(core - rim * (1.0 + 0.3 * rough.at(1.3 * p)), 3.0) * (0.3 + 0.7 * brain.white) * (brain.core > -2)
    mixed = float(rng.uniform(0.2, 0.6)) * (0.5 + 0.5 * np.tanh(2.0 * rough.at(1.6 * p)))
    layers: Layers = [("oedema", 0.85 * soft), (ages[age], inside), (other, inside * mixed)]
    return Lesion(layers, np.maximum(inside, soft))


def _plaques(rng: np.random.Generator, p: Array, brain: Brain, width: float) -> Lesion:
    """8 to 24 ovoids in white matter: most beside the ventricles and pointing away from them, the others anywhere."""
    near = np.flatnonzero((brain.ventricle > 1.5) & (brain.ventricle < 9) & (brain.core > 2) & (p[2] > -6))
    deep = np.flatnonzero((brain.ventricle > 9) & (brain.core > 2.5) & (p[2] > -12))
    edge = np.flatnonzero((brain.core > 0.3) & (brain.core < 2.5) & (p[2] > -12))
    extent = np.zeros(p.shape[1])
    amount = np.zeros(p.shape[1])
    for _ in range(int(rng.integers(8, 25))):
        group = (near, deep, edge)[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
        centre = p[:, rng.choice(group)]
        points, ovoid = _ovoid(rng, p, centre, width)
        ovoid *= brain.white[points]
        extent[points] = np.maximum(extent[points], ovoid)
        amount[points] = np.maximum(amount[points], ovoid * float(rng.uniform(0.6, 1.0)))
    return Lesion([("plaque", amount)], extent)


def _ovoid(rng: np.random.Generator, p: Array, centre: Array, width: float) -> tuple[NDArray[np.intp], Array]:
    """Points near `centre` and the share of each that an ovoid of 4 to 18 mm covers, long axis away from the middle."""
    short = float(rng.uniform(2.0, 4.2))
    long_ = short * float(rng.uniform(1.0, 2.2))
    points = np.flatnonzero((np.abs(p - centre[:, None]) < long_ + width).all(0))
    q = p[:, points] - centre[:, None]
    away = centre * (1.0, 0.5, 0.6)
    along = away @ q / max(float(np.linalg.norm(away)), 1.0)
    across = np.sqrt(np.maximum((q * q).sum(0) - along**2, 0.0))
    return points, cover((np.hypot(along / long_, across / short) - 1.0) * short, width)
