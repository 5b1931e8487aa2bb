"""What a translator does to lesions: planted ones, real ones and the same taken out, and those that it invents.

`lesion_survival` takes any callable and any scans, without a run folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medudl.data.foreground import otsu, solid
from medudl.data.planted import plant, remove
from medudl.errors import UserError
from medudl.metrics.detection import areas
from medudl.metrics.image import over_patients
from medudl.metrics.intervals import Estimate, clopper_pearson, poisson_interval
from medudl.metrics.survival import DETECTED, GAP, WIDTH, invented, lesion_contrast
from medudl.report.translation_baselines import Maker

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

RADIUS = 6.0  # mm, or as many as LEAST voxels within the slice where these are coarse
LEAST = 2.5
SIGNS = (("bright", 1.0), ("dark", -1.0))
SMALLEST = 8  # voxels of a drawn lesion, and of an invented one
FAINT = 0.25  # standard deviations: a lesion that the truth hardly shows says nothing of what survives
_WHOLE = 0.98  # a foreground that leaves out less than this is no foreground


@dataclass(frozen=True)
class LesionScan:
    """A scan to try lesions on. source: (C, D, H, W), inside and lesion: (D, H, W), spacing: mm along D, H, W.

    target: the truth, (C', D, H, W) in the unit that the translator makes; None where nobody knows it. The first
    channel of the target is looked at.
    """

    patient: str
    source: Array
    inside: Mask
    spacing: tuple[float, float, float]
    lesion: Mask | None = None
    target: Array | None = None


@dataclass(frozen=True)
class Planting:
    """contrast: what is added to every source channel, in its unit; radius: mm.

    spread: one standard deviation of the target, what a planted lesion is measured by where nobody knows what the
    truth would show; truth: the true translation, where it is known (phantoms).
    """

    contrast: float
    radius: float
    spread: float
    seed: int = 0
    truth: Maker | None = None


@dataclass(frozen=True)
class Fate:
    """One lesion. kind: bright, dark (planted), real (drawn), gone (drawn, and taken out of the source).

    share: its contrast in the translation over what is expected there; a size, not a truth, where `truly` is False.
    shown: the share reaches one half.
    """

    patient: str
    kind: str
    contrast: float
    share: float
    shown: bool
    truly: bool


@dataclass
class Lesions:
    """What happened on all scans.

    made, real: (patient, count) of lesion-like areas a scan that neither source nor truth has, in the translation and
    in the truth itself; faint: drawn lesions that the truth hardly shows; crowded: patients whose scan had no room for
    a planted one, once a lesion; scans: how many were looked at.
    """

    fates: list[Fate] = field(default_factory=list)
    made: list[tuple[str, int]] = field(default_factory=list)
    real: list[tuple[str, int]] = field(default_factory=list)
    crowded: list[str] = field(default_factory=list)
    faint: int = 0
    scans: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Lesions) -> None:
        """Put what happened on other scans beside it."""
        for name in ("fates", "made", "real", "crowded", "notes"):
            getattr(self, name).extend(getattr(other, name))
        self.faint += other.faint
        self.scans += other.scans


@dataclass(frozen=True)
class Survived:
    """Of lesions of some kinds: mean share, and what part of them was shown; by patient. lesions: how many."""

    share: Estimate
    shown: Estimate
    lesions: int


def lesion_survival(make: Maker, scans: Iterable[LesionScan], planting: Planting) -> Lesions:
    """Plant a bright and a dark lesion into each scan, take the drawn ones out, and look for invented ones.

    make: (C, D, H, W), foreground -> (C', D, H, W). The places come from the seed and the scan's number alone, so that
    two translators are shown the same lesions.
    """
    found = Lesions()
    for number, scan in enumerate(scans):
        found.add(lesions_of(make, scan, planting, number))
    return found


def lesions_of(make: Maker, scan: LesionScan, planting: Planting, number: int) -> Lesions:
    """The same of one scan, the `number`-th."""
    found, plain = Lesions(scans=1), make(scan.source, scan.inside)[0]
    _plant_some(make, scan, planting, number, plain, found)
    if scan.lesion is not None and scan.lesion.any():
        _take_out(make, scan, planting, plain, found)
    others: list[Array] = [scan.source[0]] if scan.target is None else [scan.source[0], scan.target[0]]
    found.made.append((scan.patient, _invented(plain, others, scan, planting)))
    if scan.target is not None:
        found.real.append((scan.patient, _invented(scan.target[0], [scan.source[0]], scan, planting)))
    return found


def _invented(made: Array, others: Sequence[Array], scan: LesionScan, planting: Planting) -> int:
    return invented(made, others, scan.inside, scale=planting.radius / 2, smallest=SMALLEST, spacing=scan.spacing)


def survived(found: Lesions, kinds: Sequence[str], *, seed: int = 0) -> Survived | None:
    """Of the lesions of these kinds; None where there is none."""
    rows = [fate for fate in found.fates if fate.kind in kinds]
    if not rows:
        return None
    names = [fate.patient for fate in rows]
    share = over_patients([fate.share for fate in rows], names, seed=seed)
    shown = over_patients([float(fate.shown) for fate in rows], names, seed=seed)
    return Survived(share, _of_shares(shown), len(rows))


def areas_per_scan(rows: Sequence[tuple[str, int]], *, seed: int = 0) -> Estimate | None:
    """Mean number a scan, by patient; None where nothing was counted."""
    if not rows:
        return None
    found = over_patients([count for _, count in rows], [name for name, _ in rows], seed=seed)
    if found.value > 0:
        return found
    # A bootstrap of nothing is sure of nothing: Poisson's upper end instead, as if each patient were one scan.
    return Estimate(0.0, *poisson_interval(0, found.n), found.n)


def _of_shares(found: Estimate) -> Estimate:
    """The exact binomial interval of as many events as patients, since a bootstrap of all or none has no width."""
    if not math.isfinite(found.value) or found.n < 2:
        return found
    return Estimate(found.value, *clopper_pearson(min(found.value * found.n, found.n), found.n), found.n)


def radius_for(spacing: Sequence[float]) -> float:
    """Millimetres of a planted lesion in scans of this spacing (D, H, W)."""
    return max(RADIUS, LEAST * max(spacing[1:]))


def _plant_some(make: Maker, scan: LesionScan, planting: Planting, number: int, plain: Array, found: Lesions) -> None:
    for place, (kind, sign) in enumerate(SIGNS):
        try:
            sick, mask = planted(scan, planting, sign * planting.contrast, 2 * number + place)
        except UserError:
            found.crowded.append(scan.patient)
            continue
        contrast = lesion_contrast(plain, make(sick, scan.inside)[0], mask)
        if planting.truth is None:
            expected = math.copysign(planting.spread, contrast)
        else:
            without, with_lesion = (planting.truth(image, scan.inside)[0] for image in (scan.source, sick))
            expected = lesion_contrast(without, with_lesion, mask)
        found.fates.append(_fate(scan, kind, contrast, expected, planting.truth is not None))


def planted(scan: LesionScan, planting: Planting, contrast: float, number: int) -> tuple[Array, Mask]:
    """The scan with a lesion in every channel, and its mask. Raises UserError: no room.

    In a single slice it is the section of a ball through its largest part.
    """
    inside, depth = _tissue(scan), len(scan.inside)
    source, spacing = scan.source, scan.spacing
    if depth == 1:
        spacing = (min(spacing[1:]), *spacing[1:])
        copies = 2 * math.ceil(2 * planting.radius / spacing[0]) + 2 * (GAP + WIDTH + 2) + 1
        source, inside = np.repeat(source, copies, axis=1), np.repeat(inside, copies, axis=0)
    made, mask = [], inside
    for channel in source:
        with_lesion, mask = plant(
            channel, inside, contrast=contrast, radius=planting.radius, seed=planting.seed + number, spacing=spacing
        )
        made.append(with_lesion)
    sick = np.stack(made)
    if depth == 1:
        middle = int(mask.sum(axis=(1, 2)).argmax())
        return sick[:, middle : middle + 1], mask[middle : middle + 1]
    return sick, mask


def _tissue(scan: LesionScan) -> Mask:
    """Where a lesion may lie: the foreground, or what is brighter than air where that is the whole image."""
    if scan.inside.mean() < _WHOLE:
        return scan.inside
    bright = np.moveaxis(scan.source[0] > otsu(scan.source[0]), 0, 2)
    return np.moveaxis(solid(bright, 0.0), 2, 0) & scan.inside if bright.any() else scan.inside


def _take_out(make: Maker, scan: LesionScan, planting: Planting, plain: Array, found: Lesions) -> None:
    """Drawn lesions: with against without them, and whether they come back once the source has none."""
    assert scan.lesion is not None
    labels, number = areas(scan.lesion, SMALLEST)
    grown = ndimage.binary_dilation(scan.lesion, ndimage.generate_binary_structure(3, 1))
    try:
        healed = np.stack([remove(channel, grown) for channel in scan.source])
        after = make(healed, scan.inside)[0]
        empty = remove(after, grown)
        without = None if scan.target is None else remove(scan.target[0], grown)
    except UserError as error:
        found.notes.append(f"{scan.patient}: {error}")
        return
    for label in range(1, number + 1):
        mask = labels == label
        contrast = lesion_contrast(after, plain, mask)
        if without is None or scan.target is None:
            expected = math.copysign(planting.spread, contrast)
        else:
            expected = lesion_contrast(without, scan.target[0], mask)
        if not abs(expected) >= FAINT * planting.spread:
            found.faint += 1
            continue
        found.fates.append(_fate(scan, "real", contrast, expected, without is not None))
        found.fates.append(_fate(scan, "gone", lesion_contrast(empty, after, mask), expected, without is not None))


def _fate(scan: LesionScan, kind: str, contrast: float, expected: float, truly: bool) -> Fate:
    share = contrast / expected if expected else math.nan
    return Fate(scan.patient, kind, contrast, share, share >= DETECTED, truly)
