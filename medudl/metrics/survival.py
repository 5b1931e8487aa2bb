"""What a translator does to lesions: does a known one survive, and does it invent some? NumPy and SciPy only.

Low cycle error proves nothing here: a translator can hide a lesion from the eye and still find it on the way back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from medudl.metrics.detection import areas

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

GAP = 2  # voxels between a lesion and the ring it is compared with: its soft edge
WIDTH = 2  # voxels of the ring
KNOWN = 0.5  # share of a blob that is known from elsewhere
DETECTED = 0.5  # share of the expected contrast from which a lesion counts as there


@dataclass(frozen=True)
class Survival:
    """contrast: what the lesion made of itself after translation, in the target's unit; share: of what it should be."""

    contrast: float
    share: float
    detected: bool


def ring(mask: Mask) -> Mask:
    """Voxels around a mask, of the same shape: further than GAP from it, at most GAP + WIDTH (distances in voxels)."""
    around = np.zeros(mask.shape, bool)
    places = np.argwhere(mask)
    if len(places) == 0:
        return around
    reach = GAP + WIDTH + 1
    box = tuple(slice(max(a - reach, 0), b + reach + 1) for a, b in zip(places.min(0), places.max(0), strict=True))
    away = ndimage.distance_transform_edt(~mask[box])
    around[box] = (away > GAP) & (away <= GAP + WIDTH)
    return around


def lesion_contrast(without: ArrayLike, with_lesion: ArrayLike, mask: Mask) -> float:
    """Mean of (with - without) over the lesion, minus its mean over the ring around it; the volumes' unit.

    without, with_lesion: the same scan, with nothing else changed; mask: the lesion, (X, Y, Z). What a translator
    changes everywhere alike cancels. NaN for an empty mask, or one that leaves no ring.
    """
    changed, around = np.asarray(with_lesion, np.float64) - np.asarray(without, np.float64), ring(mask)
    if not mask.any() or not around.any():
        return math.nan
    return float(changed[mask].mean() - changed[around].mean())


def survival(
    after_plain: ArrayLike,
    after_planted: ArrayLike,
    mask: Mask,
    *,
    expected: float,
    detected: float = DETECTED,
) -> Survival:
    """How much of a lesion is left after translation:

        share = lesion_contrast(T(scan without), T(scan with)) / expected

    1 for a translator that carries it over, 0 for one that removes it, below 0 for one that turns its sign, above 1 for
    one that exaggerates. after_plain, after_planted: translations of the scan without and with the lesion; mask: the
    lesion, on the same grid. expected: the signed contrast that truth would have: `lesion_contrast` of the true target
    volumes where they are known; else one standard deviation of the target domain, and the share is then a size, not a
    truth. detected: the share from which a lesion counts as there. For a real lesion "without" is the scan after
    `data.planted.remove`. ValueError for an expected contrast of 0.
    """
    if not (math.isfinite(expected) and expected != 0):
        raise ValueError(f"expected contrast {expected}: a share of it has no meaning")
    contrast = lesion_contrast(after_plain, after_planted, mask)
    return Survival(contrast, contrast / expected, contrast / expected >= detected)


def blobs(
    volume: ArrayLike, mask: Mask, *, scale: float, threshold: float, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> Mask:
    """Voxels of the mask where something of radius about `scale` mm stands out from its surroundings, bright or dark:

        |G_s * v - G_3s * v| > threshold * its usual size in the mask

    G_s: Gaussian mean of sigma s over the mask alone, so that the mask's border is no edge. Usual size: root mean
    square, thrice over again without what is above 3 of it, so that blobs do not raise their own bar. Unchanged by
    affine maps of intensity, so that volumes of different units are treated alike. A flat volume has none.
    """
    if not mask.any():
        return np.zeros(mask.shape, bool)
    values, weight = np.asarray(volume, np.float64), mask.astype(np.float64)
    # From a value of its own, so that a flat volume is flat to the last bit.
    values = np.where(mask, values - values[mask][0], 0)
    step = np.asarray(spacing, np.float64)

    def mean(sigma: float) -> Array:
        around = np.maximum(ndimage.gaussian_filter(weight, sigma / step, mode="constant"), 1e-12)
        return np.asarray(ndimage.gaussian_filter(values, sigma / step, mode="constant") / around)

    stands_out = np.abs(mean(scale) - mean(3 * scale))
    usual, sizes = math.inf, stands_out[mask]
    for _ in range(4):
        usual = math.sqrt(float(np.square(sizes[sizes <= 3 * usual]).mean()))
    return np.asarray((stands_out > threshold * usual) & mask)


def invented(
    made: ArrayLike,
    others: Sequence[ArrayLike],
    mask: Mask,
    *,
    scale: float = 2.0,
    threshold: float = 4.5,
    smallest: int = 8,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> int:
    """How many lesion-like blobs a translation shows where neither its input nor the truth has one: areas in one scan.

    made: the translation; others: its input, and the truth where there is one, all on one grid, each in its own unit;
    mask: where to look (the organ); spacing: mm. A blob (see `blobs`) is a connected area of at least `smallest`
    voxels. It is invented unless half of its voxels stand out in one of the others too, there at HALF the threshold,
    because a lesion that only became louder is not invented. A smooth change of shading is no blob; one blob in
    another's place is none. Without the truth the target's own anatomy counts too: compare with the number in REAL
    target scans beside sources of the same patients.
    """

    def found(volume: ArrayLike, bar: float) -> Mask:
        return blobs(volume, mask, scale=scale, threshold=bar, spacing=spacing)

    labels, number = areas(found(made, threshold), smallest)
    sizes, known = np.bincount(labels.ravel(), minlength=number + 1), np.zeros(number + 1, bool)
    for other in others:
        known |= np.bincount(labels[found(other, threshold / 2)], minlength=number + 1) >= KNOWN * sizes
    return int((~known[1:]).sum())
