"""Intervals against SciPy, and against what they promise."""

import numpy as np
import pytest
from scipy import stats

from medudl.metrics import intervals


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 20), (10, 10), (3, 713), (350, 713), (2.5, 12.5)])
def test_clopper_pearson_is_the_beta_interval(k, n):
    low, high = intervals.clopper_pearson(k, n)
    assert low == pytest.approx(stats.beta.ppf(0.025, k, n - k + 1) if k else 0, abs=1e-9)
    assert high == pytest.approx(stats.beta.ppf(0.975, k + 1, n - k) if k < n else 1, abs=1e-9)


@pytest.mark.parametrize("k", [0, 1, 7, 240])
def test_poisson_interval_is_the_chi_square_one(k):
    low, high = intervals.poisson_interval(k, 40)
    assert low == pytest.approx(stats.chi2.ppf(0.025, 2 * k) / 80 if k else 0, abs=1e-9)
    assert high == pytest.approx(stats.chi2.ppf(0.975, 2 * k + 2) / 80, abs=1e-9)


@pytest.mark.parametrize(("a", "b", "x"), [(0.5, 0.5, 0.3), (40, 2, 0.97), (1, 1, 0.42), (300, 700, 0.3)])
def test_incomplete_beta(a, b, x):
    assert intervals.incomplete_beta(a, b, x) == pytest.approx(stats.beta.cdf(x, a, b), abs=1e-12)


def test_resamples_keep_the_size_of_each_stratum_and_the_seed():
    strata = np.array([0] * 5 + [1] * 3)
    drawn = intervals.resamples(strata, 50, seed=7)
    assert (drawn[:, :5].sum(1) == 5).all() and (drawn[:, 5:].sum(1) == 3).all()
    assert (drawn == intervals.resamples(strata, 50, seed=7)).all()
    assert (drawn != intervals.resamples(strata, 50, seed=8)).any()


def test_bootstrap_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(3).normal(size=60)
    drawn = intervals.resamples(np.zeros(60), 4000, seed=0)
    estimate = intervals.bootstrap(values.mean(), drawn @ values / 60, 60)
    half = 1.96 * values.std() / np.sqrt(60)
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.06)
    assert estimate.low < estimate.value < estimate.high


def test_paired_difference_is_narrower_than_two_intervals():
    random = np.random.default_rng(0)
    patient = random.normal(size=40)
    a, b = patient + 0.3 + 0.05 * random.normal(size=40), patient
    drawn = intervals.resamples(np.zeros(40), 1000, seed=0)
    both = [drawn @ x / 40 for x in (a, b)]
    gain = intervals.difference(a.mean(), b.mean(), *both, 40)
    assert gain.low > 0.25 and gain.high < 0.35
    single = intervals.bootstrap(a.mean(), both[0], 40)
    assert single.high - single.low > 5 * (gain.high - gain.low)


def test_one_patient_has_no_interval():
    estimate = intervals.bootstrap(0.7, [0.7, 0.7], 1)
    assert np.isnan(estimate.low) and estimate.text() == ".70"
    assert estimate.as_dict() == {"value": 0.7, "low": None, "high": None, "n": 1}


def test_text():
    assert intervals.Estimate(0.613, -0.04, 1.0, 24).text() == ".61 (-.04 to 1.00)"
    assert intervals.Estimate(float("nan"), 0, 0, 0).text() == "not available"
    assert intervals.short(10.25) == "10.25"
