"""Findings: closed-form volumes, places on straight and oblique grids, and the rule of small areas."""

import numpy as np
import pytest

from apps.viewer.findings import SHOWN, find, mask, reach, smallest_area, words

RAS = np.diag([2.0, 3.0, 5.0, 1.0])


def looked_at(shape=(30, 30, 30)) -> np.ndarray:
    """A map that is low but not zero everywhere."""
    return np.full(shape, 0.01, np.float32)


def test_two_boxes_have_their_volume_peak_and_mean():
    heat = looked_at()
    heat[2:5, 3:7, 4:6] = 0.5  # 24 voxels of 30 mm3
    heat[3, 4, 5] = 0.9
    heat[20:22, 20:22, 20:22] = 1.0  # 8 voxels
    found = find(heat, RAS, 0.2, 5)
    high, large = found.findings
    assert found.total == 2 and found.rest == 0 and [high.number, large.number] == [1, 2]
    assert high.peak == 1 and high.voxels == 8 and high.volume_ml == pytest.approx(0.24)
    assert large.peak == pytest.approx(0.9) and large.volume_ml == pytest.approx(0.72)
    assert large.mean == pytest.approx((23 * 0.5 + 0.9) / 24)
    assert large.voxel == (3, 4, 5) and large.mm == (6, 12, 25)


def test_small_areas_do_not_count_and_corners_touch():
    heat = looked_at((9, 9, 9))
    heat[1, 1, 1] = heat[2, 2, 2] = heat[6, 6, 6] = 1
    assert find(heat, RAS, 0.5, 2).total == 1 and find(heat, RAS, 0.5, 1).total == 2
    assert find(heat, RAS, 0.5, 3).findings == ()
    assert mask(heat, 0.5, 2).sum() == 2 and mask(heat, 0.5, 1)[6, 6, 6]
    assert find(heat, RAS, 1.0, 1).total == 0, "above means above"


def test_the_mask_is_what_the_list_counts_beyond_the_listed_too():
    heat = looked_at((60, 9, 9))
    heat[::2, 4, ::4] = np.linspace(0.5, 1, 90, dtype=np.float32).reshape(30, 3)
    found = find(heat, RAS, 0.2, 1)
    assert found.total == 90 and len(found.findings) == SHOWN and found.rest == 40
    assert mask(heat, 0.2, 1).sum() == 90
    peaks = [finding.peak for finding in found.findings]
    assert peaks == sorted(peaks, reverse=True) and peaks[0] == 1


@pytest.mark.parametrize("degrees", [0, 10, 30, 45])
def test_on_an_oblique_grid_place_and_volume_stay(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.5, -1.5, 4])  # LPS, turned
    affine[:3, 3] = [11, -7, 30]
    heat = looked_at()
    heat[4:6, 5:8, 24:26] = 0.7
    heat[5, 6, 25] = 0.8
    (one,) = find(heat, affine, 0.2, 1).findings
    assert one.volume_ml == pytest.approx(12 * 9 / 1000)
    assert one.mm == pytest.approx((affine @ [5, 6, 25, 1])[:3], abs=0.006)
    assert one.place.endswith("upper third")
    if degrees <= 10:  # low voxel indices lie to the patient's right and front
        assert one.place == "right, anterior, upper third"


def test_words_name_the_patients_side():
    extent = np.array([-60.0, -80, -40]), np.array([60.0, 80, 40])
    assert words(np.array([50.0, 70, 30]), extent) == "right, anterior, upper third"
    assert words(np.array([-50.0, -70, -30]), extent) == "left, posterior, lower third"
    assert words(np.array([2.0, 0, 0]), extent) == "midline, central, middle third"
    assert words(np.array([9.0, 0, 0]), extent).startswith("right")


def test_thirds_are_of_what_the_model_looked_at():
    heat = np.zeros((40, 40, 40), np.float32)
    heat[10:30, 10:30, 10:20] = 0.01
    low, high = reach(heat, np.eye(4))
    assert low.tolist() == [10, 10, 10] and high.tolist() == [29, 29, 19]
    heat[25, 25, 18] = 1
    assert find(heat, np.eye(4), 0.5, 1).findings[0].place == "right, anterior, upper third"
    assert find(heat, np.eye(4), 0.5, 1, placed=False).findings[0].place == ""


def test_an_empty_map_has_no_findings():
    nothing = np.zeros((5, 5, 5), np.float32)
    assert find(nothing, RAS, 0.0, 1).total == 0 and not mask(nothing, 0.0, 1).any()
    assert np.isfinite(reach(nothing, RAS)).all()


def test_the_rule_of_small_areas_keeps_its_volume_on_another_grid():
    assert smallest_area(5, None, RAS) == 5
    assert smallest_area(5, [None, 2.0, 2.0], RAS) == 5
    assert smallest_area(5, [5.0, 3.0, 2.0], RAS) == 5
    assert smallest_area(5, [5.0, 3.0, 2.0], np.diag([1.0, 1, 1, 1])) == 150
    assert smallest_area(5, [1.0, 1.0, 1.0], RAS) == 1
