"""A generator's report on tiny runs: figures beside floor and baseline, known generators told as what they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import make_cohort, make_run, tiny_config

from medudl.api import evaluate
from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.report.generator import evaluate_generator
from medudl.report.generator_figures import KINDS, three_digits
from medudl.run import Run
from medudl.tasks.draw import Drawing

VAE = {"name": "variational_autoencoder", "network": "dense", "hidden": [8], "latent": 3}
LOG = [{"kind": "validation", "step": step, "kid": 1 / step} for step in (10, 20, 30)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("generator")
    cohort = make_cohort(folder / "scans", train=8, val=1, healthy=8, sick=1)
    return make_run(folder / "run", cohort, tiny_config().model_copy(update={"method": VAE}))


@pytest.fixture(scope="module")
def report(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("report")
    return _evaluate(run, out), out


def _evaluate(run: Run, out: Path, **more: Any) -> dict[str, Any]:
    return evaluate_generator(run.path, out=out, **{"samples": 24, "features": "pixels", "log": LOG, **more},
                              progress=False)  # fmt: skip


def _figures(tree: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in tree["figures"] if row["name"] != "copies" or row["features"].startswith("pix")}


def test_every_figure_of_the_contract_is_there(report: tuple[dict[str, Any], Path]) -> None:
    tree, out = report
    assert tree == json.loads((out / "report.json").read_text())
    assert (tree["kind"], tree["split"], tree["n_samples"], tree["n_real"], tree["n_patients"]) == (
        "generator", "test", 24, 48, 8)  # fmt: skip
    figures = _figures(tree)
    assert set(figures) == set(KINDS)
    for name, row in figures.items():
        assert row["n"] == 24 and row["definition"] and row["better"] in ("lower", "higher")
        if name in ("fid_infinity", "inception_score"):
            assert row["value"] is None and row["why_not"]
            continue
        assert row["low"] <= row["value"] <= row["high"], name
        assert {"value", "low", "high", "n"} <= set(row["floor"]) and row["baseline"]["value"] is not None
    assert "--classifier" in figures["inception_score"]["why_not"]
    assert figures["copies"]["baseline"]["value"] == 1 and figures["copies"]["floor"]["value"] < 0.2
    assert {"spread", "alarm", "sentence"} <= set(tree["collapse"])


def test_sick_scans_and_patients_learnt_from_are_no_part_of_it(report: tuple[dict[str, Any], Path]) -> None:
    tree, _ = report
    assert tree["held_out"] == {"scans": 8, "images": 48, "patients": 8}
    assert tree["training"] == {"scans": 8, "images": 48, "patients": 8}


def test_the_page_opens_without_a_network(report: tuple[dict[str, Any], Path]) -> None:
    tree, out = report
    html = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=['\"]?(https?:)?//", html)
    assert html.count("src='data:image/png;base64,") == 1
    for words in (tree["verdict"], "Not a medical device", "Validation KID", "Spectral distance", "patients' images"):
        assert words in html, words


def test_the_same_run_gives_the_same_report(report: tuple[dict[str, Any], Path], run: Run, tmp_path: Path) -> None:
    assert _evaluate(run, tmp_path / "again") == report[0]
    assert (tmp_path / "again" / "report.html").read_bytes() == (report[1] / "report.html").read_bytes()


def _pretend(monkeypatch: pytest.MonkeyPatch, images: torch.Tensor) -> None:
    """A generator that draws these images, one after another."""
    monkeypatch.setattr(Drawing, "batch", lambda self, start: images[start : start + self.step])


def _discs(count: int, seed: int) -> torch.Tensor:
    """Slices as the tiny cohort has them, of nobody in it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    disc = ((x - 7.5) ** 2 + (y - 7.5) ** 2) < 50
    made = disc * (0.6 + 0.1 * random.normal(size=(count, 1, 16, 16)))
    return torch.from_numpy(made).float().clamp(0, 1)


def _training(run: Run) -> torch.Tensor:
    from medudl.tasks.detector import Restored
    from medudl.tasks.real_images import learnt_and_held_out, read_images

    restored, cohort = Restored(run, "cpu"), run.cohort()
    learnt, _ = learnt_and_held_out(run, cohort)
    return torch.cat(list(read_images(restored, cohort, learnt, "training images", False).batches()))


def test_a_memoriser_is_as_good_as_real_images_and_is_told_by_its_copies(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = _training(run)
    _pretend(monkeypatch, training)
    tree = _evaluate(run, tmp_path, samples=48)
    figures = _figures(tree)
    assert figures["copies"]["value"] == 1 and figures["copies"]["low"] > 0.8
    kid = figures["kid"]
    assert kid["floor"]["low"] <= kid["value"] <= kid["floor"]["high"]
    assert figures["fid"]["value"] == pytest.approx(figures["fid"]["floor"]["value"])


def test_a_generator_that_always_draws_the_same_has_collapsed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, _discs(1, 0).repeat(24, 1, 1, 1))
    tree = _evaluate(run, tmp_path)
    figures = _figures(tree)
    assert tree["collapse"]["alarm"] and "mode collapse" in tree["collapse"]["sentence"].lower()
    assert "class='alarm'" in (tmp_path / "report.html").read_text()
    assert figures["kid"]["value"] > figures["kid"]["floor"]["high"] and figures["recall"]["value"] < 0.1
    assert tree["beats"] is False and "does not beat" in tree["verdict"]


def test_the_trivial_generator_does_not_beat_itself(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medudl.report.trivial_generator import gaussian_samples

    training = _training(run)
    made = torch.cat(list(gaussian_samples(lambda: [training], len(training), 60, (1, 16, 16), 7)))
    _pretend(monkeypatch, made)
    tree = _evaluate(run, tmp_path, samples=60)
    assert tree["beats"] is False and tree["difference"]["low"] < 0 < tree["difference"]["high"]


def test_one_that_is_nearer_than_the_trivial_one_beats_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In features that see what a Gaussian lacks: its own images, against a Gaussian of others that are wider apart."""
    from medudl.report import generator_sets

    monkeypatch.setattr(
        generator_sets, "gaussian_samples", lambda *a: iter([torch.rand(40, 1, 16, 16, generator=torch.Generator())])
    )
    training = _training(run)
    _pretend(monkeypatch, training.repeat(2, 1, 1, 1))
    tree = _evaluate(run, tmp_path, samples=40)
    assert (
        tree["beats"] is True and tree["difference"]["high"] < 0 and tree["verdict"].startswith("The generator beats")
    )


@pytest.mark.parametrize(("low", "high", "beats"), [(-2.0, -0.1, True), (-2.0, 0.1, False)])
def test_the_whole_interval_decides(
    low: float, high: float, beats: bool, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medudl.report import generator_verdict

    monkeypatch.setattr(generator_verdict, "kernel_difference", lambda *_: Estimate(-1.0, low, high, 8))
    assert _evaluate(run, tmp_path)["beats"] is beats


def test_a_second_scan_of_a_patient_learnt_from_is_not_held_out(run: Run, tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "scans", train=8, val=1, healthy=7, sick=0)
    cohort.write_text(cohort.read_text().replace("s09,series-s09", "s00,series-s09"))
    moved = make_run(tmp_path / "run", cohort, run.config)
    assert _evaluate(moved, tmp_path / "out")["held_out"]["patients"] == 6


def test_a_classifier_that_is_named_gives_the_inception_score(run: Run, tmp_path: Path) -> None:
    body = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}
    method = {"name": "classifier", "body": body, "classes": ["a", "b"]}
    cohort = run.path.parent / "scans" / "cohort.csv"
    judge = make_run(tmp_path / "judge", cohort, tiny_config().model_copy(update={"method": method}))
    judge.update({"classes": ["a", "b"]})
    judge.write_json("classification.json", {"temperature": 1.0})
    row = _figures(_evaluate(run, tmp_path / "out", classifier=judge.path))["inception_score"]
    assert 1 <= row["low"] <= row["value"] <= row["high"] <= 2 and row["features"] == "classifier judge (a, b)"
    assert row["floor"]["value"] >= 1 and row["baseline"]["value"] >= 1 and row["expected_bias"] <= 0


def test_few_patients_give_figures_and_no_verdict(run: Run, tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "scans", train=5, val=1, healthy=3, sick=1)
    few = make_run(tmp_path / "run", cohort, run.config)
    tree = _evaluate(few, tmp_path / "out")
    assert tree["beats"] is None and tree["verdict"].startswith("No verdict: 3 held-out patients are too few")
    copies = _figures(tree)["copies"]
    assert copies["value"] is None and "held-out patients" in copies["why_not"]
    assert _figures(tree)["kid"]["value"] is not None and _figures(tree)["kid"]["low"] is None


def test_what_cannot_be_evaluated_is_one_line(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="split holdout: no scan"):
        _evaluate(run, tmp_path / "out", split="holdout")
    with pytest.raises(UserError, match="--samples 1"):
        _evaluate(run, tmp_path / "out", samples=1)
    with pytest.raises(UserError, match="does not classify"):
        _evaluate(run, tmp_path / "out", classifier=run.path)
    plain = make_run(tmp_path / "plain", run.path.parent / "scans" / "cohort.csv")
    with pytest.raises(UserError, match="draws no new images"):
        _evaluate(plain, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_anomaly_report_stays_what_evaluate_gives(run: Run, tmp_path: Path) -> None:
    from medudl.tasks.calibrate import calibrate

    calibrate(run)
    assert "kind" not in evaluate(run.path, out=tmp_path / "maps", progress=False)
    tree = evaluate(run.path, out=tmp_path / "out", generator=True, features="pixels", samples=10, progress=False)
    assert tree["kind"] == "generator"
    with pytest.raises(UserError, match="--generator"):
        evaluate(run.path, out=tmp_path / "no", samples=10, progress=False)


def test_three_digits() -> None:
    told = [three_digits(x) for x in (0.01234, 12.34, 12345.6, -0.5, 0.0, 1e-9)]
    assert told == [".0123", "12.3", "12346", "-.500", "0", ".000000"]
