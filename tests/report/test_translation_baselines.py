"""Baselines of a translation on fields whose translation is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from medudl.report import translation_baselines
from medudl.report.translation_baselines import Baseline, Fitting, context

Array = NDArray[np.float32]
SHAPE = (4, 24, 24)
INSIDE = np.ones(SHAPE, bool)
INSIDE[:, :3] = False


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation_baselines, "TREES", 40)


def _scan(seed: int) -> Array:
    return np.random.default_rng(seed).uniform(0, 1, (1, *SHAPE)).astype(np.float32)


def _true(source: Array) -> Array:
    """Neither rising nor falling."""
    return (source - 0.5) ** 2


def _fitted(scans: int = 3) -> dict[str, Baseline]:
    fitting = Fitting(scans)
    for seed in range(scans):
        fitting.add_pair(_scan(seed), _true(_scan(seed)), INSIDE)
    return {one.name: one for one in fitting.done()}


def _error(one: Baseline, source: Array, target: Array) -> float:
    return float(np.abs(one.make(source, INSIDE) - target)[:, INSIDE].mean())


def test_regression_by_voxel_learns_any_map_of_intensities() -> None:
    found, source = _fitted(), _scan(9)
    assert list(found) == ["histogram matching", "regression by voxel", "regression by neighbours"]
    assert _error(found["regression by voxel"], source, _true(source)) < 0.002
    # It rises where the truth falls.
    assert _error(found["histogram matching"], source, _true(source)) > 0.05


def test_histogram_matching_gives_a_scan_the_distribution_of_the_other_side() -> None:
    """Any rising map of the scan gives the same picture; what lies outside the foreground decides nothing."""
    fitting = Fitting(2)
    for seed in range(2):
        fitting.add_target(3 * _scan(seed) + 1, INSIDE)
    (one,) = fitting.done()
    source = _scan(9)
    made = one.make(source, INSIDE)
    assert made.shape == source.shape and made.dtype == np.float32
    np.testing.assert_allclose(np.quantile(made[:, INSIDE], [0, 0.5, 1]), [1, 2.5, 4], atol=0.1)
    np.testing.assert_allclose(one.make(10 * source - 3, INSIDE), made, atol=1e-4)
    np.testing.assert_allclose(one.make(source**3, INSIDE)[:, INSIDE], made[:, INSIDE], atol=0.01)
    other = source.copy()
    other[:, ~INSIDE] = 7
    np.testing.assert_array_equal(one.make(other, INSIDE)[:, INSIDE], made[:, INSIDE])


def test_histogram_matching_of_a_scan_with_many_equal_voxels() -> None:
    fitting = Fitting(1)
    fitting.add_target(_scan(0), INSIDE)
    source = np.where(_scan(1) < 0.5, 0, _scan(1)).astype(np.float32)
    made = fitting.done()[0].make(source, INSIDE)
    assert np.isfinite(made).all()
    # The half that is equal gets the middle of its ranks.
    assert made[0][INSIDE & (source[0] == 0)].mean() == pytest.approx(0.25, abs=0.05)


def test_regression_by_neighbours_sees_what_lies_around() -> None:
    fitting, scans = Fitting(3), [_scan(seed) for seed in range(4)]
    means = [context(scan)[1:2] for scan in scans]  # 3 x 3 within the slice
    for scan, mean in zip(scans[:3], means[:3], strict=True):
        fitting.add_pair(scan, mean, INSIDE)
    found = {one.name: _error(one, scans[3], means[3]) for one in fitting.done()}
    assert found["regression by neighbours"] < 0.5 * found["regression by voxel"]
    by_hand = scans[0][0, 1, 4:7, 7:10].mean()
    assert context(scans[0])[1, 1, 5, 8] == pytest.approx(by_hand, abs=1e-5)


def test_two_targets_and_the_same_seed() -> None:
    fitting = Fitting(2)
    for seed in range(2):
        source = _scan(seed)
        fitting.add_pair(np.concatenate([source, 1 - source]), np.concatenate([_true(source), 2 * source]), INSIDE)
    source = np.concatenate([_scan(9), 1 - _scan(9)])
    for one in fitting.done():
        made = one.make(source, INSIDE)
        assert made.shape == (2, *SHAPE) and not np.allclose(made[0], made[1])
    for name, one in _fitted().items():
        np.testing.assert_array_equal(one.make(_scan(9), INSIDE), _fitted()[name].make(_scan(9), INSIDE))


def test_only_the_foreground_is_learnt_from() -> None:
    fitting = Fitting(1)
    target = _true(_scan(0))
    target[:, ~INSIDE] = 99
    fitting.add_pair(_scan(0), target, INSIDE)
    for one in fitting.done():
        assert one.make(_scan(5), INSIDE)[:, INSIDE].max() < 1
    assert fitting.source_spread[0] == pytest.approx(1 / np.sqrt(12), abs=0.02)
