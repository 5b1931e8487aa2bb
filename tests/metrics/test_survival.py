"""What translators do to lesions, on fields where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from medudl.metrics.survival import GAP, WIDTH, blobs, invented, lesion_contrast, ring, survival

Array = NDArray[np.float64]
SIDE = 40
EVERYWHERE = np.ones((SIDE,) * 3, bool)


def _texture(seed: int) -> Array:
    rough = np.random.default_rng(seed).standard_normal((SIDE,) * 3)
    smooth = ndimage.gaussian_filter(rough, 1.5, mode="wrap")
    return np.asarray(smooth / smooth.std())


def _ball(centre: tuple[int, int, int], radius: float) -> NDArray[np.bool_]:
    away = np.indices((SIDE,) * 3) - np.array(centre).reshape(3, 1, 1, 1)
    return np.asarray((away**2).sum(0) <= radius**2)


LESION = _ball((20, 22, 18), 4)


def test_the_ring_by_hand() -> None:
    one = np.zeros((1, 1, 13), bool)
    one[0, 0, 6] = True
    assert np.flatnonzero(ring(one)).tolist() == [2, 3, 9, 10]  # 3 and 4 voxels away
    assert (GAP, WIDTH) == (2, 2)
    away = ndimage.distance_transform_edt(~LESION)
    np.testing.assert_array_equal(ring(LESION), (away > GAP) & (away <= GAP + WIDTH))
    assert not ring(np.zeros((3, 3, 3), bool)).any()


@pytest.mark.parametrize(
    ("share", "told"), [(1.0, True), (0.0, False), (0.6, True), (0.4, False), (-1.0, False), (1.7, True)]
)
def test_survival_of_a_translator_that_keeps_a_share(share: float, told: bool) -> None:
    """The translation is any map of the scan, plus a change everywhere alike, plus `share` of the lesion."""
    plain = np.exp(_texture(0))
    after = survival(plain, plain + 3.0 + share * 50 * LESION, LESION, expected=50)
    assert after.share == pytest.approx(share, abs=1e-9) and after.contrast == pytest.approx(50 * share, abs=1e-9)
    assert after.detected is told


def test_identity_inversion_and_removal() -> None:
    without = _texture(0)
    scan = without + 4 * LESION
    assert survival(without, scan, LESION, expected=4).share == pytest.approx(1)
    assert survival(-without, -scan, LESION, expected=4).share == pytest.approx(-1)
    assert survival(-without, -scan, LESION, expected=-4).detected, "the truth may be darker"
    assert survival(without, without, LESION, expected=4) == survival(scan, scan, LESION, expected=4)
    # A translator that smears the lesion over its surroundings loses some of it.
    smeared = ndimage.gaussian_filter(scan, 3) - ndimage.gaussian_filter(without, 3)
    assert 0 < survival(without, without + smeared, LESION, expected=4).share < 0.5


def test_no_lesion_no_figure() -> None:
    plain = _texture(0)
    assert math.isnan(lesion_contrast(plain, plain, np.zeros_like(EVERYWHERE)))
    assert math.isnan(lesion_contrast(plain, plain, EVERYWHERE))
    assert survival(plain, plain, EVERYWHERE, expected=1).detected is False
    for expected in (0.0, math.nan):
        with pytest.raises(ValueError, match="no meaning"):
            survival(plain, plain, LESION, expected=expected)


def test_a_translator_that_adds_nothing_invents_nothing() -> None:
    for seed in range(3):
        source = _texture(seed)
        for made in (source, -2 * source + 5, source + 0.1 * _texture(seed + 10), np.exp(0.2 * source)):
            assert invented(made, [source], EVERYWHERE) == 0
    ramp = np.linspace(0, 20, SIDE)[:, None, None]
    assert invented(source + ramp, [source], EVERYWHERE) == 0, "shading is no blob"
    assert invented(np.full((SIDE,) * 3, 0.1), [source], EVERYWHERE) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_invented_lesions_are_counted(sign: int) -> None:
    second = _ball((10, 10, 32), 3)
    found = []
    for seed in range(2):
        source = _texture(seed)
        one, two = source + sign * 6 * LESION, source + sign * 6 * (LESION | second)
        assert invented(10 * one + 40, [source], EVERYWHERE) == 1
        found.append(invented(two, [source], EVERYWHERE))
        assert invented(one, [one], EVERYWHERE) == 0, "the input has it"
        assert invented(-one, [source, one], EVERYWHERE) == 0, "the truth has it"
        assert invented(-one, [one, source], EVERYWHERE) == 0, "in any order"
        assert invented(two, [source, one], EVERYWHERE) == found[-1] - 1
        assert invented(source + sign * 9 * LESION, [one], EVERYWHERE) == 0, "louder is not invented"
        outside = EVERYWHERE & ~ndimage.binary_dilation(LESION, iterations=8)
        assert invented(one, [source], outside) == 0, "outside the mask nobody looks"
        assert invented(one, [source], EVERYWHERE, smallest=2000) == 0
    assert found == [2, 2]


def test_a_blob_that_touches_a_known_one_is_still_invented() -> None:
    source = _texture(0) + 8 * LESION
    beside = _ball((20, 22, 27), 4)
    both = blobs(source, EVERYWHERE, scale=2, threshold=2.25) & blobs(
        _texture(0) + 8 * beside, EVERYWHERE, scale=2, threshold=4.5
    )
    assert both.any()
    assert invented(_texture(0) + 8 * beside, [source], EVERYWHERE) == 1


def test_loud_blobs_do_not_hide_a_weaker_one() -> None:
    loud = 20 * (_ball((10, 10, 10), 4) | _ball((30, 10, 10), 4) | _ball((10, 30, 30), 4))
    source = _texture(0) + loud
    assert invented(source + 8 * _ball((30, 30, 28), 3), [source], EVERYWHERE) == 1


def test_thick_slices() -> None:
    """Every third slice of a scan: the lesion is found in the same millimetres."""
    source = _texture(0)
    thick = (source + 8 * LESION)[..., ::3]
    mask = EVERYWHERE[..., ::3]
    seen = blobs(thick, mask, scale=2, threshold=4.5, spacing=(1, 1, 3))
    assert seen[20, 22, 6] and invented(thick, [source[..., ::3]], mask, spacing=(1, 1, 3)) == 1
    upright = np.moveaxis(thick, 2, 0)
    turned = blobs(upright, np.moveaxis(mask, 2, 0), scale=2, threshold=4.5, spacing=(3, 1, 1))
    np.testing.assert_array_equal(np.moveaxis(turned, 0, 2), seen)
    assert (turned != blobs(upright, np.moveaxis(mask, 2, 0), scale=2, threshold=4.5, spacing=(1, 1, 1))).any()


def test_how_often_a_planted_blob_is_counted() -> None:
    """The counter's own faults: lesions of 6 standard deviations at random places, and textures without any."""
    met = false = 0
    random = np.random.default_rng(0)
    for seed in range(12):
        source = _texture(700 + seed)
        x, y, z = random.integers(8, SIDE - 8, 3)
        met += invented(source + 6 * _ball((int(x), int(y), int(z)), 3), [source], EVERYWHERE) == 1
        false += invented(_texture(800 + seed), [source], EVERYWHERE)
    print(f"counted {met} of 12 planted; {false} in 12 unrelated textures, seeds 700 to 711 and 800 to 811")
    assert met >= 11 and false <= 1


def test_the_masks_border_is_no_blob() -> None:
    body = _ball((20, 20, 20), 15)
    inside = np.where(body, 1000 + _texture(0), 0)
    assert not (blobs(inside, body, scale=2, threshold=4)).any()
    assert not blobs(inside[..., ::3], body[..., ::3], scale=2, threshold=4.5, spacing=(1, 1, 3)).any()
    odd, thick = inside[..., ::3].copy(), body[..., ::3]
    first = tuple(np.argwhere(thick)[0])
    odd[first] -= 1000
    usual, seen = (blobs(v, thick, scale=2, threshold=2, spacing=(1, 1, 3)) for v in (inside[..., ::3], odd))
    far = thick & (np.indices(thick.shape)[0] > first[0] + 20)
    assert usual[far].any() and (usual != seen)[far].mean() < 0.01, "whichever voxel comes first"
    assert (blobs(inside, EVERYWHERE, scale=2, threshold=2)).any()
    assert not blobs(np.where(body, 1e6 / 3, 0), body, scale=2, threshold=0.5).any(), "flat"
    assert not blobs(inside, np.zeros_like(body), scale=2, threshold=4).any()
    np.testing.assert_array_equal(
        blobs(3 - 2 * inside, body, scale=2, threshold=2), blobs(inside, body, scale=2, threshold=2)
    )
