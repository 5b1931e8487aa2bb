"""The difference of two kernel distances: what two distances give, its sign, and its interval's cover."""

from __future__ import annotations

import numpy as np
import pytest

from medudl.errors import UserError
from medudl.metrics.kernel import kernel_distance
from medudl.metrics.kernel_difference import kernel_difference


def _set(n: int, shift: float, seed: int, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_it_is_the_difference_of_two_distances() -> None:
    near, far, real = _set(40, 0.2, 0), _set(50, 0.8, 1), _set(60, 0.0, 2)
    patients = np.arange(60) // 3
    found = kernel_difference(near, far, real, patients)
    apart = [kernel_distance(one, real, None, patients).value for one in (near, far)]
    assert found.value == pytest.approx(apart[0] - apart[1])
    assert found.high < 0 and found.n == 20
    other_way = kernel_difference(far, near, real, patients)
    assert other_way.value == pytest.approx(-found.value) and other_way.low > 0


def test_equal_generators_are_told_apart_in_few_cases_alone() -> None:
    wrong = 0
    for seed in range(40):
        a, b, real = (_set(30, 0.5, 3 * seed + i) for i in range(3))
        found = kernel_difference(a, b, real - 0.5, np.arange(30) // 2, repeats=60)
        wrong += not found.low <= 0 <= found.high
    assert wrong <= 4


def test_the_same_real_patients_are_left_out_for_both() -> None:
    """A patient who is far from both moves both distances, and their difference hardly."""
    a, b, real = _set(400, 0.3, 0), _set(400, 0.3, 1), _set(40, 0.0, 2)
    real[:4] += 2
    patients = np.arange(40) // 4
    found = kernel_difference(a, b, real, patients)
    alone = kernel_distance(a, real, None, patients)
    assert found.high - found.low < 0.5 * (alone.high - alone.low)


def test_one_patient_is_no_comparison() -> None:
    with pytest.raises(UserError, match="one; add patients"):
        kernel_difference(_set(9, 0, 0), _set(9, 0, 1), _set(9, 0, 2), np.zeros(9))
    with pytest.raises(UserError, match="at least 2"):
        kernel_difference(_set(1, 0, 0), _set(9, 0, 1), _set(9, 0, 2))
