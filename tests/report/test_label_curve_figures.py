"""Figures of a label curve: gains that are there, and 'no gain' where none is."""

import numpy as np

from medudl.report.label_curve import SHARES, Fit, summarise, told
from medudl.report.label_curve_page import page

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
                fits.append(Fit(arm, share, seed, int(100 * share), int(200 * share), np.stack([1 - p, p], 1)))
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
