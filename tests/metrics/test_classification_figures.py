"""Figures of class probabilities: against scikit-learn, by hand, and calibration that is known."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, roc_auc_score

from medudl.metrics import classification as measures


@pytest.fixture(params=[2, 3])
def scans(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(request.param)
    truth = random.integers(0, request.param, 90)
    chance = random.dirichlet(np.ones(request.param), 90) + 0.4 * np.eye(request.param)[truth]
    return truth, chance / chance.sum(1, keepdims=True)


def test_against_scikit_learn(scans: tuple[np.ndarray, np.ndarray]) -> None:
    truth, chance = scans
    called, classes, once = chance.argmax(1), chance.shape[1], np.ones(len(truth))
    counts = measures.confusion(truth, called, classes, once)
    assert np.array_equal(counts, confusion_matrix(truth, called))
    assert measures.balanced_accuracy(counts) == pytest.approx(balanced_accuracy_score(truth, called))
    assert measures.macro_f1(counts) == pytest.approx(f1_score(truth, called, average="macro"))
    score = chance[:, 1] if classes == 2 else chance
    expected = roc_auc_score(truth, score, multi_class="ovr", average="macro")
    assert measures.auroc_one_vs_rest(truth, chance, once) == pytest.approx(expected)


def test_weights_are_repetitions(scans: tuple[np.ndarray, np.ndarray]) -> None:
    """A bootstrap in one call: each row of weights gives what the repeated scans would give."""
    truth, chance = scans
    weight = np.random.default_rng(0).integers(0, 3, (4, len(truth)))
    called, classes = chance.argmax(1), chance.shape[1]
    many = measures.balanced_accuracy(measures.confusion(truth, called, classes, weight))
    error = measures.calibration_error(truth, chance, weight)
    area = measures.auroc_one_vs_rest(truth, chance, weight)
    for row, w in enumerate(weight):
        t, p = np.repeat(truth, w), np.repeat(chance, w, axis=0)
        once = np.ones(len(t))
        assert many[row] == pytest.approx(balanced_accuracy_score(t, p.argmax(1)))
        assert error[row] == pytest.approx(measures.calibration_error(t, p, once))
        assert area[row] == pytest.approx(measures.auroc_one_vs_rest(t, p, once))


def test_calibration_error_by_hand() -> None:
    """Two bins: .95 sure and right half the time, .65 sure and always right."""
    chance = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.35, 0.65]])
    error = measures.calibration_error(np.array([0, 1, 1, 1]), chance, np.ones(4))
    assert error == pytest.approx(0.5 * 0.45 + 0.5 * 0.35)


def test_the_temperature_is_found_again() -> None:
    """Labels drawn from softmax(logits / 2): a network that is twice too sure."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (800, 1, 3))
    p = np.exp(logits[:, 0] / 2)
    p /= p.sum(1, keepdims=True)
    truth = [int(random.choice(3, p=row)) for row in p]
    found = measures.fit_temperature(list(logits), truth)
    print(f"\ntemperature {found:.3f}, true 2, n = 800, seed 0")
    assert found == pytest.approx(2, abs=0.25)


def test_a_scan_is_the_mean_of_its_slices() -> None:
    logits = np.array([[0.0, 0.0], [0.0, np.log(3)]])
    chance = np.exp(measures.scan_log_probability(logits, 1.0))
    assert chance == pytest.approx([(0.5 + 0.25) / 2, (0.5 + 0.75) / 2])
