"""The adjusted Rand index by its formula against scikit-learn's, its level under chance, its interval by patient."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, confusion_matrix

from medudl.metrics.clusters import adjusted_rand, agreement


def test_it_is_the_index_of_scikit_learn():
    rng = np.random.default_rng(0)
    for k, c in ((2, 2), (3, 5), (7, 2)):
        clusters, classes = rng.integers(0, k, 90), rng.integers(0, c, 90)
        classes[:40] = clusters[:40] % c
        table = confusion_matrix(clusters, classes)
        assert float(adjusted_rand(table)) == pytest.approx(adjusted_rand_score(classes, clusters), abs=1e-12)
        assert agreement(clusters, [str(x) for x in classes], [str(n) for n in range(90)]).value == pytest.approx(
            adjusted_rand_score(classes, clusters), abs=1e-12
        )


def test_equal_groupings_have_one_and_chance_has_nought():
    rng = np.random.default_rng(1)
    assert adjusted_rand(np.diag([5, 9, 2])) == 1 == adjusted_rand([[7]])
    tables = [confusion_matrix(rng.integers(0, 3, 200), rng.integers(0, 3, 200)) for _ in range(200)]
    assert adjusted_rand(np.stack(tables)).mean() == pytest.approx(0, abs=0.003)


def test_renaming_changes_nothing():
    one = agreement([0, 0, 1, 1, 2], list("aabbc"), list("vwxyz"))
    other = agreement([9, 9, 4, 4, 1], list("zzyyx"), list("vwxyz"))
    assert one == other and one.value == 1


def test_the_interval_is_by_patient_and_wider_than_by_item():
    rng = np.random.default_rng(2)
    right = rng.random(12) < 0.7  # a patient's 20 items are all grouped rightly, or all wrongly
    classes = np.repeat(np.arange(12) % 2, 20)
    clusters = np.where(np.repeat(right, 20), classes, 1 - classes)
    patients = np.repeat(np.arange(12), 20)
    by_patient = agreement(clusters, [str(c) for c in classes], [str(p) for p in patients])
    by_item = agreement(clusters, [str(c) for c in classes], [str(n) for n in range(240)])
    assert by_patient.n == 12 and by_item.n == 240 and by_patient.value == by_item.value
    assert by_patient.low <= by_patient.value <= by_patient.high
    assert by_patient.high - by_patient.low > 2 * (by_item.high - by_item.low)


def test_one_patient_has_no_interval_and_none_no_figure():
    assert agreement([0, 1], ["a", "b"], ["p", "p"]).as_dict()["low"] is None
    assert agreement([], [], []).as_dict() == {"value": None, "low": None, "high": None, "n": 0}
