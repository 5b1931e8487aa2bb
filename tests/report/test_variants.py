"""The ablation of the postprocessing: what is switched off is off, and the rest stays as it was."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_run import make_cohort, make_run

from medudl.config import Detect
from medudl.data.cases import cases_of
from medudl.report.evaluate import evaluate
from medudl.report.records import MODEL
from medudl.report.variants import variants
from medudl.tasks.calibrate import calibrate
from medudl.tasks.detector import Detector
from medudl.tasks.postprocess import scan_score


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    run = make_run(folder / "run", make_cohort(folder / "scans"))
    calibrate(run)
    return Detector(run, "cpu")


@pytest.fixture(scope="module")
def scan(detector):
    cohort = detector.run.cohort()
    case = next(case for case in cases_of(cohort, detector.data)[0] if case.masked)
    found = detector.scored(cohort, case)
    return replace(found, own={"latent_distance": np.arange(len(found.raw), dtype=np.float64)})


def test_what_is_off_is_off(detector, scan):
    mask = scan.prepared.mask[0]
    found = variants(scan, mask, detector.settings, 2)
    bare = np.where(scan.foreground, scan.raw, 0)
    chosen = Detect(score="top", top_percent=detector.settings.top_percent)
    assert found["without either"].score == scan_score(bare, scan.foreground, chosen)
    unfiltered = np.where(scan.inside, scan.raw, 0)
    assert found["without the median filter"].score == scan_score(unfiltered, scan.inside, chosen)
    region = scan.foreground | mask
    counts = found["without either"].counts
    assert counts.sick.sum() == mask.sum() and counts.sick.sum() + counts.healthy.sum() == region.sum()
    assert found["without erosion of the foreground"].score not in (scan.score, found["without either"].score)


def test_every_scan_score_but_the_chosen_one_is_there(detector, scan):
    found = variants(scan, None, detector.settings, 2)
    kinds = {name for name in found if name.startswith("scan score")}
    assert kinds == {
        "scan score: mean of the map",
        "scan score: highest value of the map",
        "scan score: latent distance",
    }
    slices = np.flatnonzero(scan.inside.any(axis=(1, 2)))
    assert found["scan score: latent distance"].score == slices.mean()
    assert found["scan score: highest value of the map"].score == scan.smooth[scan.inside].max()
    own = detector.settings.model_copy(update={"score": "latent_distance"})
    assert "scan score: latent distance" not in variants(scan, None, own, 2)
    assert "scan score: highest 5 % of the map" in variants(scan, None, own, 2)


def test_nothing_to_switch_off_is_no_row(detector, scan):
    none = detector.settings.model_copy(update={"median": 0, "erode": 0})
    assert not [name for name in variants(scan, None, none, 2) if name.startswith("without")]


def test_the_report_has_the_table_paired_with_the_model(detector, tmp_path):
    tree = evaluate(detector.run.path, out=tmp_path, progress=False)
    rows = {row["name"]: row for row in tree["variants"]}
    assert rows[MODEL]["voxel"]["figure"] == tree["voxel"]["average_precision"]
    assert rows[MODEL]["scan"]["figure"] == tree["scan"]["auroc"] and rows[MODEL]["scan"]["difference"] is None
    off = rows["without either"]["voxel"]
    wanted = off["figure"]["value"] - tree["voxel"]["average_precision"]["value"]
    assert off["difference"]["value"] == pytest.approx(wanted) and off["difference"]["n"] == 5
    assert rows["scan score: mean of the map"]["voxel"] is None  # the map is the same
    assert "without erosion of the foreground" in (tmp_path / "report.html").read_text()


def test_a_methods_own_score_takes_the_place_of_the_maps(detector, scan):
    own = detector.settings.model_copy(update={"score": "latent_distance"})
    expected = np.flatnonzero(scan.inside.any(axis=(1, 2))).mean()
    assert scan_score(scan.smooth, scan.inside, own, scan.own) == expected
    # A baseline has no such score: its map is summed up as `top` does.
    top = detector.settings.model_copy(update={"score": "top"})
    assert scan_score(scan.smooth, scan.inside, own) == scan_score(scan.smooth, scan.inside, top)
