"""Ranking figures against scikit-learn and against answers known by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from medudl.metrics import curves


@pytest.fixture
def ties() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    truth = random.random(400) < 0.3
    score = np.round(truth * 0.5 + random.normal(size=400), 1)  # many equal scores
    return truth, score, random.integers(0, 4, 400)


def test_equal_to_scikit_learn_with_ties(ties):
    truth, score, _ = ties
    assert curves.auroc(truth, score) == pytest.approx(sk.roc_auc_score(truth, score), abs=1e-12)
    assert curves.average_precision(truth, score) == pytest.approx(sk.average_precision_score(truth, score), abs=1e-12)


def test_weights_count_items_as_often_as_drawn(ties):
    truth, score, weight = ties
    _, sick, healthy = curves.ranked(truth, score, np.stack([weight, np.ones(400)]))
    assert curves.auroc_of(sick, healthy) == pytest.approx(
        [sk.roc_auc_score(truth, score, sample_weight=weight), sk.roc_auc_score(truth, score)]
    )
    assert curves.average_precision_of(sick, healthy)[0] == pytest.approx(
        sk.average_precision_score(truth, score, sample_weight=weight)
    )


def test_known_answers():
    truth = np.array([1, 1, 0, 0, 0, 0, 0, 0], bool)
    assert curves.average_precision(truth, truth.astype(float)) == 1
    assert curves.auroc(truth, -truth.astype(float)) == 0
    assert curves.average_precision(truth, np.zeros(8)) == pytest.approx(2 / 8)  # nothing known: the prevalence
    assert curves.auroc(truth, np.zeros(8)) == 0.5


def test_random_map_has_average_precision_of_prevalence():
    random = np.random.default_rng(1)
    truth = random.random(200_000) < 0.07
    assert curves.average_precision(truth, random.random(200_000)) == pytest.approx(truth.mean(), abs=0.003)


def test_one_class_has_no_figure():
    assert np.isnan(curves.auroc([True, True], [1, 2]))
    assert np.isnan(curves.average_precision([False, False], [1, 2]))
    with pytest.raises(ValueError, match="not a number"):
        curves.auroc([True, False], [np.nan, 1])


def test_dice_at_every_threshold(ties):
    truth, score, _ = ties
    levels, sick, healthy = curves.ranked(truth, score)
    dice = curves.dice_of(sick, healthy)
    for place in (0, 7, len(levels) - 1):
        assert dice[place] == pytest.approx(sk.f1_score(truth, score >= levels[place]))


def test_curve_points_are_those_of_scikit_learn(ties):
    truth, score, _ = ties
    _, sick, healthy = curves.ranked(truth, score)
    false, true = curves.roc_points(sick, healthy)
    wanted = sk.roc_curve(truth, score, drop_intermediate=False)
    assert false == pytest.approx(wanted[0]) and true == pytest.approx(wanted[1])
    recall, precision = curves.precision_recall_points(sick, healthy)
    wanted = sk.precision_recall_curve(truth, score)
    assert precision[::-1] == pytest.approx(wanted[0][:-1]) and recall[::-1] == pytest.approx(wanted[1][:-1])
