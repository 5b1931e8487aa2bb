"""The calibration curve: the same areas as the slow way, and rates that say how sure they are."""

import numpy as np
import pytest
from scipy import ndimage
from tiny_run import make_cohort, make_run

from medudl.metrics.detection import areas
from medudl.metrics.voxels import Tally, count
from medudl.tasks.calibrate import calibrate
from medudl.tasks.curve import area_counts, areas_per_scan, curve, origin, thresholds


def field(seed: int, shape=(9, 30, 31)) -> np.ndarray:
    """A smooth random map with negative values and flat zeros, as a map outside the foreground has."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.2).astype(np.float32)
    noise[:, :4] = 0
    return noise


@pytest.mark.parametrize("smallest", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_areas_at_all_levels_are_those_of_labelling_each(seed, smallest):
    smooth = field(seed)
    levels = [float(x) for x in np.percentile(smooth, [60, 90, 95, 99, 99.9, 100])]
    slow = [areas(smooth > np.float32(level), smallest)[1] for level in levels]
    assert area_counts(smooth, levels, smallest) == slow
    assert slow[0] > 0 and slow[-1] == 0


def test_areas_at_the_edge_of_the_volume_and_at_corners():
    smooth = np.zeros((2, 3, 3), np.float32)
    smooth[0, 0, 0] = smooth[1, 1, 1] = 1  # corners touch
    smooth[0, 0, 2] = 2  # touches [1, 1, 1] at a corner
    assert area_counts(smooth, [0.5, 1.5], 1) == [1, 1]
    smooth[1, 1, 1] = 0
    assert area_counts(smooth, [0.5, 1.5, 2.5], 1) == [2, 1, 0]


def test_levels_rise_and_hold_the_runs_own():
    healthy = np.random.default_rng(0).exponential(size=200_000).astype(np.float32)
    levels = thresholds(Tally([count(healthy)], [0], 1), 99.42)
    values = [value for _, value in levels]
    assert values == sorted(set(values)) and 12 <= len(levels) <= 20
    assert 99.42 in [percent for percent, _ in levels]
    for percent, value in levels:
        assert (healthy > value).mean() <= (100 - percent) / 100 + 1e-12
    assert levels[-1][0] == 100 and not (healthy > values[-1]).any()


def test_percentiles_that_coincide_are_told_once_by_the_runs_own():
    few = np.array([1, 2, 3], np.float32)
    levels = thresholds(Tally([count(few)], [0], 1), 99.5)
    assert levels == [(99.5, pytest.approx(3, rel=0.01))]


def test_rates_fall_and_end_in_a_bound():
    maps = [field(seed) for seed in range(6)]
    levels = [(95.0, 0.3), (99.0, 0.6), (100.0, 9.0)]
    rows, counts = curve(iter(maps), [f"p{n}" for n in range(6)], levels, 2)
    assert counts.shape == (6, 3)
    assert [row["per_healthy_scan"] for row in rows] == pytest.approx(counts.mean(axis=0).tolist())
    assert rows[0]["low"] <= rows[0]["per_healthy_scan"] <= rows[0]["high"]
    assert rows[2]["per_healthy_scan"] == 0 and rows[2]["high"] == pytest.approx(3.689 / 6, abs=0.001)
    assert rows[2]["interval"] == "exact Poisson"


def test_each_patient_weighs_the_same():
    # Three scans of one patient with 6 areas, one scan of another with 2: the mean over patients, not over scans.
    assert areas_per_scan([6, 6, 6, 2], ["a", "a", "a", "b"])["per_healthy_scan"] == pytest.approx(4)


def test_a_few_areas_are_not_told_more_surely_than_none():
    one = areas_per_scan([1, *[0] * 11], [f"p{n}" for n in range(12)])
    assert one["low"] < 1 / 12 and one["high"] == pytest.approx(5.572 / 12, abs=0.001)  # Garwood's interval of 1
    none = areas_per_scan([0] * 12, [f"p{n}" for n in range(12)])
    assert none["high"] < one["high"]
    uneven = areas_per_scan([60, *[0] * 11], [f"p{n}" for n in range(12)])
    assert uneven["high"] > 10  # by patient: one patient has them all


def test_calibration_holds_the_curve_and_agrees_with_itself(tmp_path):
    made = calibrate(make_run(tmp_path / "run", make_cohort(tmp_path / "scans")))
    points = made["curve"]["points"]
    own = next(point for point in points if point["percentile"] == made["voxel"]["percentile"])
    assert own["threshold"] == made["voxel"]["threshold"]
    assert own["per_healthy_scan"] == made["areas"]["per_healthy_scan"] and own["high"] == made["areas"]["high"]
    assert own["per_healthy_scan"] == pytest.approx(np.mean([scan["areas"] for scan in made["scans"]]))
    assert "5 held-out healthy patients that also set the thresholds" in made["curve"]["text"]


def test_no_healthy_scan_no_curve(tmp_path):
    assert calibrate(make_run(tmp_path / "run", make_cohort(tmp_path / "scans", val=0)))["curve"] is None


def test_words_say_who_and_where_only_part_of_scans_counted():
    assert origin(1, False).startswith("Measured on the 1 held-out healthy patient that")
    assert "Lesion-free slices" in origin(3, True)
