import numpy as np
import pytest
from synthetic_cohort import OBLIQUE, UPRIGHT, orthogonal

from medudl.data.registration import motion, n4, register
from medudl.data.resample import overlap, resample
from medudl.data.volume import Volume
from medudl.errors import UserError


def anatomy(points: np.ndarray) -> np.ndarray:
    """A head without symmetry, as a function of world points (..., 3) in mm."""
    x, y, z = np.moveaxis(points, -1, 0)
    skull = (x / 34) ** 2 + (y / 40) ** 2 + (z / 34) ** 2 < 1
    blobs = [((9, 12, 5), 9, 3), ((-13, -8, -7), 8, -1.5), ((4, -20, 12), 7, 2), ((-6, 17, -14), 6, 1.5)]
    inside = sum(k * np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * s * s)) for (a, b, c), s, k in blobs)
    return skull * (2 + inside)


def rigid(degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out = np.eye(4)
    out[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    out[:3, 3] = shift
    return out


def scan(affine: np.ndarray, shape: tuple[int, ...], moved: np.ndarray, contrast=lambda v: v) -> Volume:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    points = (world - moved[:3, 3]) @ moved[:3, :3]  # the inverse of a rigid motion
    return Volume(contrast(anatomy(points)).astype(np.float32), affine)


def centred(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = affine.copy()
    out[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return out


def test_a_known_motion_is_found_across_contrasts_grids_and_twice_alike() -> None:
    moved = rigid(6, (4, -3, 2))
    fixed = scan(centred(UPRIGHT, (44, 50, 20)), (44, 50, 20), np.eye(4))
    other = centred(orthogonal(OBLIQUE), (46, 52, 24))
    moving = scan(other, (46, 52, 24), moved, lambda v: np.exp(-v / 2) * (v > 0))
    found = register(fixed, moving, "here")
    ears = np.array([[30, 0, 0, 1], [-30, 0, 0, 1], [0, 35, 0, 1], [0, 0, 25, 1]]).T
    assert np.abs((found - moved) @ ears).max() < 0.8  # mm, where voxels have 2 x 2 x 4
    np.testing.assert_array_equal(register(fixed, moving, "here"), found)
    assert motion(moved)[0] == pytest.approx(6) and motion(moved)[1] == pytest.approx(29**0.5)


def test_scans_that_lie_apart_are_brought_together_first() -> None:
    fixed = scan(centred(UPRIGHT, (44, 50, 20)), (44, 50, 20), np.eye(4))
    moving = Volume(fixed.voxels, rigid(0, (300, 0, 0)) @ fixed.affine)
    assert np.abs(register(fixed, moving, "here") - rigid(0, (300, 0, 0)))[:3, 3].max() < 0.5


def test_scans_without_anything_in_common_are_refused_in_words() -> None:
    fixed = Volume(np.zeros((8, 8, 8), np.float32), np.eye(4))
    with pytest.raises(UserError, match="here: cannot be registered"):
        register(fixed, fixed, "here")


def test_n4_flattens_a_smooth_bias() -> None:
    truth = scan(centred(UPRIGHT, (44, 50, 20)), (44, 50, 20), np.eye(4)).voxels
    tissue = 200 * (truth > 0) + np.random.default_rng(0).normal(0, 2, truth.shape) * (truth > 0)
    x = np.linspace(-1, 1, 44)[:, None, None]
    biased = (tissue * np.exp(0.35 * x)).astype(np.float32)
    fixed = n4(Volume(biased, UPRIGHT), truth > 0)
    spread = [v[truth > 0].std() / v[truth > 0].mean() for v in (biased, fixed)]
    assert spread[0] > 0.1 and spread[1] < 0.4 * spread[0]
    assert fixed[truth > 0].mean() == pytest.approx(biased[truth > 0].mean(), rel=0.1)


def test_resampling_copies_where_voxels_coincide_and_interpolates_between() -> None:
    voxels = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    shifted = np.eye(4)
    shifted[:3, 3] = [1, -2, 0]
    out = resample(voxels, shifted, (5, 6, 7), "linear", 9)
    np.testing.assert_array_equal(out[:-1, 2:], voxels[1:, :-2])
    assert (out[-1] == 9).all() and (out[:, :2] == 9).all()
    halved = np.diag([0.5, 1, 1, 1.0])
    np.testing.assert_allclose(resample(voxels, halved, (9, 6, 7))[1], (voxels[0] + voxels[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_askew_grids_agree_with_the_values_of_a_plane(mode: str) -> None:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in (12, 13, 14)], indexing="ij"), axis=-1).astype(float)
    plane = (index @ [1.0, 2.0, -1.0]).astype(np.float32)
    to_voxels = rigid(20, (1.45, 0.55, 2.1))
    out = resample(plane, to_voxels, (9, 8, 7), mode, -99)
    at = np.moveaxis(index[:9, :8, :7], -1, 0).reshape(3, -1)
    at = to_voxels[:3, :3] @ at + to_voxels[:3, 3:]
    inside = overlap(to_voxels, (9, 8, 7), plane.shape)
    within = np.all((at > 0) & (at < np.array([[11], [12], [13]])), axis=0)
    expected = [1.0, 2.0, -1.0] @ (at if mode == "linear" else np.rint(at))
    np.testing.assert_allclose(out.ravel()[within], expected[within], atol=1e-3)
    assert (out[~inside] == -99).all() and inside.any() and not inside.all()


def test_overlap_is_the_share_inside_the_other_grid() -> None:
    moved = np.eye(4)
    moved[0, 3] = 3
    seen = overlap(moved, (10, 4, 4), (10, 4, 4))
    assert seen.mean() == pytest.approx(0.7) and seen[:7].all()
