"""Figures and verdict from records made by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from medudl.config import validate_config
from medudl.metrics.detection import areas, lesions
from medudl.metrics.voxels import count
from medudl.report import figures
from medudl.report.records import MODEL, Record
from medudl.report.summary import summarise
from medudl.report.verdict import verdict

SHAPE = (4, 20, 20)
CONFIG = validate_config({"method": {"name": "autoencoder"}}, "test")
CALIBRATION = {"text": "About 1 in 20.", "n_patients": 12, "scan": None, "voxel": None, "scans": [{"case": "a"}]}


def record(number, *, sick=True, model=3.0, baseline=0.0, label="plaque", subject=None):
    """A scan whose maps stand out by `model` and `baseline` standard deviations in its lesion."""
    random = np.random.default_rng(number)
    mask = np.zeros(SHAPE, bool)
    if sick:
        mask[1:3, 5:9, 5:9] = True
    maps = {
        MODEL: np.abs(random.normal(size=SHAPE)) + model * mask,
        "intensity": np.abs(random.normal(size=SHAPE)) + baseline * mask,
    }
    called = areas(maps[MODEL] > 2.5, 5)[0]
    met = lesions(called, mask) if sick else None
    counts = {name: count(heat.astype(np.float32).ravel(), mask.ravel()) for name, heat in maps.items()} if sick else {}
    return Record(
        case=f"sub-{number}", subject=subject or f"p{number:03d}", label=label if sick else "healthy", sick=sick,
        scores={name: float(heat.max()) for name, heat in maps.items()}, numbers={"whole-scan mean": random.normal()},
        rim=(0.3, 0.2), millilitres=0.01, threshold=3.5, voxel_threshold=2.5,
        counts=counts, lesions=met, false=met.false if met else 0,
        overlap=(2.0 * (called[mask] > 0).sum(), float((called > 0).sum() + mask.sum())) if sick else None,
    )  # fmt: skip


def cohort(count=12, **how):
    return [record(i, **how) for i in range(count)] + [record(100 + i, sick=False) for i in range(6)]


def test_model_that_beats_the_baseline():
    records = cohort()
    closing = verdict(figures.voxel_rankings(records), figures.scan_rankings(records))
    assert closing.beats is True and closing.measure == "voxel AP" and closing.baseline == "intensity"
    assert closing.text.startswith("The model beats the best trivial baseline (voxel AP ")
    assert "n = 12 patients" in closing.text and "95 % interval +" in closing.text


def test_model_that_does_not():
    records = cohort(model=1.0, baseline=3.0)
    closing = verdict(figures.voxel_rankings(records), [])
    assert closing.beats is False and closing.text.startswith("The model does not beat the best trivial baseline")
    assert closing.difference.high < 0
    even = verdict(figures.voxel_rankings(cohort(model=1.0, baseline=1.0)), [])
    assert even.beats is False and even.difference.low < 0 < even.difference.high


def test_being_ahead_is_not_enough():
    random = np.random.default_rng(0)

    def ranking(name, value):
        samples = value + 0.05 * random.normal(size=500)
        return figures.Ranking(name, figures.bootstrap(value, samples, 24), samples)

    close = verdict([ranking(MODEL, 0.52), ranking("intensity", 0.50)], [])
    assert close.difference.value > 0 > close.difference.low and close.beats is False
    assert verdict([ranking(MODEL, 0.92), ranking("intensity", 0.50)], []).beats is True


def test_every_resample_has_sick_and_healthy_patients():
    records = [record(0), *(record(100 + i, sick=False) for i in range(6))]
    assert all(np.isfinite(r.samples).all() for r in figures.scan_rankings(records))


def test_below_five_patients_there_is_no_verdict():
    closing = verdict(figures.voxel_rankings(cohort(4)), [])
    assert closing.beats is None and closing.text.startswith("No verdict: 4 test patients are too few")
    assert verdict(figures.voxel_rankings(cohort(5)), []).beats is True
    # five scans of one patient are one patient
    one = [record(i, subject="same") for i in range(8)]
    assert verdict(figures.voxel_rankings(one), []).text.startswith("No verdict: 1 test patient is")


def test_labels_alone_are_judged_by_auroc():
    records = [replace(r, counts={}, lesions=None) for r in cohort()]
    closing = verdict(figures.voxel_rankings(records), figures.scan_rankings(records))
    assert closing.measure == "AUROC" and closing.difference.n == 18
    assert verdict([], []).beats is None


def test_perfect_map_has_ap_one_and_blind_map_the_prevalence():
    rankings = {r.name: r for r in figures.voxel_rankings(cohort(model=50.0))}
    prevalence = 32 / np.prod(SHAPE)
    assert rankings[MODEL].figure.value == 1 and rankings[MODEL].best_dice == 1
    assert rankings["intensity"].figure.value == pytest.approx(prevalence, abs=0.02)


def test_scan_baselines_come_with_both_signs():
    records = [replace(r, numbers={"whole-scan mean": -float(r.sick)}) for r in cohort()]
    rankings = {r.name: r for r in figures.scan_rankings(records)}
    assert rankings["whole-scan mean"].figure.value == 0 and rankings["minus whole-scan mean"].figure.value == 1
    assert f"minus {MODEL}" not in rankings
    assert figures.scan_rankings(records[:12]) == []  # nobody is healthy


def test_dice_at_the_healthy_threshold_is_that_of_the_areas():
    records = cohort()
    top = sum(r.overlap[0] for r in records[:12])
    below = sum(r.overlap[1] for r in records[:12])
    made = figures.dice_at_threshold(records)
    assert made.value == pytest.approx(top / below) and made.low < made.value < made.high and made.n == 12


def test_lesion_recall_by_size():
    rows = figures.lesion_recall(cohort())
    assert [row["lesions"] for row in rows] == [0, 12, 0, 0]  # 32 voxels of .01 ml
    assert rows[1]["recall"] == 1 and rows[1]["low"] == pytest.approx(0.025 ** (1 / 12)) and rows[0]["recall"] is None
    flat = figures.lesion_recall([replace(r, millilitres=0.0) for r in cohort()])
    assert flat[1]["unit"] == "pixels" and flat[1]["lesions"] == 12


def test_false_areas_per_scan():
    healthy = [replace(record(i, sick=False), false=n) for i, n in enumerate([0, 2, 1, 1, 0, 2])]
    assert figures.per_scan(healthy).value == pytest.approx(1.0)
    none = figures.per_scan([replace(r, false=0) for r in healthy])
    assert none.value == 0 and none.high == pytest.approx(3.689 / 6, abs=0.01)
    assert figures.per_scan([replace(r, false=None) for r in healthy]) is None


def test_report_names_the_kinds_that_the_model_loses():
    records = cohort() + [record(50 + i, model=0.0, baseline=3.0, label="bleed") for i in range(6)]
    tree = summarise(records, CONFIG, CALIBRATION, "test")
    kinds = {row["kind"]: row for row in tree["kinds"]}
    assert kinds["plaque"]["model_is_ahead"] and not kinds["bleed"]["model_is_ahead"]
    assert kinds["bleed"]["patients"] == 6 and kinds["bleed"]["best_baseline"] == "intensity"
    assert tree["verdict"] and tree["bootstrap"] == {"repeats": 2000, "seed": 0, "unit": "patient", "level": 0.95}
    assert tree["baselines"]["voxel"][0]["value"] >= tree["baselines"]["voxel"][1]["value"]
    assert tree["scan"]["flagged"]["sick"][1] == 18 and "scans" not in tree["calibration"]
    json.dumps(tree, allow_nan=False)


def test_the_same_records_give_the_same_report():
    a, b = (json.dumps(summarise(cohort(), CONFIG, CALIBRATION, "test")) for _ in range(2))
    assert a == b
