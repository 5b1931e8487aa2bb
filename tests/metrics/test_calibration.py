"""Uncertainty of a regression: where the answer is known, and against sorting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from medudl.metrics.calibration import (
    WITHIN_ONE,
    WITHIN_TWO,
    auroc_of_large_errors,
    auroc_of_lesion,
    error_against_uncertainty,
    spearman,
)

EVERYWHERE = np.ones(20_000, bool)


def _honest(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian errors whose standard deviation is known and differs by voxel."""
    random = np.random.default_rng(seed)
    sigma = random.uniform(5, 50, len(EVERYWHERE))
    return sigma * random.standard_normal(len(sigma)), sigma


def test_an_honest_gaussian_covers_what_it_says() -> None:
    told = error_against_uncertainty(*_honest(), EVERYWHERE)
    print(f"inside 1 sd {told.within_one:.4f}, 2 sd {told.within_two:.4f}, n = {told.voxels} voxels, seed 0")
    three = 3 * math.sqrt(0.25 / told.voxels)
    assert told.within_one == pytest.approx(WITHIN_ONE, abs=three)
    assert told.within_two == pytest.approx(WITHIN_TWO, abs=three)
    assert pytest.approx(stats.norm.cdf([1, 2]) - stats.norm.cdf([-1, -2]), abs=5e-5) == [WITHIN_ONE, WITHIN_TWO]
    assert 0.3 < told.excess < 0.9 and 0.3 < told.spearman < 0.9
    error, sigma = _honest()
    halved = error_against_uncertainty(error, sigma / 2, EVERYWHERE)
    assert halved.within_two == told.within_one, "half the spread"
    assert (halved.excess, halved.spearman) == (told.excess, told.spearman), "the order is the same"


def test_an_oracle_a_constant_and_a_liar() -> None:
    error, _ = _honest()
    oracle = error_against_uncertainty(error, np.abs(error), EVERYWHERE)
    assert (oracle.excess, oracle.spearman) == (0, pytest.approx(1))
    constant = error_against_uncertainty(np.sort(error), np.full(len(error), 7.0), EVERYWHERE)
    assert constant.excess == pytest.approx(1) and math.isnan(constant.spearman)
    np.testing.assert_allclose(constant.error, np.abs(error).mean())
    liar = error_against_uncertainty(error, 1 / (1 + np.abs(error)), EVERYWHERE)
    assert liar.excess > 1.9 and liar.spearman == pytest.approx(-1)
    chance = error_against_uncertainty(error, np.random.default_rng(1).random(len(error)), EVERYWHERE)
    assert chance.excess == pytest.approx(1, abs=0.05)


def test_retention_in_closed_form() -> None:
    """Errors spread evenly over 0 to 1: the oracle keeps a mean error of r / 2 at share r."""
    error = (np.arange(1000) + 0.5) / 1000
    told = error_against_uncertainty(-error, error, np.ones(1000, bool), bins=10)
    np.testing.assert_allclose(told.kept, np.arange(1, 11) / 10)
    np.testing.assert_allclose(told.error, told.kept / 2)
    np.testing.assert_array_equal(told.error, told.oracle)
    assert told.area == told.oracle_area == pytest.approx(0.275)


def test_retention_by_sorting_by_hand() -> None:
    error, sigma = _honest(1)
    inside = np.random.default_rng(0).random(len(error)) < 0.5
    error[~inside], sigma[~inside] = np.nan, np.nan
    told = error_against_uncertainty(error, sigma, inside, bins=4)
    order = np.argsort(sigma[inside])
    sizes = np.abs(error[inside])[order]
    n = len(sizes)
    assert told.voxels == n
    for share, value in zip(told.kept, told.error, strict=True):
        assert value == pytest.approx(sizes[: round(share * n)].mean(), rel=1e-3)
    assert told.area == pytest.approx(told.error.mean())
    assert told.spearman == pytest.approx(stats.spearmanr(sizes, sigma[inside][order]).statistic)


def test_spearman_is_scipys_also_with_ties() -> None:
    random = np.random.default_rng(0)
    a = random.integers(0, 5, 200)
    b = a + random.integers(0, 4, 200)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_areas_under_the_roc_curve() -> None:
    error = np.array([-9.0, 1, 2, 8, 100])
    uncertainty = np.array([5.0, 1, 5, 6, np.nan])
    mask = np.array([True, True, True, True, False])
    # Large: -9 (5) and 8 (6); small: 1 (1) and 2 (5). Pairs won: 1, 1/2, 1, 1.
    assert auroc_of_large_errors(error, uncertainty, mask, above=5) == pytest.approx(3.5 / 4)
    assert math.isnan(auroc_of_large_errors(error, uncertainty, mask, above=50))
    lesion = np.array([False, False, True, True, True])
    assert auroc_of_lesion(uncertainty, lesion, mask) == pytest.approx(3.5 / 4)
    assert math.isnan(auroc_of_lesion(uncertainty, ~mask, mask))


def test_nothing_to_know_and_nothing_at_all() -> None:
    flat = error_against_uncertainty(np.full(9999, 0.1), np.arange(9999.0), np.ones(9999, bool))
    assert math.isnan(flat.excess) and flat.area == pytest.approx(0.1), "no figure out of rounding"
    perfect = error_against_uncertainty(np.zeros(10), np.zeros(10), np.ones(10, bool))
    assert math.isnan(perfect.excess) and perfect.within_one == 1
    empty = error_against_uncertainty(np.ones(10), np.ones(10), np.zeros(10, bool), bins=3)
    assert empty.voxels == 0 and math.isnan(empty.area) and len(empty.error) == 3


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_an_impossible_uncertainty_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="negative or missing"):
        error_against_uncertainty(np.ones(3), np.array([1, bad, 1]), np.ones(3, bool))
    with pytest.raises(ValueError, match="one grid"):
        error_against_uncertainty(np.ones(3), np.ones(4), np.ones(3, bool))
    with pytest.raises(ValueError, match="not finite"):
        auroc_of_large_errors(np.array([1, np.nan]), np.ones(2), np.ones(2, bool), above=1)
