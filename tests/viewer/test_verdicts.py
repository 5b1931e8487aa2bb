"""Words for scores, rates and verdicts: true to the figures, and silent where a file says nothing."""

import json

import pytest

from apps.viewer.verdicts import curve_of, figures, score_of, verdict_of

ROW = {
    "score": 0.0842, "threshold": 0.0862, "expected_false_alarms": 1 / 13, "expected_false_alarms_low": 0.0,
    "expected_false_alarms_high": 0.2646,
}  # fmt: skip
CALIBRATION = {
    "n_patients": 12,
    "scan": {"alpha": 0.05, "alpha_reached": False},
    "voxel": {"threshold": 0.078},
    "areas": {"per_healthy_scan": 18.3, "low": 14.8, "high": 22.2},
}


def test_a_score_says_what_it_means():
    told = score_of(ROW, CALIBRATION)
    assert told.sentence == "This scan: .084; threshold .086: not flagged." and told.flagged is False
    assert told.promise == (
        "About 1 in 13 healthy scans is flagged (n = 12 healthy patients, 95 % interval 0 % to 26 %)."
        " Too few for the rate of 5 % that was asked for."
    )
    assert score_of({**ROW, "score": 0.33}, None).flagged is True
    assert "n =" not in score_of(ROW, None).promise and "about 1 in 13" in score_of(ROW, None).promise.lower()


def test_scores_near_the_threshold_can_be_told_apart():
    assert figures(0.08600, 0.08624) == (".0860", ".0862")
    assert figures(0.3, 0.3) == (".30000", ".30000")
    # A scan is flagged above its threshold, not on it.
    assert score_of({**ROW, "score": 0.0862}, None).flagged is False


def test_no_threshold_no_promise():
    told = score_of({"score": 0.1, "threshold": float("nan")}, None)
    assert told.flagged is None and "nothing is flagged" in told.sentence and told.promise == ""
    assert score_of({"score": None}, None).sentence == "This scan has no score."


def test_an_older_run_has_one_point_and_says_so():
    made = curve_of(CALIBRATION)
    assert made.points == ({"threshold": 0.078, "rate": 18.3, "n": 12, "low": 14.8, "high": 22.2},)
    assert made.own == 0.078 and "one threshold only" in made.text


def test_a_curve_rises_and_leaves_out_what_is_damaged():
    rows = [
        {"threshold": 0.2, "per_healthy_scan": 0.0, "low": 0.0, "high": 0.3},
        {"threshold": 0.1, "per_healthy_scan": 5.0, "low": None, "high": None},
        {"threshold": None, "per_healthy_scan": 5.0}, "?",
    ]  # fmt: skip
    made = curve_of({**CALIBRATION, "curve": {"points": rows, "text": "Measured on few."}})
    assert [p["threshold"] for p in made.points] == [0.1, 0.2] and made.text == "Measured on few."
    assert "low" not in made.points[0] and made.points[1]["high"] == 0.3


@pytest.mark.parametrize("broken", [None, [], "x", {}, {"voxel": None, "curve": None}, {"curve": {"points": 7}}])
def test_nothing_known_nothing_promised(broken):
    made = curve_of(broken)
    assert made.points == () and made.text


def test_a_report_in_words():
    rows = [{"name": n, "value": v, "low": v - 0.1, "high": v + 0.1} for n, v in
            [("T2 intensity", 0.8), ("the model", 0.7), *((f"other {i}", 0.5 - i / 10) for i in range(5))]]  # fmt: skip
    report = {
        "verdict": "The model does not beat it.", "beats": False, "scans": 36, "patients": 30,
        "voxel": {"prevalence": 0.013}, "baselines": {"voxel": rows, "scan": []},
        "scan": {"flagged": {"sick": [21, 24], "healthy": [0, 12]}},
    }  # fmt: skip
    made = verdict_of(json.loads(json.dumps(report)))
    assert made is not None and made.beats is False
    ((title, table),) = made.tables
    assert ".013 is chance" in title and table[0] == ("T2 intensity", ".80 (.70 to .90)")
    assert table[1][0] == "the model" and len(table) == 4
    assert "Flagged 21 of 24 scans with a lesion." in made.notes and "Judged on 36 scans of 30 patients." in made.notes


def test_the_model_is_shown_even_where_it_comes_last():
    rows = [{"name": f"b{i}", "value": 0.9 - i / 100} for i in range(9)] + [{"name": "the model", "value": 0.1}]
    made = verdict_of({"verdict": "No verdict: too few.", "beats": None, "baselines": {"scan": rows}})
    assert made is not None and made.beats is None and made.tables[0][1][-1] == ("the model", ".10")


@pytest.mark.parametrize("broken", [None, [], {}, {"verdict": 3}])
def test_no_report(broken):
    assert verdict_of(broken) is None
    assert verdict_of({"verdict": "x", "baselines": {"voxel": [broken]}}).tables == ()
