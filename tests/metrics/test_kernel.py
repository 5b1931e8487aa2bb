"""Kernel distance: closed form for Gaussians, no bias at small n, honest intervals, pairs of different patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medudl.errors import UserError
from medudl.metrics import kernel
from medudl.metrics.kernel import kernel_distance, kernel_floor

Array = np.ndarray


def _expected(one: Array, other: Array, variance: float) -> float:
    """E k(a, b) for a ~ N(one, variance I), b ~ N(other, variance I), independent: sums over their moments."""
    d, eye = len(one), np.eye(len(one))

    def second(mean: Array) -> Array:
        return np.outer(mean, mean) + variance * eye

    def third(mean: Array) -> Array:
        return np.einsum("i,j,k->ijk", mean, mean, mean) + variance * (
            np.einsum("i,jk->ijk", mean, eye) + np.einsum("j,ik->ijk", mean, eye) + np.einsum("k,ij->ijk", mean, eye)
        )

    first = float(one @ other) / d
    return float(
        1
        + 3 * first
        + 3 * (second(one) * second(other)).sum() / d**2
        + (third(one) * third(other)).sum() / d**3
    )  # fmt: skip


def closed_form(one: Array, other: Array, variance: float = 1.0) -> float:
    return (
        _expected(one, one, variance) + _expected(other, other, variance) - 2 * _expected(one, other, variance)
    )  # fmt: skip


def _slow(x: Array, y: Array, gx: Array, gy: Array) -> float:
    """By its formula, pair by pair."""

    def mean(a: Array, b: Array, ga: Array, gb: Array) -> float:
        pairs = [(p @ q / len(p) + 1) ** 3 for p, i in zip(a, ga, strict=True) for q, j in zip(b, gb, strict=True)
                 if i != j]  # fmt: skip
        return float(np.mean(pairs))

    return mean(x, x, gx, gx) + mean(y, y, gy, gy) - 2 * mean(x, y, gx, gy)


@pytest.mark.parametrize("shared", [False, True], ids=["other patients", "the same patients"])
def test_is_its_formula_pair_by_pair(shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(17, 3)), random.normal(size=(12, 3)) + 0.5
    gx = random.integers(0, 6, 17)
    gy = random.integers(3, 9, 12) if shared else random.integers(20, 26, 12)
    monkeypatch.setattr(kernel, "_AT_ONCE", 5)
    assert kernel_distance(x, y, gx, gy).value == pytest.approx(_slow(x, y, gx, gy), rel=1e-10)
    nobody = kernel_distance(x, y).value
    assert nobody == pytest.approx(_slow(x, y, np.arange(17), 100 + np.arange(12)), rel=1e-10)


@pytest.mark.parametrize("d", [1, 6])
def test_closed_form_of_gaussians(d: int) -> None:
    random, shift = np.random.default_rng(0), np.full(d, 0.7)
    true = closed_form(np.zeros(d), shift)
    found = [
        kernel_distance(random.normal(size=(60, d)), random.normal(size=(50, d)) + shift, repeats=2).value
        for _ in range(300)
    ]
    error = np.std(found) / math.sqrt(len(found))
    print(f"d = {d}: true {true:.4f}, mean {np.mean(found):.4f} (standard error {error:.4f}); n = 60, 50, 300 pairs")
    assert abs(np.mean(found) - true) < 3 * error
    if d == 1:
        assert true == pytest.approx(3 * 0.7**2 + 3 * 0.7**4 + (0.7**3 + 3 * 0.7) ** 2)


@pytest.mark.parametrize("groups", [1, 4])
def test_zero_for_equal_distributions_however_few(groups: int) -> None:
    random, d = np.random.default_rng(0), 16
    found, naive = [], []
    for _ in range(300):
        patient = np.repeat(np.arange(12), groups)
        x, y = ((random.normal(size=(12, d))[patient] + 0.3 * random.normal(size=(12 * groups, d))) for _ in range(2))
        found.append(kernel_distance(x, y, patient, patient + 100, repeats=2).value)
        naive.append(kernel_distance(x, y, repeats=2).value)
    error = np.std(found) / math.sqrt(len(found))
    print(f"{groups} images a patient: mean {np.mean(found):+.4f}, standard error {error:.4f}; 12 patients, 300 pairs")
    assert abs(np.mean(found)) < 3 * error
    if groups > 1:
        assert np.mean(naive) > 10 * error, "pairs within a patient would look like a difference"


@pytest.mark.parametrize(
    ("shift", "n", "grouped"), [(0.0, 30, False), (0.3, 30, False), (0.5, 60, False), (0.4, 40, True)]
)
def test_the_interval_covers_the_truth(shift: float, n: int, grouped: bool) -> None:
    random, d, rounds = np.random.default_rng(5), 8, 400
    spread = 1.25 if grouped else 1.0
    true = closed_form(np.zeros(d), np.full(d, shift), spread)
    hits = 0
    for number in range(rounds):
        sets, ids = [], []
        for mean in (0.0, shift):
            patient = np.repeat(np.arange(n), random.integers(1, 6, n)) if grouped else np.arange(n)
            inside = 0.5 * random.normal(size=(len(patient), d)) if grouped else 0.0
            sets.append(random.normal(size=(n, d))[patient] + inside + mean)
            ids.append(patient + 1000 * len(ids))
        found = kernel_distance(*sets, *ids, 200, number)
        hits += found.low <= true <= found.high
    print(f"shift {shift}, {n} patients, grouped {grouped}: covers {hits / rounds:.3f} of {rounds}; true {true:.2f}")
    assert hits / rounds > 0.92


def test_translations_of_the_same_patients_are_told_as_paired() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 8))
    y = x + 0.02 * random.normal(size=(40, 8))
    ids = np.arange(40)
    paired, unpaired = kernel_distance(x, y, ids, ids), kernel_distance(x, y, ids, ids + 100)
    assert abs(paired.value) < 0.02 and unpaired.value < -0.1, "a copy of each image is no proof of a negative distance"
    assert paired.high - paired.low < 0.3 * (unpaired.high - unpaired.low)


def test_floor_lies_around_zero_and_a_difference_above_it() -> None:
    random = np.random.default_rng(0)
    floor = kernel_floor(random.normal(size=(80, 20)), None, 40, 100, 0)
    assert floor.low < 0 < floor.high and abs(floor.mean) < (floor.high - floor.low) / 4
    assert (floor.n, floor.patients, floor.repeats) == (40, 80, 100)
    assert kernel_distance(random.normal(size=(40, 20)), random.normal(size=(40, 20)) + 1).value > floor.high
    with pytest.raises(UserError, match="allow for 2 to 40"):
        kernel_floor(random.normal(size=(80, 20)), None, 41)


def test_one_patient_is_refused_and_few_have_no_interval() -> None:
    x = np.random.default_rng(0).normal(size=(12, 3))
    with pytest.raises(UserError, match="only one"):
        kernel_distance(x, x, np.zeros(12), np.arange(5, 17))
    found = kernel_distance(x, x + 1, np.arange(12) % 4, 10 + np.arange(12))
    assert found.n == 4 and math.isnan(found.low) and math.isfinite(found.value)
    assert kernel_distance(x, x + 1) == kernel_distance(x, x + 1)
