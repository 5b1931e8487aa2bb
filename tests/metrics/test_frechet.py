"""Frechet distance: closed forms, both ways to the root, large means, and the bias that it has at small n."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medudl.errors import UserError
from medudl.metrics import frechet, subsampling
from medudl.metrics.frechet import frechet_distance, frechet_of_moments


def _gaussian(n: int, d: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) @ random.normal(size=(d, d)) + random.normal(size=d)


def _with_moments(n: int, mean: np.ndarray, scale: np.ndarray, seed: int) -> np.ndarray:
    """n rows whose mean and covariance are exactly `mean` and diag(scale^2)."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    q = np.linalg.qr(x - x.mean(0))[0]
    return q * math.sqrt(n - 1) * scale + mean


def test_closed_form_of_gaussians() -> None:
    mean, scale = np.array([1.0, -2.0, 0.5]), np.array([0.5, 2.0, 3.0])
    x = _with_moments(50, np.zeros(3), np.ones(3), 0)
    y = _with_moments(70, mean, scale, 1)
    true = float(mean @ mean + ((scale - 1) ** 2).sum())
    assert frechet_distance(x, y) == pytest.approx(true, rel=1e-10)
    assert frechet_of_moments(np.zeros(3), np.eye(3), mean, np.diag(scale**2)) == pytest.approx(true, rel=1e-12)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(("n", "m"), [(30, 40), (30, 300), (300, 40), (200, 300)])
def test_the_nuclear_norm_is_the_trace_of_the_root(n: int, m: int) -> None:
    x, y = _gaussian(n, 50, 0), _gaussian(m, 50, 1)
    moments = frechet_of_moments(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    assert frechet_distance(x, y) == pytest.approx(moments, rel=1e-6)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-10)


def test_equals_scipys_matrix_root() -> None:
    from scipy.linalg import sqrtm

    x, y = _gaussian(80, 12, 2), _gaussian(90, 12, 3)
    s1, s2, gap = np.cov(x.T), np.cov(y.T), x.mean(0) - y.mean(0)
    reference = gap @ gap + np.trace(s1 + s2 - 2 * np.real(sqrtm(s1 @ s2)))
    assert frechet_distance(x, y) == pytest.approx(float(reference), rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(40, 64), (200, 8)])
def test_holds_under_large_means(n: int, d: int) -> None:
    random, mean = np.random.default_rng(0), 3e7
    x, y = random.normal(size=(n, d)), random.normal(size=(n, d)) + 0.2
    here, far = frechet_distance(x, y), frechet_distance(x + mean, y + mean)
    running = frechet_of_running_sums(x + mean, y + mean)
    print(f"n = {n}, d = {d}: {here:.6f}, under means of 3e7 {far:.6f}; from running sums {running:.2f}")
    assert far == pytest.approx(here, rel=1e-6)
    assert abs(running / here - 1) > 0.2, "the case is hard"


def frechet_of_running_sums(x: np.ndarray, y: np.ndarray) -> float:
    """Covariance as sum xx' - n mu mu', as libraries that see one batch at a time have it, also in double precision."""
    from scipy.linalg import eigvals

    s1, s2 = ((z.T @ z - len(z) * np.outer(z.mean(0), z.mean(0))) / (len(z) - 1) for z in (x, y))
    gap = x.mean(0) - y.mean(0)
    return float(gap @ gap + np.trace(s1) + np.trace(s2) - 2 * np.sqrt(eigvals(s1 @ s2).astype(complex)).real.sum())


def test_scales_with_the_square_and_ignores_a_rotation() -> None:
    x, y = _gaussian(30, 12, 0), _gaussian(25, 12, 1)
    turn = np.linalg.qr(_gaussian(12, 12, 5))[0]
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * frechet_distance(x, y), rel=1e-10)
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(frechet_distance(x, y), rel=1e-10)


@pytest.mark.parametrize(("d", "n"), [(8, 40), (20, 90), (32, 140)])
def test_the_law_of_the_bias(d: int, n: int) -> None:
    random = np.random.default_rng(0)
    found = [frechet_distance(random.normal(size=(n, d)), random.normal(size=(n, d))) for _ in range(100)]
    ratio = float(np.mean(found)) / (d * (d + 5) / (2 * n))
    print(f"white features, d = {d}, n = {n}: {np.mean(found):.3f}, {ratio:.3f} of d (d + 5) / 2n; 100 pairs, seed 0")
    assert abs(ratio - 1) < 0.1
    assert frechet.frechet_bias(d, n, n) == d * (d + 5) / (2 * n)


def test_at_infinity_is_nearer_the_truth() -> None:
    random, scale = np.random.default_rng(0), np.linspace(0.5, 2, 16)
    true = 1 + float(((scale - 1) ** 2).sum())
    plain, infinite = [], []
    for seed in range(10):
        x, y = random.normal(size=(60, 16)), random.normal(size=(60, 16)) * scale
        y[:, 0] += 1
        plain.append(frechet_distance(x, y) - true)
        infinite.append(frechet.frechet_at_infinity(x, y, seed, repeats=1).value - true)
    print(f"true {true:.2f}; mean error {np.mean(plain):+.2f}, at infinity {np.mean(infinite):+.2f}; n = 60, d = 16")
    assert abs(np.mean(infinite)) < 0.25 * abs(np.mean(plain))
    assert np.mean(np.abs(infinite)) < np.mean(np.abs(plain))


def test_at_infinity_has_an_interval_and_wants_more_images_than_features() -> None:
    x, y = _gaussian(60, 4, 0), _gaussian(70, 4, 1)
    found = frechet.frechet_at_infinity(x, y, 0)
    assert found.low < found.value < found.high and found.n == 60
    assert found == frechet.frechet_at_infinity(x, y, 0)
    with pytest.raises(UserError, match="30 images for 32 features"):
        frechet.frechet_at_infinity(_gaussian(30, 32, 0), _gaussian(99, 32, 0), 0)
    with pytest.raises(UserError, match="frechet_floor"):
        frechet.frechet_bias(32, 30, 99)


@pytest.mark.parametrize("d", [6, 60])
def test_the_floor_is_what_equal_distributions_give_at_that_n(d: int) -> None:
    random = np.random.default_rng(0)
    truth = [frechet_distance(random.normal(size=(25, d)), random.normal(size=(25, d))) for _ in range(100)]
    floor = frechet.frechet_floor(random.normal(size=(80, d)), None, 25, 100, 0)
    assert floor.mean == pytest.approx(np.mean(truth), rel=0.12)
    assert floor.low < floor.mean < floor.high and (floor.n, floor.patients, floor.repeats) == (25, 80, 100)
    beside = frechet.frechet_at(random.normal(size=(80, d)), random.normal(size=(60, d)) + 1, 25)
    assert beside.low > floor.high and beside.n == 25
    with pytest.raises(UserError, match="41 a side, and 80 allow for 2 to 40"):
        frechet.frechet_floor(random.normal(size=(80, d)), None, 41)


def test_floor_and_draws_never_share_a_patient() -> None:
    patient = np.repeat(np.arange(9), [1, 2, 3, 4, 5, 6, 1, 2, 3])
    random = np.random.default_rng(0)
    most = subsampling.most_a_side(patient)
    for _ in range(50):
        one, other = subsampling.draw(patient, most, random)
        assert len(one) == len(other) == most
        assert not set(patient[one]) & set(patient[other])


def test_a_floor_of_few_patients_is_higher_than_that_of_as_many_images() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    real = random.normal(size=(20, 5))[groups] + 0.2 * random.normal(size=(200, 5))
    by_patient = frechet.frechet_floor(real, groups, 80, 50, 0)
    by_image = frechet.frechet_floor(real, None, 80, 50, 0)
    assert by_patient.mean > 3 * by_image.mean and by_patient.patients == 20


@pytest.mark.parametrize("d", [4, 80])
def test_the_interval_is_as_wide_as_repetitions_differ(d: int) -> None:
    random = np.random.default_rng(1)
    found = [
        frechet.frechet_estimate(random.normal(size=(40, d)), random.normal(size=(50, d)) * 1.5 + 0.5, repeats=60)
        for _ in range(40)
    ]
    spread = np.std([e.value for e in found])
    width = np.mean([e.high - e.low for e in found]) / (2 * 2.02)
    print(f"d = {d}: standard deviation of repetitions {spread:.3f}, mean standard error {width:.3f}")
    assert 0.75 < width / spread < 1.6
    assert found[0].n == 40


def test_both_ways_to_a_subsample_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _gaussian(20, 30, 0), _gaussian(25, 30, 1)
    fast = frechet.frechet_estimate(x, y, repeats=20)
    original = frechet._distance
    monkeypatch.setattr(frechet, "_distance", lambda a, b, cross: original(a, b, None))
    slow = frechet.frechet_estimate(x, y, repeats=20)
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high), rel=1e-9)


def test_what_cannot_be_compared_is_refused_in_one_line() -> None:
    good = _gaussian(10, 3, 0)
    for bad in (good[:1], good[:, :2], good[0], np.full((5, 3), np.nan)):
        with pytest.raises(UserError) as told:
            frechet_distance(good, bad)
        assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match="negative eigenvalue"):
        frechet_of_moments(np.zeros(2), np.diag([1.0, -1.0]), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="not symmetric"):
        frechet_of_moments(np.zeros(2), np.array([[1.0, 2.0], [0.0, 1.0]]), np.zeros(2), np.eye(2))


def test_fewer_than_five_patients_have_no_interval() -> None:
    x = _gaussian(12, 3, 0)
    estimate = frechet.frechet_estimate(x, x + 1, np.arange(12) % 4, np.arange(12))
    assert estimate.value == pytest.approx(3) and math.isnan(estimate.low) and estimate.n == 4


def test_intervals_and_floors_hold_under_large_means() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 64)), random.normal(size=(25, 64)) + 0.2
    here, far = (frechet.frechet_estimate(x + mean, y + mean, repeats=20) for mean in (0.0, 3e7))
    assert (far.value, far.low, far.high) == pytest.approx((here.value, here.low, here.high), rel=1e-6)
    floors = [frechet.frechet_floor(x + mean, None, 10, 20).mean for mean in (0.0, 3e7)]
    assert floors[1] == pytest.approx(floors[0], rel=1e-6)
