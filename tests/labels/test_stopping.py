"""When to stop: the stated rule, and the power law against curves whose law is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medudl.labels.power_law import gain_of, most_gain_of, power_law
from medudl.labels.stopping import (
    Change,
    change,
    should_stop,
    stop_suggestion,
    value_of_next,
)
from medudl.metrics.intervals import clopper_pearson

STEADY = Change(20, 1, 312)


def opinion(sick: float) -> dict[str, float]:
    return {"sick": sick, "normal": 1 - sick}


def test_only_predictions_that_flip_in_the_pool_count() -> None:
    before = {"a": opinion(0.9), "b": opinion(0.51), "c": opinion(0.2), "t": opinion(0.1), "left": opinion(0.1)}
    after = {"a": opinion(0.6), "b": opinion(0.49), "c": opinion(0.1), "t": opinion(0.9), "new": opinion(0.9)}
    assert change(before, after, {"a", "b", "c", "left", "new"}, 10) == Change(10, 1, 3)


def test_the_share_has_its_exact_interval() -> None:
    share = Change(40, 1, 312).share
    assert (share.value, share.low, share.high, share.n) == (1 / 312, *clopper_pearson(1, 312), 312)
    assert math.isnan(Change(40, 0, 0).share.value)


def test_the_sentence_of_a_steady_model() -> None:
    assert should_stop([Change(20, 3, 312), Change(40, 1, 312)])
    assert stop_suggestion([Change(20, 3, 312), Change(40, 1, 312)]) == (
        "The last 40 labels changed 0.3 % of predictions (1 of 312 cases; 95 % interval 0.0 to 1.8 %). So it was in the"
        " last 2 rankings: more labels of these cases hardly change the model."
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([], "Too early to say whether to stop: that takes 3 trainings"),
        ([STEADY], "(1 of 312 cases; 95 % interval 0.0 to 1.8 %). Too early"),
        ([STEADY, Change(10, 4, 312)], "changed 1.3 % of predictions"),
        ([Change(10, 4, 312), STEADY], "Go on until less than 1 % change in 2 rankings"),
        ([Change(5, 0, 312), Change(5, 0, 312)], "20 labels in 2 trainings it takes, not 10"),
        ([Change(20, 0, 49), Change(20, 0, 49)], "that takes 50 in the pool, there are 49"),
        ([STEADY, Change(1, 4, 312)], "The last label changed 1.3 %"),
        ([STEADY, Change(20, 0, 0)], "Too few cases to say whether to stop"),
    ],
)
def test_it_is_too_early_or_it_goes_on(changes: list[Change], told: str) -> None:
    assert not should_stop(changes)
    assert told in stop_suggestion(changes) and "nan" not in stop_suggestion(changes)


@pytest.mark.parametrize("law", [(1.0, 0.5, 0.1), (0.6, 0.3, 0.0), (2.0, 1.0, 0.05), (0.0, 1.0, 0.2)])
def test_a_curve_that_follows_a_law_gives_it_back(law: tuple[float, float, float]) -> None:
    a, b, c = law
    labels = np.array([20.0, 40, 60, 100, 150])
    errors = a * labels**-b + c
    assert gain_of(labels, errors, 10) <= most_gain_of(labels, errors, 10) + 1e-9
    found = power_law(labels, errors)
    assert found[0] * labels ** -found[1] + found[2] == pytest.approx(errors, abs=2e-4)
    assert gain_of(labels, errors, 10) == pytest.approx(a * (150**-b - 160**-b), rel=0.03, abs=1e-9)


def test_a_curve_that_rises_promises_nothing_and_costs_nothing() -> None:
    assert gain_of(np.array([20.0, 40, 60]), np.array([0.1, 0.2, 0.3]), 10) == 0


def test_the_most_is_a_curve_that_falls_as_much_for_each_doubling() -> None:
    labels = np.array([10.0, 20, 40, 80])
    assert most_gain_of(labels, np.array([0.5, 0.4, 0.3, 0.2]), 80) == pytest.approx(0.1)  # 80 to 160
    assert most_gain_of(labels, np.array([0.2, 0.3, 0.4, 0.5]), 80) == 0


def test_curves_are_fitted_side_by_side() -> None:
    labels, errors = np.array([10.0, 20, 40, 80]), np.random.default_rng(0).uniform(0.1, 0.5, (3, 2, 4))
    both = gain_of(labels, errors, 10)
    assert both.shape == (3, 2)
    assert both[2, 1] == pytest.approx(gain_of(labels, errors[2, 1], 10))


LABELS = [20, 40, 60, 80, 100]


def simulated(
    random: np.random.Generator, patients: int, law: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Truth, predictions and patients of a test set, two cases a patient, whose error follows the law.

    A case errs in a training when its own difficulty, the same in all trainings, is below the error.
    """
    a, b, c = law
    truth = np.repeat(np.arange(patients) % 2, 2)
    difficulty = random.uniform(size=2 * patients)
    wrong = difficulty < (a * np.array(LABELS, float) ** -b + c)[:, None]
    return truth, np.where(wrong, 1 - truth, truth), [f"p{i // 2}" for i in range(2 * patients)]


def test_the_value_of_the_next_labels_of_a_large_test_set_is_the_laws() -> None:
    law = (1.0, 0.5, 0.05)
    found = value_of_next(LABELS, *simulated(np.random.default_rng(1), 5_000, law), repeats=20)
    assert found.error.value == pytest.approx(100**-0.5 + 0.05, abs=0.015)
    assert found.gain.value == pytest.approx(100**-0.5 - 110**-0.5, abs=0.002)
    assert found.gain.low <= found.gain.value <= found.gain.high and found.gain.n == 5_000


def test_the_sentence_on_the_next_labels() -> None:
    truth = np.arange(200) % 2
    wrong = np.arange(200) < np.array([40, 20, 10])[:, None]
    found = value_of_next([10, 20, 40], truth, np.where(wrong, 1 - truth, truth), [f"p{i}" for i in range(200)])
    # .20, .10, .05 halve with twice the labels: 2 / n; the next ten: 2 / 40 - 2 / 50 = .01
    assert found.gain.value == pytest.approx(0.01, abs=2e-4)
    assert found.sentence.startswith(
        "The next 10 labels are expected to lower the error on the random test set from 5 % by 1.0"
    )
    assert found.sentence.endswith("; 200 test patients, 3 trainings).")


def test_an_interval_that_reaches_nothing_says_so() -> None:
    truth = np.arange(20) % 2
    flat = np.tile(np.where(np.arange(20) < 4, 1 - truth, truth), (3, 1))
    found = value_of_next([10, 20, 30], truth, flat, [f"p{i}" for i in range(20)])
    assert found.gain.value == 0 and found.sentence.endswith("This may be nothing.")


@pytest.mark.parametrize(
    ("labels", "truth", "told"),
    [
        ([20, 40], [0, 1, 0, 1], "that takes 3 trainings with different numbers of labels, there are 2"),
        ([20, 40, 40], [0, 1, 0, 1], "there are 2"),
        ([20], [0, 1, 0, 1], "there is 1 training."),
        ([20, 40, 60], [0, 0, 0, 0], "two test patients and two classes"),
        ([20, 40, 60], [], "two test patients and two classes"),
    ],
)
def test_what_cannot_be_told_is_said(labels: list[int], truth: list[int], told: str) -> None:
    predicted = [[0] * len(truth)] * len(labels)
    found = value_of_next(labels, truth, predicted, [f"p{i}" for i in range(len(truth))])
    assert told in found.sentence and "nan" not in found.sentence and "cannot be told yet" in found.sentence
    assert math.isnan(found.gain.value)


def test_patients_are_drawn_and_not_cases() -> None:
    truth = np.array([0, 1] * 20)
    wrong = np.arange(40) < np.array([16, 12, 8])[:, None]
    predicted = np.where(wrong, 1 - truth, truth)
    alone = value_of_next([10, 20, 40], truth, predicted, [f"p{i}" for i in range(40)])
    grouped = value_of_next([10, 20, 40], truth, predicted, [f"p{i // 8}" for i in range(40)])
    assert grouped.error.high - grouped.error.low > alone.error.high - alone.error.low


@pytest.mark.proof
@pytest.mark.parametrize("law", [(1.0, 0.5, 0.05), (0.6, 0.3, 0.0), (3.0, 1.0, 0.1)])
def test_the_interval_holds_the_true_gain_as_often_as_it_says(law: tuple[float, float, float]) -> None:
    a, b, c = law
    truth = a * (100.0**-b - 110.0**-b)
    held, values = 0, []
    for seed in range(200):
        found = value_of_next(LABELS, *simulated(np.random.default_rng(seed), 100, law), repeats=200, seed=seed)
        held += found.gain.low <= truth <= found.gain.high
        values.append(found.gain.value)
    low, high = clopper_pearson(held, 200)
    print(
        f"\nlaw {law}: true gain {truth:.4f}, mean {np.mean(values):.4f}; interval holds it {held} of 200 times"
        f" ({held / 200:.3f}, 95 % {low:.3f} to {high:.3f}); 100 test patients, 5 trainings"
    )
    assert held / 200 >= 0.9
