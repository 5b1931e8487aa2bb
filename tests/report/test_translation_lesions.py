"""Lesions put through translators that keep, remove, invert and invent them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from medudl.report.translation_baselines import Maker
from medudl.report.translation_lesions import (
    LesionScan,
    Planting,
    areas_per_scan,
    lesion_survival,
    planted,
    radius_for,
    survived,
)

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
SHAPE = (24, 40, 40)
PLANTING = Planting(contrast=1.0, radius=4.0, spread=1.0)
LESION = np.zeros(SHAPE, bool)
LESION[10:14, 18:23, 18:23] = True


def _identity(source: Array, inside: Mask) -> Array:
    return source


def _scan(seed: int, lesion: float = 0.0) -> LesionScan:
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 1.5)
    plain = (rough / rough.std()).astype(np.float32)
    source = (plain + lesion * LESION)[None].astype(np.float32)
    target = (2 * plain - 3 * lesion * LESION)[None].astype(np.float32)
    inside = np.ones(SHAPE, bool)
    inside[:, :2] = False
    inside[:, :, :2] = False
    return LesionScan(f"p{seed}", source, inside, (1.0, 1.0, 1.0), LESION if lesion else None, target)


def _share(make: Maker, kind: str, planting: Planting = PLANTING, lesion: float = 0.0) -> float:
    found = survived(lesion_survival(make, [_scan(seed, lesion) for seed in range(3)], planting), [kind])
    assert found is not None and found.lesions == 3 and found.share.n == 3
    return found.share.value


@pytest.mark.parametrize("kind", ["bright", "dark"])
def test_a_share_of_a_planted_lesion_survives(kind: str) -> None:
    assert _share(_identity, kind) == pytest.approx(1, abs=0.01)
    assert _share(lambda source, inside: 0.3 * source + 4, kind) == pytest.approx(0.3, abs=0.01)
    assert _share(lambda source, inside: np.zeros_like(source), kind) == pytest.approx(0, abs=1e-6)
    # Nobody knows which sign the truth would have.
    assert _share(lambda source, inside: -source, kind) == pytest.approx(1, abs=0.01)


def test_with_the_true_translation_the_sign_counts() -> None:
    known = Planting(1.0, 4.0, 1.0, truth=lambda source, inside: -2 * source)
    assert _share(lambda source, inside: -source, "bright", known) == pytest.approx(0.5, abs=0.01)
    assert _share(_identity, "dark", known) == pytest.approx(-0.5, abs=0.01)
    found = lesion_survival(_identity, [_scan(0)], known)
    assert [(fate.shown, fate.truly) for fate in found.fates] == [(False, True)] * 2


def test_drawn_lesions_against_the_truth() -> None:
    """In the truth the lesion is three times as strong, and dark."""
    assert _share(lambda source, inside: -3 * source, "real", lesion=5.0) == pytest.approx(1, abs=0.1)
    assert _share(_identity, "real", lesion=5.0) == pytest.approx(-1 / 3, abs=0.05)
    assert _share(_identity, "gone", lesion=5.0) == pytest.approx(0, abs=0.1)

    def always(source: Array, inside: Mask) -> Array:
        return (source - 15 * LESION).astype(np.float32)

    assert _share(always, "gone", lesion=5.0) == pytest.approx(1, abs=0.1), "it shows one where there is none"
    assert _share(always, "real", lesion=5.0) == pytest.approx(-1 / 3, abs=0.1), "what it shows anyway is not credited"


def test_a_lesion_that_the_truth_hardly_shows_is_left_out() -> None:
    one, flat = _scan(0, 5.0), np.ones((1, *SHAPE), np.float32)
    found = lesion_survival(_identity, [LesionScan("p", one.source, one.inside, one.spacing, LESION, flat)], PLANTING)
    assert found.faint == 1 and not [fate for fate in found.fates if fate.kind in ("real", "gone")]


def test_invented_lesions_are_counted_beside_those_of_the_truth() -> None:
    ball = ((np.indices(SHAPE) - np.array([12, 30, 12])[:, None, None, None]) ** 2).sum(0) <= 9

    def invents(source: Array, inside: Mask) -> Array:
        return (source + 12 * ball).astype(np.float32)

    def counted(make: Maker) -> tuple[float, float]:
        found = lesion_survival(make, [_scan(seed) for seed in range(3)], PLANTING)
        made, real = areas_per_scan(found.made), areas_per_scan(found.real)
        assert made is not None and real is not None
        return made.value, real.value

    assert counted(invents) == (1, 0) and counted(_identity) == (0, 0)
    none = areas_per_scan([("a", 0), ("b", 0)])
    assert none is not None and none.value == 0 and none.high > 1, "two patients do not rule one out"
    assert areas_per_scan([]) is None


def test_translators_are_shown_the_same_lesions() -> None:
    seen: list[Array] = []

    def keep(source: Array, inside: Mask) -> Array:
        seen.append(source)
        return source

    for _ in range(2):
        lesion_survival(keep, [_scan(0), _scan(1)], PLANTING)
    half = len(seen) // 2
    assert half == 6
    for one, other in zip(seen[:half], seen[half:], strict=True):
        np.testing.assert_array_equal(one, other)
    places = [np.abs(seen[k + 1] - seen[k]) > 0.8 for k in (0, 3)]
    assert places[0].any() and not np.array_equal(*places), "another scan, another place"


def test_a_single_slice_gets_the_section_of_a_lesion() -> None:
    volume = _scan(3).source[:, 12:13]
    inside = np.ones((1, 40, 40), bool)
    inside[:, :4] = False
    flat = LesionScan("p", volume, inside, (9.0, 1.0, 1.0))
    sick, mask = planted(flat, PLANTING, 2.0, 0)
    assert sick.shape == volume.shape and mask.shape == (1, 40, 40)
    assert mask.sum() == pytest.approx(np.pi * 16, rel=0.5) and not (mask & ~inside).any()
    np.testing.assert_allclose((sick - volume)[0][mask], 2.0, atol=1e-5)
    found = survived(lesion_survival(_identity, [flat], PLANTING), ["bright", "dark"])
    assert found is not None and found.share.value == pytest.approx(1, abs=0.01)


def test_without_a_foreground_lesions_lie_in_tissue() -> None:
    inside = np.ones((1, 64, 64), bool)
    y, x = np.indices((64, 64))
    disc = ((y - 32) ** 2 + (x - 32) ** 2 < 24**2)[None]
    source = (disc * (1 + 0.1 * np.random.default_rng(0).random((1, 64, 64))))[None].astype(np.float32)
    for number in range(8):
        _, mask = planted(LesionScan("p", source, inside, (1.0, 1.0, 1.0)), PLANTING, 1.0, number)
        assert disc[mask].all()


def test_no_room_is_told_and_no_figure_made_up() -> None:
    one = _scan(0)
    small = Planting(1.0, 30.0, 1.0)
    found = lesion_survival(_identity, [one], small)
    assert found.crowded == ["p0", "p0"] and survived(found, ["bright", "dark"]) is None and found.scans == 1


def test_shares_of_all_or_none_keep_an_interval() -> None:
    found = survived(lesion_survival(_identity, [_scan(seed) for seed in range(3)], PLANTING), ["bright"])
    assert found is not None and found.shown.value == 1 and found.shown.low == pytest.approx(0.025 ** (1 / 3), abs=1e-6)


def test_the_radius_grows_with_coarse_voxels() -> None:
    assert radius_for((6.0, 1.0, 1.0)) == 6.0 and radius_for((1.0, 4.0, 4.0)) == 10.0
