"""Where voxels lie: from slice positions to one affine, and what stands against it, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# A direction of 0.1 degrees moves the rim of a head (100 mm) by 0.17 mm, well under half a voxel; headers that round
# their cosines to four decimals stay a factor of ten below it.
MIXED_DEGREES = 0.1
TILT_DEGREES = 0.5
# A step may differ from the usual one by this share (or by 0.02 mm, the rounding of short decimal strings).
UNEVEN_SHARE = 0.05
UNEVEN_MM = 0.02
# No slice may lie further from its place in the even stack than this share of a step.
OFF_GRID_SHARE = 0.25


@dataclass(frozen=True)
class Stack:
    """How slices become a volume.

    order: indices of the input slices, ascending along the normal (row direction x column direction).
    affine: (4, 4) voxel (column, row, slice) -> RAS mm. With faults it holds what can be said: rows and columns are
        right, the slice step is the mean one.
    spacing: voxel size in mm along X (columns), Y (rows), Z (slices).
    faults: what stands against stacking, in plain words; empty if nothing does.
    repairable: the faults are tilt, gaps or uneven steps only, which resampling can mend.
    """

    order: tuple[int, ...]
    affine: Array
    spacing: tuple[float, float, float]
    faults: tuple[str, ...] = ()
    repairable: bool = False


def lps_to_ras(affine: ArrayLike) -> Array:
    """Swap the sign of patient x and y: DICOM's LPS to NIfTI's RAS, or back. (4, 4) or (3, n)."""
    flipped = np.array(affine, dtype=np.float64)
    flipped[:2] *= -1
    return flipped


def spacing(affine: ArrayLike) -> tuple[float, float, float]:
    """Voxel size in mm along the three array axes."""
    x, y, z = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    return float(x), float(y), float(z)


def orientation(affine: ArrayLike) -> str:
    """Where the three array axes point, such as "RAS" or "LPS"; oblique axes take the nearest letter."""
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    # The rotation nearest to the matrix: a sheared or very oblique one still gives three different letters.
    left, _, right = np.linalg.svd(matrix / np.linalg.norm(matrix, axis=0))
    strength = np.abs(nearest := left @ right)
    letters = ["", "", ""]
    for _ in range(3):
        patient, axis = np.unravel_index(int(np.argmax(strength)), strength.shape)
        letters[axis] = ("LR", "PA", "IS")[patient][int(nearest[patient, axis] > 0)]
        strength[patient, :] = -1
        strength[:, axis] = -1
    return "".join(letters)


def along_patient(affine: ArrayLike, values: ArrayLike) -> Array:
    """One value an array axis -> left-right, front-back, up-down: (3,). Oblique axes count as the nearest ones."""
    letters, given = orientation(affine), np.asarray(values, dtype=np.float64)
    places = [next(i for i, letter in enumerate(letters) if letter in pair) for pair in ("LR", "PA", "IS")]
    return given[places]


def stack(
    positions: ArrayLike, orientations: ArrayLike, pixel_spacing: ArrayLike, *, thickness: float | None = None
) -> Stack:
    """Order slices by position along the normal, and name what stands against making them one volume.

    positions (N, 3): centre of the first voxel, LPS mm. orientations (N, 6): direction cosines of a row, then of a
    column. pixel_spacing (N, 2): mm between rows, mm between columns. thickness: mm, used for a single slice alone,
    where no step exists. Instance number, slice location and thickness play no part in order or spacing.
    """
    places = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    cosines = np.asarray(orientations, dtype=np.float64).reshape(-1, 6)
    pixels = np.asarray(pixel_spacing, dtype=np.float64).reshape(-1, 2)
    bad = _impossible(places, cosines, pixels)
    if bad:
        return Stack(tuple(range(len(places))), np.eye(4), (1.0, 1.0, 1.0), (bad,))
    cosines = cosines / np.linalg.norm(cosines.reshape(-1, 2, 3), axis=2).repeat(3, axis=1)
    row, column = cosines[0, :3], cosines[0, 3:]
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    order = np.argsort(places @ normal, kind="stable")
    places = places[order]
    step = normal * (thickness or 1.0)
    if len(places) > 1 and np.ptp(places @ normal) > 0:
        step = (places[-1] - places[0]) / (len(places) - 1)
    faults, repairable = _faults(places, cosines, pixels, normal, step)
    lps = np.eye(4)
    lps[:3] = np.column_stack([row * pixels[0, 1], column * pixels[0, 0], step, places[0]])
    affine = lps_to_ras(lps)
    return Stack(tuple(int(i) for i in order), affine, spacing(affine), tuple(faults), repairable)


def _impossible(places: Array, cosines: Array, pixels: Array) -> str:
    if len(places) == 0:
        return "not a volume: no slice with a position"
    if not (np.isfinite(places).all() and np.isfinite(cosines).all() and np.isfinite(pixels).all()):
        return "not a volume: a position, direction or pixel size is no number"
    if pixels.min() <= 0:
        return "not a volume: a pixel size is zero or negative"
    lengths = np.linalg.norm(cosines.reshape(-1, 2, 3), axis=2)
    if (np.abs(lengths - 1) > 0.01).any():
        return "not a volume: a direction of rows or columns has not length 1"
    if (np.abs((cosines[:, :3] * cosines[:, 3:]).sum(axis=1)) > 0.01).any():
        return "not a volume: rows and columns are not at right angles"
    return ""


def _faults(places: Array, cosines: Array, pixels: Array, normal: Array, step: Array) -> tuple[list[str], bool]:
    """Faults of sorted slices, and whether resampling could mend all of them."""
    fatal = []
    widest = _degrees(np.linalg.norm(cosines.reshape(-1, 2, 3) - cosines[0].reshape(2, 3), axis=2).max())
    if widest > MIXED_DEGREES:
        fatal.append(f"slices have different orientations (up to {widest:.1f} degrees apart)")
    if np.abs(pixels / pixels[0] - 1).max() > 1e-3:
        low, high = pixels.min(), pixels.max()
        fatal.append(f"slices have different pixel sizes ({low:.3g} to {high:.3g} mm)")
    if fatal or len(places) == 1:
        return fatal, False
    depths = places @ normal
    if np.ptp(depths) < 1e-3:
        return [f"not a volume: all {len(places)} images lie at the same position"], False
    steps = np.diff(depths)
    repeats = [i for i, s in enumerate(steps) if s < 1e-3]
    if repeats:
        return [_repeated(repeats)], False
    if len(places) == 2:
        return ["only 2 slices: too few for a volume (whether slices are missing between them cannot be told)"], False
    sideways = _sideways(places, normal, pixels)
    if sideways:
        return [sideways], False
    faults = []
    tilt = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    if tilt > TILT_DEGREES:
        faults.append(f"the gantry is tilted by {tilt:.1f} degrees")
    faults += _unevenness(depths, steps)
    return faults, bool(faults)


def _degrees(chord: float) -> float:
    return float(np.degrees(2 * np.arcsin(min(chord / 2, 1))))


def _repeated(repeats: Sequence[int]) -> str:
    first = repeats[0] + 1
    if len(repeats) == 1:
        return f"two slices at the same position ({first} and {first + 1})"
    return f"two slices at the same position, {len(repeats)} times (first: {first} and {first + 1})"


def _sideways(places: Array, normal: Array, pixels: Array) -> str:
    """Slices that lie beside the straight line of the others (a tilt is a straight line, too)."""
    depths = places @ normal
    share = (depths - depths[0]) / (depths[-1] - depths[0])
    off = places - (places[0] + share[:, None] * (places[-1] - places[0]))
    off -= np.median(off, axis=0)
    distance = np.linalg.norm(off - (off @ normal)[:, None] * normal, axis=1)
    worst = int(np.argmax(distance))
    if distance[worst] <= 0.5 * pixels.min():
        return ""
    return f"slice {worst + 1} is shifted sideways by {distance[worst]:.1f} mm against the others"


def _unevenness(depths: Array, steps: Array) -> list[str]:
    """Missing slices where steps are whole multiples of the usual one; unevenly spaced otherwise."""
    usual = float(np.median(steps[steps <= 1.5 * steps.min()]))
    slack = max(UNEVEN_SHARE * usual, UNEVEN_MM)
    even = np.linspace(depths[0], depths[-1], len(depths))
    if np.ptp(steps) <= 2 * slack and np.abs(depths - even).max() <= OFF_GRID_SHARE * usual:
        return []
    multiples = np.rint(steps / usual)
    whole = bool((np.abs(steps - multiples * usual) <= np.maximum(slack, 0.02 * steps)).all())
    gaps = np.flatnonzero(multiples > 1)
    # Many "gaps" are a change of slice distance within the scan, not lost files.
    if not whole or not len(gaps) or len(gaps) > max(1, len(steps) // 3):
        return [f"slices are unevenly spaced ({steps.min():.3g} to {steps.max():.3g} mm)"]
    return [_missing(int(gap), int(multiples[gap]) - 1) for gap in gaps]


def _missing(gap: int, count: int) -> str:
    slices = "slice" if count == 1 else "slices"
    return f"{count} {slices} missing between {gap + 1} and {gap + 2}"
