"""Precision, recall, density, coverage: overlapping disks, and the definitions pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medudl.errors import UserError
from medudl.metrics import precision_recall as module
from medudl.metrics.precision_recall import expected_coverage, precision_recall, precision_recall_floor


def _disk(n: int, radius: float, at: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    r, angle = radius * np.sqrt(random.random(n)), 2 * np.pi * random.random(n)
    return np.column_stack([r * np.cos(angle) + at, r * np.sin(angle)])


def _overlap(shift: float) -> float:
    """Share of a disk of radius 1 that a second one covers, their centres `shift` apart."""
    return (2 * math.acos(shift / 2) - shift / 2 * math.sqrt(4 - shift**2)) / math.pi


def _values(found: module.PrecisionRecall) -> list[float]:
    return [getattr(found, name).value for name in module.NAMES]


def _slow(x: np.ndarray, y: np.ndarray, gx: np.ndarray, gy: np.ndarray, k: int) -> list[float]:
    def radii(z: np.ndarray, g: np.ndarray) -> list[float]:
        near = [[min(np.linalg.norm(z[g == j] - a, axis=1)) for j in set(g) - {i}] for a, i in zip(z, g, strict=True)]
        return [sorted(others)[k - 1] for others in near]

    across = np.linalg.norm(x[:, None] - y, axis=2)
    in_real, in_fake = across <= np.array(radii(x, gx))[:, None], across <= np.array(radii(y, gy))
    weight = np.array([1 / (gx == i).sum() for i in gx])
    density = (weight[:, None] * in_real).sum() / (k * len(y))
    return [in_real.any(0).mean(), in_fake.any(1).mean(), density, in_real.any(1).mean()]


@pytest.mark.parametrize("depth", [1, 8])
def test_is_its_definition_pair_by_pair(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    monkeypatch.setattr(module, "_DEPTH", depth)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 3)), random.normal(size=(30, 3)) * 0.8 + 0.4
    gx, gy = random.integers(0, 9, 40), random.integers(0, 11, 30)
    assert _values(precision_recall(x, y, gx, gy, k=3)) == pytest.approx(_slow(x, y, gx, gy, 3))
    assert _values(precision_recall(x, y)) == pytest.approx(_slow(x, y, np.arange(40), np.arange(30), 5))


def test_what_is_remembered_does_not_change_the_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _disk(60, 1, 0, 0), _disk(50, 1, 0.5, 1)
    found = precision_recall(x, y, k=3)
    monkeypatch.setattr(module, "_DEPTH", 1)
    assert precision_recall(x, y, k=3) == found


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_shifted_disks(shift: float) -> None:
    n, true = 3000, _overlap(shift) if shift < 2 else 0.0
    found = precision_recall(_disk(n, 1, 0, 0), _disk(n, 1, shift, 1), k=3, repeats=20)
    print(f"shift {shift}: true {true:.3f}, " + ", ".join(f"{v:.3f}" for v in _values(found)) + f"; n = {n}, k = 3")
    assert found.precision.value == pytest.approx(true, abs=0.05)
    assert found.recall.value == pytest.approx(true, abs=0.05)
    assert found.density.value == pytest.approx(true, abs=0.05)


@pytest.mark.parametrize("grown", [0.5, 2.0])
def test_a_disk_within_a_disk(grown: float) -> None:
    n = 3000
    found = precision_recall(_disk(n, 1, 0, 0), _disk(n, grown, 0, 1), k=3, repeats=20)
    precision, recall = min(1, 1 / grown**2), min(1, grown**2)
    print(f"radius {grown}: " + ", ".join(f"{v:.3f}" for v in _values(found)) + f"; n = {n}, k = 3")
    assert found.precision.value == pytest.approx(precision, abs=0.05)
    assert found.recall.value == pytest.approx(recall, abs=0.05)
    assert found.density.value == pytest.approx(precision, abs=0.05)


def test_equal_distributions_have_density_one_and_the_expected_coverage() -> None:
    random, n, m, found = np.random.default_rng(0), 60, 40, []
    for _ in range(150):
        made = precision_recall(random.normal(size=(n, 6)), random.normal(size=(m, 6)), repeats=2)
        found.append([made.density.value, made.coverage.value])
    (density, coverage), error = np.mean(found, 0), np.std(found, 0) / math.sqrt(len(found))
    print(f"density {density:.3f}, coverage {coverage:.3f} of {expected_coverage(n, m):.3f}; standard errors {error}")
    assert abs(density - 1) < 3 * error[0] + 0.01
    assert abs(coverage - expected_coverage(n, m)) < 3 * error[1] + 0.005


def test_a_stray_real_image_spoils_precision_but_not_density() -> None:
    x = np.vstack([_disk(200, 1, 0, 0), [[9.0, 0.0]]])
    found = precision_recall(x, _disk(200, 0.2, 4.5, 1), k=3)
    assert found.precision.value == 1 and found.density.value < 0.4 and found.coverage.value < 0.01


def test_slices_of_one_patient_do_not_shrink_the_balls() -> None:
    random = np.random.default_rng(0)
    patient = np.repeat(np.arange(30), 10)
    x = random.normal(size=(30, 4))[patient] + 0.01 * random.normal(size=(300, 4))
    y = random.normal(size=(30, 4))[patient] + 0.01 * random.normal(size=(300, 4))
    blind, known = precision_recall(x, y), precision_recall(x, y, patient, patient)
    print(f"precision by image {blind.precision.text()}, by patient {known.precision.text()}")
    assert blind.precision.value < 0.2 and known.precision.value > 0.8
    assert known.precision.n == 30 and known.recall.n == 30 and blind.recall.n == 300


@pytest.mark.proof
@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_what_repetitions_give_on_average(grouped: bool) -> None:
    random, rounds = np.random.default_rng(0), 120
    count = 3 if grouped else 1
    patient = np.repeat(np.arange(40), count)
    found = []
    for number in range(rounds):
        x, y = ((random.normal(size=(40, 3)) + s)[patient] + 0.2 * random.normal(size=(40 * count, 3)) for s in (0, 1))
        found.append(precision_recall(x, y, patient, patient, repeats=100, seed=number))
    for name in module.NAMES:
        each = [getattr(f, name) for f in found]
        middle = np.mean([e.value for e in each])
        hits = np.mean([e.low <= middle <= e.high for e in each])
        print(f"{name}: mean {middle:.3f}, covered by {hits:.3f} of {rounds}; 40 patients, {count} image(s) each")
        assert hits > 0.9


def test_floor_holds_what_equal_distributions_give() -> None:
    real = np.random.default_rng(0).normal(size=(120, 6))
    floor = precision_recall_floor(real, None, 60, repeats=40)
    assert floor["density"].mean == pytest.approx(1, abs=0.1)
    assert floor["coverage"].mean == pytest.approx(expected_coverage(60, 60), abs=0.02)
    assert all(f.low < f.mean < f.high or f.low == f.high for f in floor.values()) and floor["recall"].n == 60


def test_too_few_patients_are_refused_and_no_interval_is_invented() -> None:
    x = _disk(12, 1, 0, 0)
    with pytest.raises(UserError, match="k = 5 needs 6 patients"):
        precision_recall(x, x, np.zeros(12), np.arange(12))
    found = precision_recall(x, x, np.arange(12) % 4, np.arange(12), k=1)
    assert math.isnan(found.recall.low) and found.recall.n == 4
    everything = precision_recall(np.zeros((40, 2)), np.zeros((40, 2)))
    assert everything.precision.value == 1 and everything.precision.low > 0.9
