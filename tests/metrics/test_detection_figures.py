"""Lesion-wise figures by hand, and against a naive count."""

import numpy as np
import pytest

from medudl.metrics.detection import areas, components, lesions, rim_share


def blob(shape, *boxes):
    mask = np.zeros(shape, bool)
    for z, y, x, size in boxes:
        mask[z : z + size, y : y + size, x : x + size] = True
    return mask


def test_perfect_map_meets_every_lesion():
    truth = blob((6, 20, 20), (0, 0, 0, 2), (3, 10, 10, 3))
    found = lesions(areas(truth, 1)[0], truth)
    assert sorted(found.sizes) == [8, 27] and found.met.all() and found.false == 0


def test_partial_overlap_and_false_areas():
    truth = blob((6, 20, 20), (0, 0, 0, 3), (3, 10, 10, 3))
    called = blob((6, 20, 20), (0, 0, 0, 1), (5, 12, 12, 1), (3, 10, 10, 2), (0, 17, 17, 2))
    found = lesions(areas(called, 1)[0], truth)
    # 1 of 27 voxels is less than a tenth; 9 of 27 is enough; the area at (17, 17) meets nothing.
    assert found.met.tolist() == [False, True] and found.false == 1


def test_small_areas_are_dropped_and_the_rest_renumbered():
    called = blob((4, 20, 20), (0, 0, 0, 1), (0, 5, 5, 2), (0, 12, 12, 3))
    labels, number = areas(called, 8)
    assert number == 2 and labels.max() == 2 and (labels > 0).sum() == 8 + 27
    assert areas(np.zeros((3, 3, 3), bool), 1)[1] == 0


def test_corners_touch():
    mask = np.zeros((2, 2, 2), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert components(mask)[1] == 1


def test_rim_share():
    foreground = np.ones((1, 10, 10), bool)
    inner = np.zeros_like(foreground)
    inner[:, 2:8, 2:8] = True
    even = np.ones((1, 10, 10), np.float32)
    assert rim_share(even, foreground, inner) == (pytest.approx(0.64), pytest.approx(0.64))
    outline = np.where(inner, 0, 1).astype(np.float32)
    assert rim_share(outline, foreground, inner)[0] == 1
    assert np.isnan(rim_share(np.zeros_like(even), foreground, inner)[0])
