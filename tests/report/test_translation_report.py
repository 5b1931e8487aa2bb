"""A translation's report on tiny runs: known translators are told as what they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mirrored_pairs as scenes
import pytest
import torch
from torch import Tensor

from medudl.api import evaluate
from medudl.errors import UserError
from medudl.methods.cyclegan import CycleGAN
from medudl.methods.pix2pix import Pix2Pix
from medudl.report import translation_baselines
from medudl.run import Run


@pytest.fixture(scope="module", autouse=True)
def _few_trees() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translation_baselines, "TREES", 8)
        patch.setattr(translation_baselines, "CONTEXT", 3000)
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.cohort(tmp_path_factory.mktemp("pairs") / "scans")


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return scenes.run(tmp_path_factory.mktemp("run") / "run", table, scenes.config(scenes.PIX2PIX))


@pytest.fixture(scope="module")
def right(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The report on the true translation: scans mirrored from left to right."""
    out = tmp_path_factory.mktemp("right")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pix2Pix, "translate", _mirror)
        return _evaluate(run, out), out


def _mirror(self: Any, image: Tensor) -> Tensor:
    return image.flip(-1)  # the prepared rows run along the scan's first axis


def _evaluate(run: Run, out: Path, **more: Any) -> dict[str, Any]:
    return evaluate(run.path, out=out, **{"features": "pixels", "device": "cpu", **more}, progress=False)


def _figure(tree: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in tree["figures"] if row["name"] == name)
    return found


def test_the_true_translation_beats_every_baseline(right: tuple[dict[str, Any], Path]) -> None:
    tree, out = right
    assert tree == json.loads((out / "report.json").read_text())
    assert (tree["kind"], tree["paired"], tree["n_patients"], tree["n_scans"]) == ("translation", True, 6, 6)
    mae = _figure(tree, "mae")
    assert mae["value"] < 2 and mae["n"] == 6 and mae["low"] <= mae["value"] <= mae["high"]
    assert all(found["value"] > 10 for found in mae["baselines"].values()) and len(mae["baselines"]) == 3
    assert _figure(tree, "ssim")["value"] > 0.98 and _figure(tree, "jumps_slices")["value"] == pytest.approx(
        1, abs=0.05
    )
    assert tree["beats"] is True and "The model beats the best baseline, " in tree["verdict"]
    assert tree["difference"]["high"] < 0 and tree["difference"]["n"] == 6
    val = {one["name"]: one["val_error"] for one in tree["baselines"]}
    assert tree["baseline"] == min(val, key=lambda name: val[name])


def test_lesions_survive_the_true_translation(right: tuple[dict[str, Any], Path]) -> None:
    tree, _ = right
    model = tree["lesions"]["makers"][0]
    assert model["name"] == "the model" and [one["name"] for one in tree["lesions"]["makers"]][1:] == [tree["baseline"]]
    assert tree["prevalence"]["test"] == {"sick": 2, "healthy": 4, "unknown": 0}
    assert tree["prevalence"]["train, pairs"] == {"sick": 0, "healthy": 3, "unknown": 0}
    # The lesion is in the middle, and nearly its own mirror image.
    assert model["real"]["lesions"] == 2 and model["real"]["truth_known"]
    assert model["real"]["share"]["value"] == pytest.approx(1, abs=0.2)
    assert abs(model["gone"]["share"]["value"]) < 0.2
    assert model["invented"]["value"] <= model["invented_in_truth"]["value"]


def test_a_translation_that_makes_nothing_of_a_scan_does_not_beat_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pix2Pix, "translate", lambda self, image: torch.zeros_like(image))
    tree = _evaluate(run, tmp_path)
    assert tree["beats"] is False and "does not beat" in tree["verdict"] and tree["difference"]["low"] > 0
    model = tree["lesions"]["makers"][0]
    assert model["real"]["share"]["value"] == pytest.approx(0, abs=1e-6)
    assert model["real"]["shown"]["value"] == 0 and model["real"]["shown"]["high"] > 0.5, "two patients say little"
    assert _figure(tree, "jumps_slices")["value"] == 0


def test_the_page_opens_without_a_network(right: tuple[dict[str, Any], Path]) -> None:
    tree, out = right
    html = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=['\"]?(https?:)?//", html)
    assert html.count("src='data:image/png;base64,") == 3 * 5
    for words in (tree["verdict"], "Synthetic, not for diagnosis", "worst patient", "median patient", "best patient",
                  "patients' scans", "Reliability", "Prevalence"):  # fmt: skip
        assert words in html, words
    assert html.index("Synthetic, not for diagnosis") < html.index("<h1>")
    for row in tree["figures"]:
        assert row["definition"] and row["title"] in html, row["name"]


def test_the_same_run_gives_the_same_report(
    right: tuple[dict[str, Any], Path], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pix2Pix, "translate", _mirror)
    assert _evaluate(run, tmp_path) == right[0]


def test_below_five_patients_there_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pix2Pix, "translate", _mirror)
    few = scenes.run(tmp_path / "run", scenes.cohort(tmp_path / "few", test=4, sick=0), scenes.config(scenes.PIX2PIX))
    tree = _evaluate(few, tmp_path / "out")
    assert tree["beats"] is None and tree["verdict"].startswith("No verdict: 4 test patients are too few")
    assert _figure(tree, "mae")["value"] < 2


def test_pairs_that_lie_apart_are_left_out_and_named(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medudl.data import pairs
    from medudl.data.pairs import Match

    monkeypatch.setattr(Pix2Pix, "translate", _mirror)
    run = scenes.run(tmp_path / "run", table, scenes.config(scenes.PIX2PIX))
    seen: list[int] = []

    def match(*_: Any) -> Match:
        seen.append(0)
        return Match(1.0, 2.0 if len(seen) == 6 else 1.0, "moved")  # the first test scan, after 3 + 2

    text = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text(text.replace("pairs: trust", "pairs: check"))
    monkeypatch.setattr(pairs, "match", match)
    tree = _evaluate(run, tmp_path / "out")
    assert tree["n_scans"] == 5
    assert any("left out" in note and "do not lie on each other" in note for note in tree["notes"])


def test_a_further_run_is_a_baseline(run: Run, table: Path, tmp_path: Path) -> None:
    other = scenes.run(tmp_path / "plain", table, scenes.config({**scenes.PIX2PIX, "adversarial": 0.0}))
    tree = _evaluate(run, tmp_path / "out", against=[other.path])
    assert [one["name"] for one in tree["baselines"]][-1] == "L1 only"
    assert "L1 only" in _figure(tree, "mae")["baselines"]
    assert "L1 only" in [one["name"] for one in tree["lesions"]["makers"]]
    same = _evaluate(run, tmp_path / "same", against=[run.path])
    name = "pix2pix (run)"
    assert next(row for row in same["comparisons"] if row["baseline"] == name)["difference"]["value"] == pytest.approx(
        0, abs=1e-3
    )


def test_a_further_run_that_does_not_fit_is_refused(run: Run, table: Path, tmp_path: Path) -> None:
    other = scenes.run(tmp_path / "other", table, scenes.config(scenes.PIX2PIX, intensity={"kind": "zscore"}))
    with pytest.raises(UserError, match="prepares its scans otherwise"):
        _evaluate(run, tmp_path / "out", against=[other.path])
    back = scenes.run(tmp_path / "back", table, scenes.config(scenes.PIX2PIX, channels=["T2"], target=["T1"]))
    with pytest.raises(UserError, match="other contrasts"):
        _evaluate(run, tmp_path / "out", against=[back.path])
    assert not (tmp_path / "out").exists()


def test_options_of_other_reports_are_refused(run: Run, tmp_path: Path) -> None:
    for more in ({"generator": True}, {"samples": 5}, {"classifier": "x"}):
        with pytest.raises(UserError, match="no use for it"):
            _evaluate(run, tmp_path, **more)
    with pytest.raises(UserError, match="nothing to evaluate"):
        _evaluate(run, tmp_path / "out", split="nowhere")


def test_without_pairs_nothing_is_said_of_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = scenes.cohort(tmp_path / "scans", test=12, sick=0, both=False)
    run = scenes.run(tmp_path / "run", table, scenes.config(scenes.CYCLEGAN))
    for name in ("translate", "back"):
        monkeypatch.setattr(CycleGAN, name, _mirror)
    tree = _evaluate(run, tmp_path / "out")
    assert tree["paired"] is False and tree["beats"] is None and "nothing here shows" in tree["verdict"]
    assert tree["calibration"] == [] and tree["n_scans"] == 6
    assert _figure(tree, "cycle_error")["value"] == pytest.approx(0, abs=1e-4)
    assert _figure(tree, "jump_ratio")["value"] == pytest.approx(1, abs=0.02)
    kid = _figure(tree, "kid")
    assert kid["low"] < 0 < kid["high"], "mirrored textures are textures"
    assert set(kid["baselines"]) == {"histogram matching"} and kid["floor"]["value"] is not None
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert tree["verdict"] in html and "made - true" not in html


def test_a_cyclegan_whose_test_studies_hold_both_sides_meets_the_truth(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scenes.run(tmp_path / "run", table, scenes.config(scenes.CYCLEGAN))
    for name in ("translate", "back"):
        monkeypatch.setattr(CycleGAN, name, _mirror)
    tree = _evaluate(run, tmp_path / "out")
    assert tree["paired"] is True and tree["beats"] is True
    assert [row["by"] for row in tree["calibration"]] == ["uncertainty", "cycle error"]
    assert "within_one" not in tree["calibration"][1]["figures"]
