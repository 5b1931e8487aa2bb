"""One phantom from its seed: anatomy, lesion, shares of the tissues in each voxel, images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medudl.data.phantom_anatomy import Anatomy, draw_anatomy, to_standard
from medudl.data.phantom_brain import draw_brain
from medudl.data.phantom_head import Layers, cavity, outer_layers
from medudl.data.phantom_lesions import KINDS, draw_lesion, draw_mass
from medudl.data.phantom_physics import Scanner, ct_image, draw_scanner, mr_images
from medudl.data.phantom_shapes import Array, cover
from medudl.data.phantom_tissue import NAMES, vary
from medudl.data.volume import Volume
from medudl.errors import UserError

SHAPE = (128, 128, 28)
SPACING = (1.7, 1.7, 5.0)
SUBSLICE = 1.7  # mm: a slice is the mean of layers at most this thick
CONTRASTS = ("T1", "T2", "FLAIR", "CT")


@dataclass(frozen=True)
class Subject:
    """One phantom. All volumes share one grid: axes to the patient's left, back and head (LPS), patient mm in RAS."""

    contrasts: dict[str, Volume]  # T1, T2, FLAIR in arbitrary units, CT in HU; whole numbers
    mask: NDArray[np.bool_]  # (X, Y, Z) lesion, oedema included; more than half of the voxel
    brain: NDArray[np.bool_]  # (X, Y, Z) inside of the skull: brain and its CSF
    labels: NDArray[np.uint8]  # (X, Y, Z) index into phantom_tissue.NAMES of the tissue with the largest share
    fractions: Array  # (tissue, X, Y, Z) shares that sum to 1
    kind: str  # healthy, tumour, haemorrhage, plaques
    anatomy: Anatomy
    scanner: Scanner


def make_subject(
    seed: int | np.random.SeedSequence,
    *,
    lesion: str | None = None,
    shape: Sequence[int] = SHAPE,
    spacing: Sequence[float] = SPACING,
) -> Subject:
    """Make one phantom.

    The same seed with and without a lesion is the same head in the same scanner, pushed aside by the lesion.
    lesion: None, "tumour", "haemorrhage" or "plaques". shape: voxels along X, Y, Z; spacing: mm; the grid's middle
    is the scanner's, a little above the middle of the brain.
    UserError for another kind of lesion, or a grid that is not three positive numbers.
    """
    if lesion is not None and lesion not in KINDS:
        raise UserError(f"lesion: {lesion!r} is none of {', '.join(KINDS)}")
    if len(shape) != 3 or min(shape) < 1 or len(spacing) != 3 or min(spacing) <= 0:
        raise UserError(f"shape {tuple(shape)} and spacing {tuple(spacing)} must be three positive numbers each")
    for_anatomy, for_bend, for_tissue, for_scanner, for_lesion, for_image = _streams(seed, 6)
    anatomy, tissues, scanner = draw_anatomy(for_anatomy), vary(for_tissue), draw_scanner(for_scanner)
    axes, affine = _grid(shape, spacing)
    parts = max(1, round(spacing[2] / SUBSLICE))
    fine = axes[2][:, None] + spacing[2] * ((np.arange(parts) + 0.5) / parts - 0.5)
    p = to_standard(for_bend, anatomy, (axes[0], axes[1], fine.ravel()))
    painted = _paint(p, anatomy, tuple(shape), parts, float(np.sqrt(spacing[0] * spacing[1])), lesion, for_lesion)
    fractions, brain, mask, beside_bone = painted
    images = mr_images(for_image, fractions, tissues, scanner, axes)
    images["CT"] = ct_image(for_image, fractions, tissues, scanner, beside_bone)
    volumes = {
        name: Volume(images[name].astype(np.float32), affine, "HU" if name == "CT" else "arbitrary")
        for name in CONTRASTS
    }
    labels = fractions.argmax(0).astype(np.uint8)
    return Subject(volumes, mask, brain, labels, fractions, lesion or "healthy", anatomy, scanner)


def _streams(seed: int | np.random.SeedSequence, count: int) -> list[np.random.Generator]:
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    # Not root.spawn: it counts its children, and a second call would give other streams.
    keys = [(*root.spawn_key, index) for index in range(count)]
    return [np.random.Generator(np.random.PCG64(np.random.SeedSequence(root.entropy, spawn_key=key))) for key in keys]


def _grid(shape: Sequence[int], spacing: Sequence[float]) -> tuple[list[Array], Array]:
    """Scanner coordinates (RAS, mm) along the three axes, and the affine; i runs to the left, j to the back."""
    signs = (-1.0, -1.0, 1.0)
    steps = [s * float(d) for s, d in zip(signs, spacing, strict=True)]
    axes: list[Array] = [np.linspace(-(n - 1) / 2, (n - 1) / 2, n) * d for d, n in zip(steps, shape, strict=True)]
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = [axis[0] for axis in axes]
    return axes, affine


def _paint(
    p: Array,
    anatomy: Anatomy,
    shape: tuple[int, ...],
    parts: int,
    width: float,
    lesion: str | None,
    rng: np.random.Generator,
) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_], Array]:
    """Shares of the tissues in each voxel, brain mask, lesion mask, and closeness to the skull."""
    size = int(np.prod(shape))
    inner = cavity(p).ravel()
    p = p.reshape(3, -1)
    voxel = np.arange(inner.size) // parts
    fractions = np.zeros((len(NAMES), size))

    def mean(values: Array, points: NDArray[np.intp]) -> Array:
        return np.asarray(np.bincount(voxel[points], values, minlength=size) / parts)

    def add(layers: Layers, visible: Array, points: NDArray[np.intp]) -> None:
        for tissue, share in reversed(layers):
            fractions[NAMES.index(tissue)] += mean(visible * share, points)
            visible = visible * (1.0 - share)

    inside = np.flatnonzero(inner < 0.5 * width)
    depth = -inner[inside]
    layers, extent = _contents(p[:, inside], depth, anatomy, width, lesion, rng)
    open_ = cover(-depth, width)
    add(layers, open_, inside)
    # Above the skull base the skin is near; below it, neck and face reach further out.
    near = np.where(p[2] > 5, 32.0, 75.0)
    around = np.flatnonzero((inner > -0.5 * width) & (inner < near) & ((p[0] / 100) ** 2 + (p[1] / 122) ** 2 < 1))
    add(outer_layers(p[:, around], inner[around], anatomy, width), 1.0 - cover(inner[around], width), around)
    fractions[NAMES.index("air")] += 1.0 - fractions.sum(0)
    brain = mean(cover(1.0 - depth, width) * (p[2, inside] > -62), inside) > 0.5
    mask = (mean(extent * open_, inside) > 0.5) & brain
    beside_bone = mean(np.exp(-depth.clip(0, None) / 12.0) * open_, inside)
    return fractions.reshape(-1, *shape), brain.reshape(shape), mask.reshape(shape), beside_bone.reshape(shape)


def _contents(
    p: Array, depth: Array, anatomy: Anatomy, width: float, kind: str | None, rng: np.random.Generator
) -> tuple[Layers, Array]:
    """The brain, pushed aside by the lesion if it takes space, and the lesion's extent (N,)."""
    if kind is None:
        return draw_brain(p, depth, anatomy, width).layers, np.zeros_like(depth)
    before = draw_brain(p[:, ::7], depth[::7], anatomy, width)  # enough points to choose a place
    mass = draw_mass(rng, kind, p[:, ::7], before)
    brain = draw_brain(p if mass is None else mass.displaced(p, depth), depth, anatomy, width)
    drawn = draw_lesion(rng, kind, mass, p, brain, width)
    return brain.layers + drawn.layers, drawn.extent
