from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Orientation, ResizeWithPadOrCrop, Spacing
from synthetic_cohort import OBLIQUE, UPRIGHT, cohort_of, head, orthogonal, row, write

from medudl.config import Data
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.data.geometry import spacing
from medudl.data.pipeline import Pipeline, Prepared, item_shape
from medudl.errors import UserError

WINDOW = {"kind": "window", "low": 0, "high": 400}
PLANES = ("axial", "coronal", "sagittal")
AFFINES = {"upright": UPRIGHT, "oblique": orthogonal(OBLIQUE), "sagittal": np.array(
    [[0, 0, 3.0, -20], [-1.5, 0, 0, 30], [0, -1.5, 0, 10], [0, 0, 0, 1]])}  # fmt: skip


def one(root: Path, affine: np.ndarray, voxels: np.ndarray | None = None) -> tuple[Cohort, Case]:
    cohort = cohort_of(root, {("a", "T1"): head() if voxels is None else voxels}, affine)
    return cohort, cases_of(cohort, Data())[0][0]


def prepared(root: Path, affine: np.ndarray, voxels: np.ndarray | None = None, **settings) -> tuple[Pipeline, Prepared]:
    cohort, case = one(root, affine, voxels)
    pipeline = Pipeline(Data(**{"intensity": WINDOW, "foreground": "none", **settings}))
    return pipeline, pipeline.prepare(cohort, case)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_without_resampling_every_voxel_comes_back_exactly(tmp_path: Path, plane: str, affine: np.ndarray) -> None:
    voxels = head()
    pipeline, made = prepared(tmp_path, affine, plane=plane)
    index = np.arange(voxels.size, dtype=np.float32).reshape(voxels.shape)
    _, numbered = prepared(tmp_path, affine, index, plane=plane, intensity={"kind": "window", "low": 0, "high": 1})
    np.testing.assert_array_equal(pipeline.invert(made, numbered.image)[0], index)
    np.testing.assert_allclose(pipeline.invert(made, pipeline.to_intensity(made, made.image))[0], voxels, atol=1e-3)
    np.testing.assert_allclose(pipeline.source_affine(made), affine, atol=1e-5)
    assert pipeline.source_shape(made) == voxels.shape


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize(
    "steps", [{"size": [30, 14]}, {"crop_foreground": True, "foreground": "body"}, {"spacing": [None, 1.3, 1.7]},
              {"view": "volume", "size": [9, 30, 16]}, {"view": "patches", "size": [26, 8, 8]},
              {"spacing": [2.5, 1.3, 1.7], "crop_foreground": True, "foreground": "body", "size": [28, 26]}],
    ids=lambda s: "+".join(s),
)  # fmt: skip
def test_positions_come_back_within_half_a_voxel(tmp_path: Path, plane: str, affine: np.ndarray, steps: dict) -> None:
    """Coordinates as intensities: what comes back at a voxel is where the pipeline believes that voxel to be."""
    pipeline, _ = prepared(tmp_path, affine, plane=plane, **steps)
    cohort, case = one(tmp_path, affine)
    made = pipeline.prepare(cohort, case)
    at = np.stack(np.meshgrid(*[np.arange(n) for n in made.image.shape[1:]], indexing="ij")).astype(np.float32)
    back = pipeline.invert(made, at, fill=np.nan)
    reached = np.isfinite(back[0])
    assert reached.any()
    world = np.asarray(made.geometry["affine"]) @ np.stack([*(b[reached] for b in back), np.ones(reached.sum())])
    own = np.linalg.solve(affine, world)[:3] - np.argwhere(reached).T
    assert (
        np.abs(own).max() <= 0.5 * np.max([1, *(made_step / step for made_step, step in _steps(made, affine))]) + 1e-3
    )
    # Within the outermost centres of the prepared grid, beyond which its edge is repeated, positions are exact.
    between = np.all([(b > 0) & (b < n - 1) for b, n in zip(back, made.image.shape[1:], strict=True)], axis=0)
    assert np.abs(own[:, between[reached]]).max() < 1e-4


def _steps(made: Prepared, affine: np.ndarray) -> list[tuple[float, float]]:
    return [(max(spacing(np.asarray(made.geometry["affine"]))), min(spacing(affine)))]


def test_agrees_with_the_inverse_of_monai(tmp_path: Path) -> None:
    affine = AFFINES["oblique"]
    pipeline, made = prepared(tmp_path, affine, spacing=[3.0, 1.3, 1.7], size=[48, 44])
    steps = Compose([
        Orientation("SPL", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
        Spacing([3.0, 1.3, 1.7], mode="bilinear", padding_mode="border"), ResizeWithPadOrCrop([-1, 48, 44]),
    ])  # fmt: skip
    tensor = steps(MetaTensor(torch.from_numpy(head())[None], affine=torch.as_tensor(pipeline.source_affine(made))))
    np.testing.assert_allclose(made.image * 400, tensor.numpy(), atol=1e-2)
    ours, theirs = pipeline.invert(made, tensor.numpy())[0], steps.inverse(tensor).numpy()[0]
    inner = tuple(slice(2, -2) for _ in range(3))
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-2)


@pytest.mark.parametrize("plane", PLANES)
def test_slices_are_shown_upright(tmp_path: Path, plane: str) -> None:
    """A bright mark at the patient's left, front, top: D, H and W have to grow to where the plane says."""
    voxels = np.zeros((6, 7, 8), dtype=np.float32)
    voxels[4, 5, 6] = 400  # RAS: right, anterior, superior of the middle
    _, made = prepared(tmp_path, np.diag([1.0, 1, 1, 1]), voxels, plane=plane)
    expected = {"axial": (6, 7 - 1 - 5, 6 - 1 - 4), "coronal": (7 - 1 - 5, 8 - 1 - 6, 6 - 1 - 4),
                "sagittal": (6 - 1 - 4, 8 - 1 - 6, 7 - 1 - 5)}[plane]  # fmt: skip
    assert np.argwhere(made.image[0] > 0.5).tolist() == [list(expected)]


def test_nearest_keeps_labels_and_fill_marks_what_was_not_reached(tmp_path: Path) -> None:
    pipeline, made = prepared(tmp_path, UPRIGHT, spacing=[None, 1.3, 1.3], size=[12, 12])
    labels = np.random.default_rng(0).integers(1, 4, made.image.shape).astype(np.uint8)
    back = pipeline.invert(made, labels, mode="nearest", fill=9)
    assert back.dtype == np.uint8 and set(np.unique(back)) == {1, 2, 3, 9}


@pytest.mark.parametrize(
    "shape", [{"size": [40, 40]}, {"view": "patches", "size": [4, 40, 40]}], ids=["slices", "patches"]
)
def test_padding_is_the_scan_s_own_air_and_absent_voxels_are_no_foreground(tmp_path: Path, shape: dict) -> None:
    voxels = head() - 1000
    window = {"kind": "window", "low": -900, "high": 0}
    _, made = prepared(tmp_path, UPRIGHT, voxels, intensity=window, foreground="body", **shape)
    assert made.image[0, :, 0, 0] == pytest.approx((voxels.min() + 900) / 900, abs=1e-6)
    assert not made.foreground[0, :, :2].any() and made.foreground.any()


def test_cut_foreground_is_told_and_a_case_without_any_is_refused(tmp_path: Path) -> None:
    _, made = prepared(tmp_path, UPRIGHT, foreground="body", size=[10, 10])
    assert 0.3 < made.geometry["foreground_cut"] < 0.9
    _, whole = prepared(tmp_path, UPRIGHT, foreground="body")
    assert whole.geometry["foreground_cut"] == 0
    lump = np.zeros((80, 80, 3), dtype=np.float32)
    lump[:9, :9] = 400
    with pytest.raises(UserError, match="data.size cuts off all of its foreground"):
        prepared(tmp_path, UPRIGHT, lump, foreground="body", size=[10, 10])


def test_nan_and_a_scan_without_foreground_are_refused_in_words(tmp_path: Path) -> None:
    broken = head()
    broken[3, 3, 3] = np.nan
    with pytest.raises(UserError):
        prepared(tmp_path, UPRIGHT, broken)
    with pytest.raises(UserError, match="no foreground was found"):
        prepared(tmp_path, UPRIGHT, np.zeros((20, 20, 5), np.float32), foreground="body")


def test_a_film_asked_for_in_another_plane_is_refused(tmp_path: Path) -> None:
    film = head()[:, :, 5:6]
    _, made = prepared(tmp_path, np.diag([-1.0, -1, 1, 1]), film)
    np.testing.assert_allclose(made.image[0, 0] * 400, film[:, :, 0].T, atol=1e-3)
    with pytest.raises(UserError, match="set data.plane"):
        prepared(tmp_path, np.diag([-1.0, -1, 1, 1]), film, plane="coronal")


def two_channels(root: Path, moved: np.ndarray, **settings) -> tuple[Cohort, list[Case], Pipeline]:
    cohort = cohort_of(root, {("a", "T1"): head()})
    flair = write(root / "a" / "FLAIR.nii", head(seed=1, scale=50), moved)
    cohort = Cohort.of(root, [*cohort.series(), row(root, flair, head(), moved, contrast="FLAIR")])
    data = Data(**{"channels": ["FLAIR", "T1"], "grid": "T1", "intensity": WINDOW, "foreground": "body", **settings})
    return cohort, cases_of(cohort, data)[0], Pipeline(data)


def test_other_channels_are_put_on_the_grid_by_their_affines(tmp_path: Path) -> None:
    moved = UPRIGHT.copy()
    moved[:3, 3] = UPRIGHT[:3, :3] @ [2, 1, 1]  # FLAIR begins two, one and one voxels later
    cohort, (case,), pipeline = two_channels(tmp_path, moved)
    back = pipeline.invert(made := pipeline.prepare(cohort, case), pipeline.to_intensity(made, made.image))
    np.testing.assert_allclose(back[0][2:, 1:, 1:], head(seed=1, scale=50)[:-2, :-1, :-1], atol=1e-3)
    np.testing.assert_allclose(back[1], head(), atol=1e-3)
    assert made.geometry["channels"] == ["FLAIR", "T1"]


def test_channels_that_do_not_overlap_are_refused_in_words(tmp_path: Path) -> None:
    moved = UPRIGHT.copy()
    moved[:3, 3] = 500
    cohort, (case,), pipeline = two_channels(tmp_path, moved)
    with pytest.raises(UserError, match=r"sub-a_ses-1, channel FLAIR: covers only 0% of the grid series' foreground"):
        pipeline.prepare(cohort, case)


def test_a_missing_channel_is_zero_and_indicated(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, {("a", "T1"): head()})
    data = Data(channels=["FLAIR", "T1"], missing="zero", intensity=WINDOW)
    pipeline = Pipeline(data)
    (case,), _ = cases_of(cohort, data)
    made = pipeline.prepare(cohort, case)
    assert made.image.shape[0] == 4 and item_shape(made, data)[0] == 4
    assert [made.image[c].min() for c in (0, 2, 3)] == [0, 0, 1] and [made.image[c].max() for c in (0, 2, 3)] == [
        0,
        0,
        1,
    ]
    assert made.geometry["channels"] == ["FLAIR", "T1", "has FLAIR", "has T1"]
    np.testing.assert_allclose(pipeline.invert(made, pipeline.to_intensity(made, made.image))[1], head(), atol=1e-3)


def test_masks_known_empty_and_unknown(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, {("a", "T1"): head(), ("b", "T1"): head(), ("c", "T1"): head()},
                       facts={"b": {"label": "normal"}, "c": {"mask": "lesion.nii"}})  # fmt: skip
    lesion = np.zeros(head().shape, dtype=np.uint8)
    lesion[8:11, 9:12, 4] = 2
    write(tmp_path / "lesion.nii", lesion)
    data = Data(healthy_labels=["normal"], size=[40, 40])
    pipeline = Pipeline(data)
    unknown, healthy, sick = (pipeline.prepare(cohort, case) for case in cases_of(cohort, data)[0])
    assert unknown.mask is None
    assert healthy.mask is not None and not healthy.mask.any()
    assert sick.mask is not None and sick.mask.sum() == 9
    np.testing.assert_array_equal(pipeline.invert(sick, sick.mask, mode="nearest")[0], lesion > 0)


def test_what_lies_outside_the_foreground_can_be_zeroed(tmp_path: Path) -> None:
    _, kept = prepared(tmp_path / "kept", np.eye(4), foreground="body")
    _, zeroed = prepared(tmp_path / "zeroed", np.eye(4), foreground="body", outside="zero")
    outside = np.broadcast_to(~zeroed.foreground, zeroed.image.shape)
    assert kept.image[outside].any() and not zeroed.image[outside].any()
    np.testing.assert_array_equal(zeroed.image[~outside], kept.image[~outside])


def test_foreground_from_a_file(tmp_path: Path) -> None:
    cohort, case = one(tmp_path, UPRIGHT)
    brain = np.zeros(head().shape, dtype=np.uint8)
    brain[5:9] = 1
    data = Data(foreground="file", foreground_file="{subject}/{contrast}_brain.nii")
    with pytest.raises(UserError, match="its foreground is absent"):
        Pipeline(data).prepare(cohort, case)
    write(tmp_path / "a" / "T1_brain.nii", brain)
    pipeline = Pipeline(data)
    made = pipeline.prepare(cohort, case)
    np.testing.assert_array_equal(pipeline.invert(made, made.foreground, mode="nearest")[0], brain > 0)
    with pytest.raises(UserError, match="not safe as a file name"):
        Pipeline(data).prepare(cohort, replace(case, subject="../../a"))
    with pytest.raises(UserError, match="may hold"):
        Pipeline(Data(foreground="file", foreground_file="{nobody}.nii")).prepare(cohort, case)


def test_histogram_landmarks_are_learnt_from_the_cases_given_and_travel_as_json(tmp_path: Path) -> None:
    scans = {(name, "T1"): head(seed=n) ** (1 + n / 5) for n, name in enumerate("abc")}
    cohort = cohort_of(tmp_path, scans)
    data = Data(intensity={"kind": "histogram", "low": 1, "high": 99}, cache_workers=2)
    cases, _ = cases_of(cohort, data)
    pipeline = Pipeline(data)
    with pytest.raises(UserError, match="no landmarks were learnt"):
        pipeline.prepare(cohort, cases[0])
    pipeline.fit(cohort, cases[:2])
    (tmp_path / "broken.nii").write_bytes(b"no scan")
    broken = replace(cases[0], channels=(replace(cases[0].grid, path="broken.nii"),))
    broken = replace(broken, grid=broken.channels[0])
    learnt = pipeline.state()
    pipeline.fit(cohort, [*cases[:2], broken])
    assert pipeline.state() == learnt  # passed over here, named where it is prepared
    with pytest.raises(UserError, match="broken.nii"):
        pipeline.fit(cohort, [broken])
    again = Pipeline(data, pipeline.state())
    assert again.key == pipeline.key != Pipeline(data).key
    made = [again.prepare(cohort, case) for case in cases]
    medians = [np.median(p.image[p.foreground]) for p in made]
    assert np.ptp(medians) < 0.02  # the third was not learnt from, and comes to the same scale
    np.testing.assert_allclose(again.invert(made[2], again.to_intensity(made[2], made[2].image))[0],
                               scans["c", "T1"], rtol=1e-3, atol=1)  # fmt: skip


def test_the_key_follows_what_prepare_depends_on_and_nothing_else() -> None:
    key = Pipeline(Data()).key
    for other in ({"size": [8, 8]}, {"spacing": [1, 1, 1]}, {"plane": "coronal"}, {"foreground": "none"}, {"n4": True},
                  {"intensity": {"kind": "zscore"}}, {"crop_foreground": True}, {"channels": ["T1"]}):  # fmt: skip
        assert Pipeline(Data(**other)).key != key
    for same in ({"augment": {"flip": True}}, {"min_foreground": 0.5}, {"cache_workers": 1}, {"lesion_margin": 4}):
        assert Pipeline(Data(**same)).key == key


@pytest.mark.parametrize(
    "settings", [{}, {"plane": "sagittal"}, {"size": [9, 40]}, {"spacing": [None, 1.1, 1.3]},
                 {"view": "patches", "size": [12, 8, 8]}, {"view": "volume", "size": [12, 8, 8]}],
)  # fmt: skip
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_the_estimate_is_what_the_arrays_take(tmp_path: Path, settings: dict, affine: np.ndarray) -> None:
    cohort, case = one(tmp_path, affine)
    pipeline = Pipeline(Data(foreground="none", **settings))
    made = pipeline.prepare(cohort, case)
    assert pipeline.estimate(case) == pytest.approx(made.image.nbytes + made.foreground.nbytes, rel=0.1)


def test_item_shapes(tmp_path: Path) -> None:
    _, made = prepared(tmp_path, UPRIGHT)
    assert item_shape(made, Data()) == (1, 24, 20)
    assert item_shape(made, Data(view="slices_25d", neighbours=2)) == (5, 24, 20)
    assert item_shape(made, Data(view="volume")) == (1, 10, 24, 20)
    assert item_shape(made, Data(view="patches", size=[4, 5, 6])) == (1, 4, 5, 6)
