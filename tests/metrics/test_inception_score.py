"""Inception score: its two ends, its formula, and how low it is at small n."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medudl.errors import UserError
from medudl.metrics.inception_score import inception_bias, inception_score


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_as_many_as_classes_on_uniform_one_hot(classes: int) -> None:
    assert inception_score(np.tile(np.eye(classes), (3, 1)), repeats=10).value == pytest.approx(classes, rel=1e-12)


@pytest.mark.parametrize("row", [[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
def test_one_on_constants(row: list[float]) -> None:
    found = inception_score(np.tile(row, (40, 1)))
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1), abs=1e-12)


def test_is_its_formula() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(7), 50)
    kl = (p * np.log(p / p.mean(0))).sum(1)
    assert inception_score(p).value == pytest.approx(math.exp(kl.mean()), rel=1e-12)


def test_too_low_at_small_n_by_what_the_jackknife_says() -> None:
    random, classes, n = np.random.default_rng(0), 10, 60
    draws = [np.eye(classes)[random.integers(0, classes, n)] for _ in range(200)]
    score = np.array([inception_score(p, repeats=2).value for p in draws])
    told = np.array([inception_bias(p) for p in draws])
    print(f"true 10, mean score {score.mean():.2f}, corrected {np.mean(score - told):.2f}; n = {n}, 200 draws, seed 0")
    assert score.mean() < 9.5
    assert abs(np.mean(score - told) - classes) < 0.2 * abs(score.mean() - classes)


def test_the_interval_is_as_wide_as_repetitions_differ_by_patient() -> None:
    random, found = np.random.default_rng(0), []
    patient = np.repeat(np.arange(40), 5)
    for _ in range(60):
        logits = 2 * random.normal(size=(40, 4))[patient] * [1, 0.8, 0.6, 0.4] + 0.3 * random.normal(size=(200, 4))
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        found.append((inception_score(p, patient, 100), inception_score(p, None, 100)))
    spread = np.std([math.log(e.value) for e, _ in found])
    width, blind = (np.mean([math.log(e.high / e.low) for e in side]) / 4 for side in zip(*found, strict=True))
    print(
        f"standard deviation of repetitions {spread:.3f}, standard error by patient {width:.3f}, by image {blind:.3f}"
    )
    assert 0.8 < width / spread < 1.4 and blind < 0.7 * spread
    assert found[0][0].n == 40


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.ones(3) / 3, np.ones((4, 3)), np.full((4, 2), np.nan)])
def test_what_is_no_probability_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(UserError, match="inception score"):
        inception_score(bad)
    with pytest.raises(UserError, match="softmax"):
        inception_score(np.array([[2.0, -1.0]]))
