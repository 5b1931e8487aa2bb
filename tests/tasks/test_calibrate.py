"""Thresholds of a tiny run: from held-out healthy scans, told in words."""

import json

import numpy as np
import pytest
from tiny_run import make_cohort, make_run, tiny_config

from medudl.config import Data, Detect
from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.calibrate import Healthy, calibrate, lesion_free, summary
from medudl.tasks.folds import cross_conformal, one_run, runs_of


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("calibrate")
    return make_run(folder / "run", make_cohort(folder / "scans"))


def healthy(scores, subjects=None, areas=0):
    return [Healthy(f"c{i}", (subjects or range(999))[i], s, areas, False) for i, s in enumerate(scores)]


def test_only_held_out_healthy_scans_count(run):
    made = calibrate(run)
    assert made["n_scans"] == made["n_patients"] == 5
    assert {scan["subject"] for scan in made["scans"]} == {f"s{n:02d}" for n in range(3, 8)}
    scores = [scan["score"] for scan in made["scans"]]
    assert made["scan"]["threshold"] == max(scores) and not made["scan"]["alpha_reached"]
    assert made["scan"]["expected_false_alarms"] == pytest.approx(1 / 6)
    assert json.loads((run.path / "calibration.json").read_text()) == made
    assert "About 1 in 6 healthy scans" in made["text"] and "too few for a rate of 5%" in made["text"]


def test_the_same_run_gives_the_same_thresholds(run):
    assert calibrate(run) == calibrate(run.path)


def test_voxel_threshold_is_the_percentile_of_healthy_voxels(run):
    from medudl.data.cases import cases_of
    from medudl.tasks.detector import Detector

    detector, cohort = Detector(run), run.cohort()
    cases, _ = cases_of(cohort.select({}, "val"), run.config.data)
    scans = [detector.scored(cohort, case) for case in cases]
    voxels = np.concatenate([scan.smooth[scan.inside] for scan in scans])
    threshold = calibrate(run)["voxel"]["threshold"]
    assert (voxels > threshold).mean() <= 0.005
    assert threshold == pytest.approx(np.percentile(voxels, 99.5), rel=0.02)


def test_forty_healthy_patients_reach_one_in_twenty():
    made = summary(healthy(np.arange(40.0)), 0.1, Detect())
    assert made["scan"]["threshold"] == 38 and made["scan"]["alpha_reached"]
    assert made["text"].startswith("About 1 in 20 healthy scans will be flagged (n = 40 healthy patients")
    assert made["scan"]["low"] < made["scan"]["expected_false_alarms"] < made["scan"]["high"]


def test_scans_of_one_patient_are_no_patients():
    made = summary(healthy(np.arange(40.0), subjects=[i // 4 for i in range(40)]), 0.1, Detect())
    assert made["n_patients"] == 10 and not made["scan"]["alpha_reached"]
    assert made["scan"]["expected_false_alarms"] == pytest.approx(1 / 11)


def test_areas_per_healthy_scan():
    some = summary(healthy(np.arange(40.0), areas=2), 0.1, Detect())["areas"]
    assert some["per_healthy_scan"] == 2 and some["low"] < 2 < some["high"]
    none = summary(healthy(np.arange(40.0)), 0.1, Detect())["areas"]
    assert none["per_healthy_scan"] == 0 and none["high"] == pytest.approx(3.689 / 40, abs=0.001)


def test_without_healthy_scans_there_is_no_threshold(tmp_path):
    run = make_run(tmp_path / "run", make_cohort(tmp_path / "scans", val=0))
    made = calibrate(run)
    assert made["scan"] is None and made["voxel"] is None
    assert "no held-out healthy scan" in made["text"] and "val split" in made["text"]


def test_lesion_free_slices_stand_in_and_are_named(tmp_path):
    config = tiny_config(healthy_labels=[], lesion_free_slices=True)
    cohort = make_cohort(tmp_path / "scans", train=1, val=2, healthy=0, sick=3)
    text = cohort.read_text().replace("plaque,test", "plaque,val")
    cohort.write_text(text)
    made = calibrate(make_run(tmp_path / "run", cohort, config))
    # Scans without a mask or a healthy label may hold lesions: only those with a mask count, away from it.
    assert made["n_scans"] == 3 and all(scan["part"] for scan in made["scans"])
    assert "Lesion-free slices" in made["text"]


def test_lesion_free_slices_keep_their_distance():
    mask = np.zeros((1, 8, 3, 3), bool)
    mask[0, 3, 1, 1] = True
    assert lesion_free("c", mask, Data(lesion_margin=1))[:, 0, 0].tolist() == [True] * 2 + [False] * 3 + [True] * 3
    assert lesion_free("c", mask, Data(lesion_margin=0)).sum() == 7
    with pytest.raises(UserError, match="mask is absent"):
        lesion_free("c", None, Data())


def test_folds_are_pooled(tmp_path):
    cohort = make_cohort(tmp_path / "scans")
    for fold in range(2):
        run = make_run(tmp_path / "folds" / f"fold-{fold}", cohort)
        held_out = healthy(np.arange(20.0) + fold / 2, range(20 * fold, 99))
        run.write_json("calibration.json", summary(held_out, 1, Detect()))
    runs = runs_of(tmp_path / "folds")
    made = cross_conformal(runs)
    assert [r.path.name for r in runs] == ["fold-0", "fold-1"]
    assert made["n_patients"] == 40 and made["scan"]["rule"].startswith("cross-conformal over 2 folds")
    assert made["scan"]["threshold"] == np.sort(np.r_[np.arange(20.0), np.arange(20) + 0.5])[38]
    with pytest.raises(UserError, match=r"holds 2 folds; give one of them.*fold-0"):
        one_run(tmp_path / "folds")
    with pytest.raises(UserError, match="no such run"):
        one_run(tmp_path / "nothing")


def test_the_cache_of_the_training_is_used_and_changes_nothing(tmp_path, monkeypatch):
    from medudl.data.cache import Cache
    from medudl.data.cases import cases_of
    from medudl.data.pipeline import Pipeline

    run = make_run(tmp_path / "run", make_cohort(tmp_path / "scans"))
    fresh = calibrate(run)
    cases, _ = cases_of(run.cohort(), run.config.data)
    Cache(tmp_path / ".medudl_cache", run.pipeline(), run.cohort()).fill(cases)
    monkeypatch.setattr(Pipeline, "prepare", lambda *_: pytest.fail("prepared again"))
    assert calibrate(run) == fresh
