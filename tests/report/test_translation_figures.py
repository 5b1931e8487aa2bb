"""Figures, closing line, calibration and pictures of a translation, each against an answer known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from medudl.report.translation_calibration import CYCLE, UNCERTAINTY, calibration_of, told_by
from medudl.report.translation_figures import MODEL, Scale, Scored, figures_of, kinds, measured, scale_of
from medudl.report.translation_kernel import REAL, TRAINING, Looked
from medudl.report.translation_lesion_figures import prevalence
from medudl.report.translation_pictures import Example, Shown, chosen, data_url, example
from medudl.report.translation_verdict import best_on, closing

CT = {"name": "CT", "unit": "HU", "low": -1000.0, "high": 1000.0}
MR = {"name": "T2", "unit": "arbitrary", "low": 40.0, "high": 1540.0}
INSIDE = np.ones((6, 48, 48), bool)


def _scored(errors: list[float], baseline: list[float], scale: Scale) -> list[Scored]:
    """A patient each."""
    return [
        Scored(f"c{i}", f"p{i}", {MODEL: [{"mae": own}], "ruler": [{"mae": other}], "other": [{"mae": 1e3}]})
        for i, (own, other) in enumerate(zip(errors, baseline, strict=True))
    ]


def test_ct_is_measured_in_hu_on_the_fixed_range() -> None:
    scale = scale_of(CT, "slices", 48)
    assert (scale.low, scale.high, scale.width, scale.axis, scale.scales) == (-1024, 3000, 2000, 0, 3)
    truth = np.zeros((6, 48, 48), np.float32)
    truth[:, :24] = -1000
    truth[:, :, :12] = 600
    found = measured(truth, truth + 100, INSIDE, scale)
    assert found["mae"] == pytest.approx(100) and found["psnr"] == pytest.approx(20 * math.log10(4024 / 100), abs=1e-6)
    assert found["dice_bone"] == found["dice_air"] == 1
    assert found["jumps_rows"] == pytest.approx(1) and math.isnan(found["jumps_slices"]), "slices are all alike"
    lost = measured(truth, np.where(truth > 250, 0, truth), INSIDE, scale)
    assert lost["dice_bone"] == 0 and lost["dice_air"] == 1
    titles = kinds(scale, "the foreground (body)")
    assert set(titles) == set(found) and "[-1024, 3000] HU" in titles["psnr"].definition
    assert "the foreground (body)" in titles["mae"].definition


def test_other_units_have_neither_bone_nor_air() -> None:
    scale = scale_of(MR, "volume", 6)
    assert (scale.low, scale.high, scale.axis, scale.scales) == (40, 1540, None, 0)
    found = measured(np.zeros((6, 48, 48), np.float32), np.ones((6, 48, 48), np.float32), INSIDE, scale)
    assert "dice_bone" not in found and "ms_ssim" not in found
    rows = figures_of([Scored("a", "p", {MODEL: [found]})], [scale], "x")
    row = next(row for row in rows if row["name"] == "ms_ssim")
    assert row["value"] is None and "smaller than a window" in row["why_not"]


def test_a_scan_smaller_than_those_learnt_from_has_no_ms_ssim() -> None:
    scale = scale_of(MR, "slices", 48)
    small = np.ones((2, 32, 32), np.float32)
    assert scale.scales == 3 and "ms_ssim" not in measured(small, small, small > 0, scale)


def test_figures_are_by_patient() -> None:
    scale = scale_of(MR, "slices", 48)
    scored = [Scored(f"c{i}", name, {MODEL: [{"mae": error}]}) for i, (name, error) in
              enumerate([("a", 0.0), ("a", 0.0), ("a", 0.0), ("b", 8.0)])]  # fmt: skip
    row = next(row for row in figures_of(scored, [scale], "x") if row["name"] == "mae")
    assert (row["value"], row["n"], row["scans"]) == (4.0, 2, 4)


def test_the_verdict_is_by_the_baseline_that_was_best_on_val() -> None:
    scale = scale_of(CT, "slices", 48)
    own, ruler = [10.0, 12, 11, 9, 10, 11], [20.0, 21, 22, 18, 20, 21]
    val = {"ruler": 5.0, "other": 4.0}
    told = closing(_scored(own, ruler, scale), [scale], val)
    assert told["baseline"] == "other" and told["beats"] is True, "worse here, but it was best where one may choose"
    told = closing(_scored(own, ruler, scale), [scale], {"ruler": 4.0, "other": 5.0})
    assert told["baseline"] == "ruler" and told["beats"] is True
    assert told["difference"]["value"] == pytest.approx(-59 / 6) and "10.5 HU against 20.3 HU" in told["verdict"]
    assert "-9.83, 95 % interval" in told["verdict"] and "n = 6 patients" in told["verdict"]
    worse = closing(_scored(ruler, own, scale), [scale], {"ruler": 4.0})
    assert worse["beats"] is False and "does not beat" in worse["verdict"]
    close = closing(_scored([1.0, 3, 1, 3, 1, 2.5], [2.0] * 6, scale), [scale], {"ruler": 4.0})
    assert close["difference"]["value"] < 0 < close["difference"]["high"] and close["beats"] is False
    assert [one["baseline"] for one in told["comparisons"]] == ["ruler", "other"]


def test_many_scans_of_few_patients_make_no_verdict() -> None:
    scale = scale_of(CT, "slices", 48)
    scored = [Scored(f"c{i}", f"p{i % 3}", {MODEL: [{"mae": 1.0}], "ruler": [{"mae": 2.0}]}) for i in range(12)]
    told = closing(scored, [scale], {"ruler": 1.0})
    assert told["difference"]["n"] == 3 and told["beats"] is None


def test_no_verdict_without_patients_or_a_choice() -> None:
    scale = scale_of(CT, "slices", 48)
    few = closing(_scored([1.0] * 4, [2.0] * 4, scale), [scale], {"ruler": 1.0})
    assert few["beats"] is None and "4 test patients are too few" in few["verdict"]
    assert few["difference"]["value"] == -1
    blind = closing(_scored([1.0] * 6, [2.0] * 6, scale), [scale], {})
    assert blind["beats"] is None and "not on test scans" in blind["verdict"]
    assert best_on({"a": math.nan}) is None and best_on({"a": 2.0, "b": 1.0}) == "b"


def test_a_calibrated_uncertainty_is_told_from_one_that_is_too_small() -> None:
    random = np.random.default_rng(0)
    sigma = random.uniform(1, 5, INSIDE.shape).astype(np.float32)
    error = (sigma * random.standard_normal(INSIDE.shape)).astype(np.float32)
    good, small, blind = (
        calibration_of([told_by("p", "CT", UNCERTAINTY, error, level, INSIDE)])[0]
        for level in (sigma, sigma / 4, np.ones_like(sigma))
    )
    assert good["figures"]["within_one"]["value"] == pytest.approx(0.683, abs=0.02)
    assert small["figures"]["within_one"]["value"] < 0.25
    for row in (good, small):
        assert row["figures"]["excess"]["value"] < 0.85 and row["figures"]["spearman"]["value"] > 0.2
    assert blind["figures"]["excess"]["value"] == pytest.approx(1) and blind["figures"]["spearman"]["value"] is None
    level, found = (np.array(good["curves"][name]) for name in ("level", "level_error"))
    assert np.all(np.diff(level) > 0)
    np.testing.assert_allclose(found, level, rtol=0.1)
    np.testing.assert_allclose(small["curves"]["level_error"], 4 * np.array(small["curves"]["level"]), rtol=0.1)


def test_a_cycle_error_is_no_standard_deviation() -> None:
    noise = np.random.default_rng(0).random(INSIDE.shape).astype(np.float32)
    rows = calibration_of(
        [told_by(name, "CT", by, noise, noise, INSIDE) for name in "ab" for by in (UNCERTAINTY, CYCLE)]
    )
    assert [row["by"] for row in rows] == [UNCERTAINTY, CYCLE] and rows[0]["figures"]["excess"]["n"] == 2
    assert "within_one" in rows[0]["figures"] and "within_one" not in rows[1]["figures"]
    assert rows[1]["figures"]["excess"]["value"] == pytest.approx(0, abs=1e-9)


class _Means:
    name = "means of quarters"

    def __call__(self, image: Tensor) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(image, 2).flatten(1)


def test_kernel_distance_tells_made_slices_that_are_too_dark() -> None:
    looked, random = Looked([_Means()]), np.random.default_rng(0)
    for number in range(12):
        volume = random.random((4, 1, 6, 48, 48)).astype(np.float32) + random.normal(0, 0.1, (4, 1, 1, 1, 1)).astype(
            "f4"
        )
        looked.add(REAL, volume[0], INSIDE, f"r{number}")
        looked.add(TRAINING, volume[1], INSIDE, f"t{number}")
        looked.add(MODEL, volume[2] * 0.5, INSIDE, f"m{number}")
        looked.add("ruler", volume[3], INSIDE, f"m{number}")
    (row,) = looked.figures("T2")
    assert row["low"] > 0 and row["n"] == 12 and row["slices"] == 72 and row["features"] == _Means.name
    for found in (row["floor"], row["baselines"]["ruler"]):
        assert found["low"] < 0 < found["high"] and found["value"] < row["value"] / 3


def test_kernel_distance_of_one_patient_is_no_figure() -> None:
    looked = Looked([_Means()])
    for who in (MODEL, REAL):
        looked.add(who, np.ones((1, 6, 48, 48), np.float32), INSIDE, "p")
    (row,) = looked.figures("T2")
    assert row["value"] is None and "different patients" in row["why_not"]


def _example(patient: str, error: float) -> Example:
    return Example(f"case-{error}", patient, error, 0, 1.0, [])


def test_worst_median_and_best_patient() -> None:
    some = [_example(name, error) for name, error in [("a", 1.0), ("b", 5), ("b", 7), ("c", 2), ("d", 3), ("e", 4)]]
    shown = chosen(some)
    assert [(words, one.patient) for words, one in shown] == [
        ("worst patient", "b"), ("median patient", "d"), ("best patient", "a")]  # fmt: skip
    assert shown[0][1].error == 7
    assert [words for words, _ in chosen(some[:3])] == ["worst patient", "best patient"]
    assert [words for words, _ in chosen(some[:1])] == ["only patient"]
    assert [words for words, _ in chosen([_example("a", math.nan)])] == ["patient 1"]


def test_a_montage_shows_too_bright_red_and_too_dark_blue() -> None:
    volume = np.linspace(0, 1, INSIDE.size).reshape(INSIDE.shape).astype(np.float32)
    made = volume.copy()
    inside = np.zeros_like(INSIDE)
    inside[2:5] = True
    made[:, :10] += 1
    made[:, -10:] -= 1
    shown = Shown(volume, made, volume, volume * 0, None, inside, (3.0, 2.0, 1.0))
    one = example("c", "p", 1.0, shown, ("T1", "T2"))
    assert [title for title, _ in one.panels] == ["T1", "T2, made", "T2, true", "made - true", "uncertainty"]
    assert one.slice == 3 and one.aspect == 2.0
    panel = dict(one.panels)["made - true"]
    assert panel[0, 0].tolist() == [255, 0, 0] and panel[-1, 0].tolist() == [0, 0, 255]
    assert panel[24, 0].tolist() == [255, 255, 255] and not dict(one.panels)["uncertainty"].any()
    assert data_url(panel, one.aspect).startswith("data:image/png;base64,")
    blind = example("c", "p", 1.0, Shown(volume, made, None, volume, volume, inside, (3.0, 2.0, 1.0)), ("T1", "T2"))
    assert [title for title, _ in blind.panels] == ["T1", "T2, made", "uncertainty", "cycle error"]


def test_prevalence_of_what_is_known() -> None:
    from medudl.data.cases import Case
    from medudl.data.cohort import Series

    def case(label: str, mask: str) -> Case:
        one = Series("p", series="s", path="p.nii", mask=mask, label=label)
        return Case("c", "p", "", (one,), ("T1",), one, label, "test")

    cases = [case("healthy", ""), case("plaque", ""), case("", "m.nii"), case("", "")]
    assert prevalence({"test": cases}, ["healthy"])["test"] == {"sick": 2, "healthy": 1, "unknown": 1}
    assert prevalence({"test": cases}, [])["test"] == {"sick": 1, "healthy": 0, "unknown": 3}
