"""Lesions planted into a scan and taken out of one: truth for what a translator does to lesions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from medudl.data.phantom_anatomy import rotation
from medudl.data.phantom_shapes import Array, ellipsoid
from medudl.errors import UserError
from medudl.metrics.survival import GAP, WIDTH

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_UNEVEN = 0.15  # standard deviation of the logarithm of the ellipsoid's radii


def plant(
    volume: Floats,
    foreground: Mask,
    *,
    contrast: float,
    radius: float,
    seed: int,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> tuple[Floats, Mask]:
    """Add a smooth ellipsoid at a random place, its longest axis in any direction: (volume with it, its mask).

    It adds `contrast` (signed, in the volume's unit) inside its border and falls smoothly to nothing within two voxels
    outside, before the ring begins: `survival.lesion_contrast` of the two volumes is `contrast`. What the scan shows
    there stays visible through it. The mask holds the voxels within the border; all of it, and the ring around it, lies
    in the foreground.
    volume, foreground: (X, Y, Z); spacing: mm; radius: mm, the geometric mean of the three. UserError: no room for it.
    """
    random = np.random.default_rng(seed)
    stretch = np.exp(random.normal(0, _UNEVEN, 3))
    radii = radius * stretch / np.prod(stretch) ** (1 / 3)
    mm = np.asarray(spacing, np.float64)
    centre, turn = _centre(foreground, float(radii.max()), mm, random), rotation(random.uniform(0, np.pi, 3))
    points = (np.indices(volume.shape).reshape(3, -1) - centre[:, None]) * mm[:, None]
    away = ellipsoid(turn @ points, (0, 0, 0), (float(radii[0]), float(radii[1]), float(radii[2])))
    away = away.reshape(volume.shape)
    mask = np.asarray(away <= 0)
    # In voxels, as the ring is measured.
    near = np.clip(1 - ndimage.distance_transform_edt(~mask) / GAP, 0, 1)
    shape = near**2 * (3 - 2 * near)
    return (volume + contrast * shape).astype(np.float32), mask


def remove(volume: Floats, mask: Mask) -> Floats:
    """Fill a lesion from its surroundings: the smoothest values that meet them (Laplace's equation), without texture.

        mean of the six neighbours - v = 0   inside the mask,   v = the scan   outside

    volume, mask: (X, Y, Z); grow the mask over the lesion's soft edge first. A volume that rises evenly comes back
    unchanged. It is a stand-in for the healthy scan: where the lesion pushed its surroundings aside, they stay. At the
    volume's border there is no neighbour to meet. UserError: a mask of the whole volume.
    """
    if mask.all():
        raise UserError("removing a lesion: its mask fills the whole volume; give the mask of the lesion alone")
    left, right = _equations(volume.astype(np.float64), mask)
    healed = volume.astype(np.float32)
    healed[mask], _ = cg(left, right, rtol=1e-8)
    return healed


def _equations(values: Array, mask: Mask) -> tuple[sparse.csr_array, Array]:
    """(number of neighbours) v - (sum of those inside) = (sum of those outside), a row for each voxel of the mask."""
    number, total = np.where(mask, np.cumsum(mask).reshape(mask.shape) - 1, -1), int(mask.sum())
    neighbours, right, pairs = np.zeros(total), np.zeros(total), []
    for axis in range(mask.ndim):
        for ends in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            here, there = (tuple(end if a == axis else slice(None) for a in range(mask.ndim)) for end in ends)
            inside = mask[here]
            i, j = number[here][inside], number[there][inside]
            neighbours += np.bincount(i, minlength=total)
            right += np.bincount(i, np.where(j < 0, values[there][inside], 0), minlength=total)
            pairs.append(np.stack([i, j])[:, j >= 0])
    i, j = np.concatenate(pairs, axis=1)
    inner = sparse.coo_array((np.ones(len(i)), (i, j)), shape=(total, total))
    return (sparse.diags_array(neighbours) - inner).tocsr(), right


def _centre(foreground: Mask, reach: float, mm: Array, random: np.random.Generator) -> NDArray[np.int64]:
    """A voxel from which the lesion and its ring stay in the foreground, all such voxels alike."""
    # Beyond the volume is outside too.
    away = ndimage.distance_transform_edt(np.pad(foreground, 1)) > GAP + WIDTH + 1
    inside = ndimage.distance_transform_edt(away, sampling=mm)[1:-1, 1:-1, 1:-1]
    room = np.argwhere(inside > reach)
    if len(room) == 0:
        raise UserError(f"planting a lesion: none that reaches {reach:.1f} mm fits into the foreground with a ring "
                        "around it; choose a smaller radius")  # fmt: skip
    return np.asarray(room[int(random.integers(len(room)))])
