"""Evaluate a tiny run: report.json, a page that needs no network, and what is said where figures are not possible."""

import json
import re

import pandas as pd
import pytest
from tiny_run import make_cohort, make_run, tiny_config

from medudl.errors import UserError
from medudl.report.evaluate import evaluate
from medudl.tasks.calibrate import calibrate


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    made = make_run(folder / "run", make_cohort(folder / "scans"))
    calibrate(made)
    return made


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    return evaluate(run.path, out=out, progress=False), out


def test_every_figure_is_there_with_its_number_of_patients(report):
    tree, out = report
    assert tree == json.loads((out / "report.json").read_text())
    assert tree["scans"] == tree["patients"] == 9
    voxel, scan, false = tree["voxel"], tree["scan"], tree["false_areas_per_scan"]
    figures = [voxel["average_precision"], voxel["dice_at_healthy_threshold"], false["healthy_scans"]]
    for figure in (*figures, scan["auroc"], scan["average_precision"]):
        assert figure["value"] is not None and figure["n"] >= 4
    assert tree["voxel"]["scans"] == 5 and tree["scan"]["healthy"] == 4 and tree["scan"]["sick"] == 5
    assert tree["voxel"]["best_dice_optimistic"] > 0 and sum(row["lesions"] for row in tree["lesion_recall"]) == 5
    assert 0 < tree["rim"]["share_of_voxels"] < 1
    names = {row["name"] for row in tree["baselines"]["voxel"]}
    assert {"intensity", "equalised intensity", "local standard deviation", "|x - mean| / std"} < names
    assert "minus whole-scan standard deviation" in {row["name"] for row in tree["baselines"]["scan"]}
    words = r"The model (beats|does not beat) the best trivial baseline \(voxel AP \.\d\d against "
    assert re.match(words, tree["verdict"])


def test_a_bright_lesion_is_found_by_plain_intensity(report):
    rows = {row["name"]: row["value"] for row in report[0]["baselines"]["voxel"]}
    # Lesions are 80 brighter than tissue of 100 +- 10: only the filter's blurred edge keeps it from 1.
    assert rows["intensity"] > 0.8 and rows["darkness (1 - intensity)"] < 0.1


def test_the_page_opens_without_a_network(report):
    html = (report[1] / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=['\"]?(https?:)?//", html)
    assert html.count("src='data:image/png;base64,") == 4  # two examples a label
    for words in (report[0]["verdict"], "Not a medical device", "Best Dice over all thresholds (optimistic", "plaque"):
        assert words in html


def test_the_same_run_gives_the_same_report(run, report, tmp_path):
    again = evaluate(run.path, run.path / "cohort.csv", out=tmp_path / "again", progress=False)
    assert again == report[0]
    assert (tmp_path / "again" / "report.html").read_bytes() == (report[1] / "report.html").read_bytes()


def test_hostile_labels_do_not_become_markup(tmp_path):
    cohort = make_cohort(tmp_path / "scans", train=2, val=2, healthy=2, sick=2)
    cohort.write_text(cohort.read_text().replace("plaque", "<script>alert(1)</script>"))
    run = make_run(tmp_path / "run", cohort)
    calibrate(run)
    tree = evaluate(run.path, out=tmp_path / "out", progress=False)
    assert "<script>alert" not in (tmp_path / "out" / "report.html").read_text()
    assert tree["verdict"].startswith("No verdict: 2 test patients are too few") and tree["beats"] is None


def test_labels_without_masks(tmp_path):
    cohort = make_cohort(tmp_path / "scans", masks=False)
    run = make_run(tmp_path / "run", cohort)
    calibrate(run)
    tree = evaluate(run.path, out=tmp_path / "out", progress=False)
    assert tree["voxel"] is None and tree["measure"] == "AUROC" and "(AUROC " in tree["verdict"]
    assert tree["kinds"][0]["measure"] == "AUROC" and tree["kinds"][0]["patients"] == 5


def test_no_thresholds_still_gives_figures(tmp_path):
    run = make_run(tmp_path / "run", make_cohort(tmp_path / "scans", val=0))
    calibrate(run)
    tree = evaluate(run.path, out=tmp_path / "out", progress=False)
    assert tree["voxel"]["average_precision"]["value"] > 0
    assert tree["voxel"]["dice_at_healthy_threshold"] is None and tree["scan"]["flagged"] is None


def test_folds_are_pooled(tmp_path):
    cohort = make_cohort(tmp_path / "scans")
    table = pd.read_csv(cohort, dtype=str, keep_default_na=False)
    for fold in range(2):
        split = table["split"].where(table["split"] != "test", "unused")
        split[(table["split"] == "test") & (table.index % 2 == fold)] = "test"
        table.assign(split=split.replace("unused", "")).to_csv(cohort.parent / f"fold{fold}.csv", index=False)
        calibrate(make_run(tmp_path / "runs" / f"fold-{fold}", cohort.parent / f"fold{fold}.csv"))
    tree = evaluate(tmp_path / "runs", out=tmp_path / "out", progress=False)
    assert tree["folds"] == 2 and tree["patients"] == 9 and tree["difference"]["n"] == 5
    assert tree["calibration"]["scan"]["rule"].startswith("cross-conformal over 2 folds")
    assert "pooled over 2 folds" in (tmp_path / "out" / "report.html").read_text()


def test_what_cannot_be_evaluated_is_told_in_one_line(run, tmp_path):
    with pytest.raises(UserError, match="split holdout: nothing to evaluate"):
        evaluate(run.path, split="holdout", out=tmp_path / "out", progress=False)
    other = make_cohort(tmp_path / "scans")
    other.write_text(other.read_text().replace(",train", ",test"))
    with pytest.raises(UserError, match=r"trained on 3 of these patients \(s00, s01, s02\)"):
        evaluate(run.path, other, out=tmp_path / "out", progress=False)
    bare = make_run(tmp_path / "bare", other, tiny_config())
    with pytest.raises(UserError, match="has no calibration.json"):
        evaluate(bare.path, out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "report.json").exists()
