"""One subject's anatomy: what is drawn at random, and the way from a voxel to the standard head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medudl.data.phantom_fields import Noise, noise, smooth_field
from medudl.data.phantom_shapes import Array

HEAD_CENTRE = 12.0  # mm: the grid's middle lies this far above the middle of the standard brain
DEFORMATION = 2.6  # mm, standard deviation of the smooth displacement along each axis


@dataclass(frozen=True)
class Anatomy:
    """What differs from head to head; lengths in mm, angles in radians. The standard head is an average adult."""

    age: float
    sex: str
    scale: Array  # (3,) size along left-right, back-front, foot-head
    angles: Array  # (3,) pitch, roll, yaw in the scanner
    shift: Array  # (3,) off the scanner's middle
    ventricles: float  # factor on the ventricles' radii
    asymmetry: float  # left minus right ventricle, relative
    third: float  # half width of the third ventricle
    subarachnoid: float  # CSF between brain and skull
    sulcus: float  # half width of a sulcus at the surface
    sulcus_depth: float
    cortex: float  # thickness
    fissure: float  # half width of the fissure between the hemispheres
    sylvian: float  # half width of the Sylvian fissure
    skull: float  # thickness
    scalp: float  # thickness over the vertex
    rim: float  # 0 to 1: strength of the FLAIR-bright rim of the ventricles
    choroid_calcium: float  # 0 to 1
    pineal_calcium: float  # 0 to 1
    folds: Noise
    patches: Noise  # slow noise: thickness, fat, air cells


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a healthy adult of 20 to 80 years; CSF spaces, rim and calcium grow with age, with scatter of their own."""
    age = float(rng.uniform(20, 80))
    aged = (age - 20) / 60
    loss = float(np.clip(0.75 * aged + rng.normal(0, 0.15), 0, 1))
    sex = "F" if rng.random() < 0.5 else "M"
    overall = rng.normal(0.985 if sex == "F" else 1.015, 0.025)
    return Anatomy(
        age=age,
        sex=sex,
        scale=overall * np.exp(rng.normal(0, 0.03, 3).clip(-0.07, 0.07)),
        angles=np.radians(rng.normal(0, (5.0, 2.5, 3.0)).clip(-10, 10)),
        shift=rng.normal(0, (3.0, 4.0, 2.5)).clip(-7, 7),
        ventricles=float(0.72 + 0.7 * loss + rng.normal(0, 0.1)),
        asymmetry=float(rng.normal(0, 0.10)),
        third=float(1.2 + 2.2 * loss),
        subarachnoid=float(1.2 + 2.6 * loss + rng.uniform(0, 0.6)),
        sulcus=float(0.55 + 0.75 * loss),
        sulcus_depth=float(rng.normal(17, 2)),
        cortex=float(rng.normal(3.0, 0.15) - 0.3 * aged),
        fissure=float(0.7 + 0.9 * loss),
        sylvian=float(0.9 + 1.5 * loss),
        skull=float(np.clip(rng.normal(6.8, 0.9), 5, 9)),
        scalp=float(np.clip(rng.normal(6.0, 0.9), 4, 8)),
        rim=float(np.clip(0.15 + 0.6 * aged * rng.random() + rng.normal(0, 0.08), 0, 0.9)),
        choroid_calcium=float(rng.random() * min(1.0, 0.3 + aged)),
        pineal_calcium=float(rng.random() * min(1.0, 0.4 + aged)),
        folds=noise(rng, wavelength=float(rng.normal(21.0, 1.0)), bandwidth=0.16),
        patches=noise(rng, wavelength=40.0, bandwidth=0.4),
    )


def rotation(angles: Sequence[float] | Array) -> Array:
    """Rotation by pitch (about x), then roll (about y), then yaw (about z); (3, 3)."""
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(a), np.sin(a)) for a in angles)
    pitch = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    roll = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    yaw = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(yaw @ roll @ pitch)


def to_standard(rng: np.random.Generator, anatomy: Anatomy, axes: Sequence[Array]) -> Array:
    """Standard-head coordinates of every grid point: q = R^T (x - shift) / scale + d(x), in mm, (3, X, Y, Z).

    axes: scanner coordinates in mm (RAS) along the grid's three axes. d is a smooth random displacement, by which heads
    differ in shape and the two halves of a head differ from one another.
    """
    unit = [(axis + 120.0) / 240.0 for axis in axes]
    x, y, z = np.meshgrid(
        *(axis - move for axis, move in zip(axes, anatomy.shift + (0, 0, -HEAD_CENTRE), strict=True)),
        indexing="ij",
        sparse=True,
    )
    turn = rotation(anatomy.angles).T / anatomy.scale[:, None]
    return np.stack([row[0] * x + row[1] * y + row[2] * z + DEFORMATION * smooth_field(rng, unit) for row in turn])
