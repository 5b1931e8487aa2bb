"""Figures of a label curve: gains that are there, and 'no gain' where none is."""

import numpy as np

from medudl.report.label_curve import SHARES, Cost, Fit, summarise
from medudl.report.label_curve_page import page
from medudl.report.label_curve_words import reading, told

CLASSES = ["NORMAL", "ILL"]


def _fits(sharp: dict[str, float], seeds: int = 4, patients: int = 120) -> tuple[list[Fit], np.ndarray, list[str]]:
    """Arms that see the truth through noise; `sharp` is how clearly. Two scans a patient."""
    truth = np.repeat(np.arange(patients) % 2, 2)
    fits = []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        noise = random.normal(size=len(truth))
        for number, (arm, clear) in enumerate(sharp.items()):
            for share in SHARES:
                own = 0.02 * np.random.default_rng([seed, number]).normal(size=len(truth))
                p = 1 / (1 + np.exp(-((2 * truth - 1) * clear + noise + own)))
                sizes = int(100 * share), int(200 * share), int(40 * share), int(120 * share)
                fits.append(Fit(arm, share, seed, *sizes, np.stack([1 - p, p], 1)))
    return fits, truth, [f"p{n // 2}" for n in range(len(truth))]


def test_a_gain_is_told_and_no_gain_is_told() -> None:
    fits, truth, subjects = _fits({"scratch: a": 0.5, "better": 1.5, "same": 0.5, "worse": 0.1})
    pairs = {name: "scratch: a" for name in ("better", "same", "worse")}
    tree = summarise(fits, truth, subjects, CLASSES, pairs)
    judged = {name: {row["judged"] for row in tree["rows"] if row["arm"] == name} for name in pairs}
    assert judged == {"better": {"gain"}, "same": {"no gain"}, "worse": {"loss"}}
    assert "same: no gain at any share of the labels" in tree["verdict"]
    assert "no gain" in tree["table"] and "no gain" in page(tree)
    row = next(row for row in tree["rows"] if row["arm"] == "same" and row["share"] == 0.05)
    assert row["difference_from_scratch"]["low"] < 0 < row["difference_from_scratch"]["high"]
    assert row["scans"] == 10 and row["balanced_accuracy"]["n"] == 120


def test_differences_are_paired() -> None:
    """Arms that share their noise: the difference is known better than either figure."""
    fits, truth, subjects = _fits({"scratch: a": 0.6, "b": 0.9})
    tree = summarise(fits, truth, subjects, CLASSES, {"b": "scratch: a"})
    row = next(row for row in tree["rows"] if row["arm"] == "b")
    wide = row["balanced_accuracy"]["high"] - row["balanced_accuracy"]["low"]
    assert row["difference_from_scratch"]["high"] - row["difference_from_scratch"]["low"] < wide


def test_too_few_patients_give_no_verdict() -> None:
    fits, truth, subjects = _fits({"scratch: a": 0.5, "b": 1.5}, patients=4)
    assert "No verdict: 4 test patients" in summarise(fits, truth, subjects, CLASSES, {"b": "scratch: a"})["verdict"]


def test_a_fit_survives_its_json() -> None:
    fit = _fits({"a": 1.0}, seeds=1)[0][0]
    again = Fit.of(fit.tree())
    assert again.arm == "a" and np.allclose(again.probability, fit.probability, atol=1e-6)


def test_signs() -> None:
    assert told({"value": -0.04, "low": -0.1, "high": 0.02}, signed=True) == "-.040 (-.100 to +.020)"


def test_numbers_of_labels_cost_minutes() -> None:
    """5, 50 labels a class of two; 24 seconds a label: (10 + 10) * 24 / 60 = 8 minutes, (100 + 10) * 24 / 60 = 44."""
    truth = np.arange(60) % 2
    right = np.eye(2)[truth]
    wrong = right.copy()
    wrong[:6] = right[:6, ::-1]
    fits = [Fit("one", n, 0, 2 * n, 2 * n, 10, n + 5, p) for n, p in ((5, wrong), (50, right))]
    subjects = [f"p{n}" for n in range(60)]
    tree = summarise(fits, truth, subjects, CLASSES, {}, unit="per_class", cost=Cost(24.0, 31, "series"))
    assert [row["minutes"] for row in tree["rows"]] == [8.0, 44.0]
    assert [row["per_class"] for row in tree["rows"]] == [5, 50] and tree["rows"][0]["share"] is None
    assert np.isclose(tree["rows"][0]["error"]["value"], 0.1) and tree["rows"][1]["error"]["value"] == 0
    told_of = reading(tree)
    assert "24.0 seconds (median of 31 first reads" in told_of[0]
    assert told_of[2].startswith("50 labels a class: about 44 minutes of reading (100 scans to learn from, 10 to")
    assert "50 a class" in tree["table"] and "minutes of reading" in page(tree)
    by_study = summarise(fits, truth, subjects, CLASSES, {}, unit="per_class", cost=Cost(24.0, 31, "study"))
    assert [row["minutes"] for row in by_study["rows"]] == [4.0, 22.0]


def test_an_error_is_paired_as_well() -> None:
    fits, truth, subjects = _fits({"scratch: a": 0.5, "better": 1.5})
    tree = summarise(fits, truth, subjects, CLASSES, {"better": "scratch: a"})
    for row in tree["rows"]:
        if row["arm"] == "better":
            assert row["error_difference_from_scratch"]["high"] < 0
