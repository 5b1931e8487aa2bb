"""Erosion, filter, score and areas by hand."""

import numpy as np
import pytest
from scipy import ndimage

from medudl.config import Detect
from medudl.tasks.postprocess import filtered, inner, scan_score, unusual


@pytest.fixture
def disc():
    y, x = np.mgrid[:40, :40]
    return np.repeat((((y - 20) ** 2 + (x - 20) ** 2) < 150)[None], 4, axis=0)


def test_erosion_in_the_slice_or_in_space(disc):
    flat = inner(disc, Detect(erode=2), 2)
    assert flat.any(axis=(1, 2)).all() and flat.sum() < disc.sum()
    assert not inner(disc, Detect(erode=2), 3).any()  # four slices are gone after two steps from both ends
    assert inner(disc, Detect(erode=0), 2) is disc
    assert not inner(np.ones((1, 5, 5), bool), Detect(erode=1), 2)[:, 0].any()  # the border is rim


def test_filter_equals_the_filter_of_the_whole_image(disc):
    raw = np.random.default_rng(0).random((4, 40, 40)).astype(np.float32)
    inside = inner(disc, Detect(erode=1), 2)
    inside[:, 18:20, 20] = False  # a hole, which the filter would fill from around it
    for dims, size in ((2, (1, 5, 5)), (3, 5)):
        whole = ndimage.median_filter(np.where(inside, raw, 0), size=size, mode="constant") * inside
        assert np.array_equal(filtered(raw, inside, Detect(median=5), dims), whole)


def test_filter_removes_a_speck_and_can_be_switched_off(disc):
    raw = np.zeros((4, 40, 40), np.float32)
    raw[1, 20, 20] = 1
    raw[1, 0, 0] = 5  # outside the foreground
    assert filtered(raw, disc, Detect(median=5), 2).max() == 0
    kept = filtered(raw, disc, Detect(median=0), 2)
    assert kept[1, 20, 20] == 1 and kept[1, 0, 0] == 0


def test_scores():
    smooth = np.arange(200, dtype=np.float32).reshape(2, 10, 10)
    inside = np.ones((2, 10, 10), bool)
    assert scan_score(smooth, inside, Detect(score="max")) == 199
    assert scan_score(smooth, inside, Detect(score="mean")) == pytest.approx(99.5)
    assert scan_score(smooth, inside, Detect(score="top", top_percent=1)) == pytest.approx(198.5)
    assert scan_score(smooth, inside & (smooth < 100), Detect(score="max")) == 99
    assert np.isnan(scan_score(smooth, ~inside, Detect()))


def test_unusual_areas_are_above_the_threshold_and_large_enough():
    smooth = np.zeros((2, 10, 10), np.float32)
    smooth[0, 1:3, 1:3] = smooth[1, 1:3, 1:3] = 0.5  # 8 voxels through two slices
    smooth[0, 8, 8] = 0.9
    labels, number = unusual(smooth, 0.4, Detect(min_voxels=5))
    assert number == 1 and (labels > 0).sum() == 8
    assert unusual(smooth, 0.5, Detect(min_voxels=1))[1] == 1  # equal is not above
