"""Planted and removed lesions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from medudl.data.planted import plant, remove
from medudl.errors import UserError
from medudl.metrics.survival import invented, lesion_contrast, ring, survival

SHAPE = (40, 44, 36)
X, Y, Z = np.indices(SHAPE)
BODY: NDArray[np.bool_] = np.asarray(((X - 20) / 19) ** 2 + ((Y - 22) / 20) ** 2 + ((Z - 18) / 17) ** 2 <= 1)


def _scan(seed: int = 0) -> NDArray[np.float32]:
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 1.5)
    return np.where(BODY, 100 + 10 * rough / rough.std(), 0).astype(np.float32)


@pytest.mark.parametrize("contrast", [60.0, -60.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_planted_lesion_has_the_contrast_and_the_size_asked_for(seed: int, contrast: float) -> None:
    scan = _scan()
    planted, mask = plant(scan, BODY, contrast=contrast, radius=4, seed=seed)
    assert planted.dtype == np.float32 and planted.shape == scan.shape
    assert lesion_contrast(scan, planted, mask) == pytest.approx(contrast, rel=1e-5)
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.1)
    around = ring(mask)
    assert BODY[mask].all() and BODY[around].all() and around.any()
    changed = planted != scan
    assert not changed[~ndimage.binary_dilation(mask, np.ones((3, 3, 3)), 2)].any(), "only there"
    assert np.allclose((planted - scan)[mask], contrast, rtol=1e-4), "the texture stays"
    steps = np.abs(np.diff(planted - scan, axis=0)).max()
    assert steps < 0.75 * abs(contrast), "soft at its edge"


def test_the_seed_alone_decides() -> None:
    first, again, other = (plant(_scan(), BODY, contrast=50, radius=3, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[1] != other[1]).any()
    elsewhere = {tuple(np.argwhere(plant(_scan(), BODY, contrast=50, radius=3, seed=s)[1]).mean(0)) for s in range(8)}
    assert len(elsewhere) == 8


def test_millimetres() -> None:
    _, mask = plant(_scan(), BODY, contrast=50, radius=6, seed=0, spacing=(1, 1, 3))
    wide = [int(np.ptp(axis)) + 1 for axis in np.nonzero(mask)]
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 6**3 / 3, rel=0.1)
    assert wide[2] < 0.6 * min(wide[:2])
    _, mask = plant(_scan(), BODY, contrast=50, radius=0.1, seed=0)
    assert mask.sum() == 1, "smaller than a voxel"


def test_no_room_is_told() -> None:
    with pytest.raises(UserError, match="fits into the foreground.*smaller radius"):
        plant(_scan(), BODY, contrast=50, radius=15, seed=0)
    # The volume's border is the end of the foreground.
    with pytest.raises(UserError, match="smaller radius"):
        plant(_scan(), np.ones(SHAPE, bool), contrast=50, radius=16, seed=0)


def test_removing_gives_the_smooth_scan_back() -> None:
    ramp = (100 + 2.0 * X - 3.0 * Y + 0.5 * Z).astype(np.float32)
    planted, mask = plant(ramp, BODY, contrast=80, radius=4, seed=0)
    soft = ndimage.binary_dilation(mask, np.ones((3, 3, 3)), 2)
    healed = remove(planted, soft)
    print(f"largest error of the filled ramp {np.abs(healed - ramp).max():.1e}, n = {soft.sum()} voxels, seed 0")
    np.testing.assert_allclose(healed, ramp, atol=1e-3)
    assert healed is not planted and (planted != ramp).any(), "the scan itself stays"
    np.testing.assert_array_equal(healed[~soft], planted[~soft])
    with pytest.raises(UserError, match="whole volume"):
        remove(ramp, np.ones(SHAPE, bool))


def test_filled_voxels_are_the_mean_of_their_neighbours() -> None:
    scan = _scan()
    mask = np.zeros(SHAPE, bool)
    mask[15:22, 18:23, 0:9] = True  # up to the border
    healed = remove(scan, mask).astype(np.float64)
    for v in np.argwhere(mask):
        near = [v + step for step in np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)]) if (v + step >= 0).all()]
        assert healed[tuple(v)] == pytest.approx(np.mean([healed[tuple(n)] for n in near]), abs=1e-3)
    assert remove(scan, np.zeros(SHAPE, bool)).tolist() == scan.tolist()


def test_the_whole_way_with_translators_whose_answer_is_known() -> None:
    """Identity keeps all and invents nothing; a median filter loses a small lesion; a removed lesion was one."""
    scan = _scan()
    planted, mask = plant(scan, BODY, contrast=70, radius=3, seed=3)
    kept = survival(scan, planted, mask, expected=70)
    assert kept.share == pytest.approx(1, rel=1e-5) and kept.detected
    small, dot = plant(scan, BODY, contrast=70, radius=2, seed=3)
    lost = survival(*(ndimage.median_filter(s, 9) for s in (scan, small)), dot, expected=70)
    print(f"share that survives: identity {kept.share:.4f}, median of 9 voxels {lost.share:.4f}")
    assert abs(lost.share) < 0.05 and not lost.detected
    assert invented(planted, [planted], BODY) == 0 and invented(planted, [scan], BODY) == 1
    assert invented(scan, [planted], BODY) == 0
    real, _ = plant(_scan(1), BODY, contrast=70, radius=3, seed=5)
    where = plant(_scan(1), BODY, contrast=70, radius=3, seed=5)[1]
    without = remove(real, ndimage.binary_dilation(where, np.ones((3, 3, 3)), 2))
    assert survival(without, real, where, expected=70).share == pytest.approx(1, abs=0.15), "a removed lesion"
