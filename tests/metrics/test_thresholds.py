"""Conformal thresholds keep their promise in simulation, also where patients have several scans."""

import numpy as np
import pytest

from medudl.metrics.thresholds import conformal, patient_weights, percentile


def test_order_statistic():
    scores = np.arange(39, 0, -1.0)
    threshold = conformal(scores, range(39), 0.05)
    assert threshold.value == 38  # ceil(40 * .95) = 38th smallest of 1..39
    assert threshold.promise == pytest.approx(0.05) and threshold.reached
    assert percentile(scores, range(39), 0.05) == 38  # 38 / 39 are at most 38; 37 / 39 is less than .95


def test_too_few_patients_use_the_highest_score_and_say_so():
    threshold = conformal([3.0, 1.0, 2.0], ["a", "b", "c"], 0.05)
    assert threshold.value == 3 and not threshold.reached
    assert threshold.promise == pytest.approx(1 / 4)


def test_exactly_nineteen_patients_are_enough_for_one_in_twenty():
    assert conformal(range(19), range(19), 0.05).reached
    assert not conformal(range(18), range(18), 0.05).reached


def test_scans_of_one_patient_share_its_weight():
    threshold = conformal([1.0, 2.0, 3.0, 4.0], ["a", "a", "b", "b"], 0.5)
    assert threshold.value == 3 and threshold.promise == pytest.approx(1 / 2)  # 3 of 4 half patients, of 2 + 1
    assert patient_weights(["a", "b", "b"])[0].tolist() == [0.5, 0.25, 0.25]
    assert percentile([1.0, 2.0, 3.0], ["a", "b", "b"], 0.5) == 1


def test_no_scan_is_an_error():
    with pytest.raises(ValueError, match="no healthy scan"):
        conformal([], [], 0.05)


@pytest.mark.parametrize("scans", [1, 5])
def test_coverage(scans):
    # Scans of a patient are alike; a rule that counted them as independent would promise too much.
    random = np.random.default_rng(0)
    false, patients = 0, 39
    for _ in range(4000):
        centre = random.normal(size=patients + 1)
        scores = centre[:, None] + 0.1 * random.normal(size=(patients + 1, scans))
        known = np.repeat(np.arange(patients), scans)
        false += scores[-1, 0] > conformal(scores[:-1].ravel(), known, 0.05).value
    # Continuous scores: between alpha - 1/(n+1) and alpha; 4000 trials are within +-.008.
    assert 0.05 - 1 / 40 - 0.008 < false / 4000 < 0.05 + 0.008
    if scans == 1:
        assert false / 4000 > 0.042
