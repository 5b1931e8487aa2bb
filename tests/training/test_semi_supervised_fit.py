"""A semi-supervised training through files: whose labels it learns from and says it did, going on, whole volumes."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import equal
from tiny_cohort import write_cohort

from medudl.config import Config, validate_config
from medudl.data.cases import cases_of
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.metrics.classification import scan_log_probability
from medudl.run import Run, load_state
from medudl.tasks.classify import Classification, calibrate_probabilities, classify, learnt_from, taught_by
from medudl.tasks.detect import cases_in
from medudl.training.labelled import per_class
from medudl.training.resolve import complete
from medudl.training.stop import Stopped
from medudl.training.train import fit
from medudl.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parents[1]))

METHOD = {"name": "semi_supervised_gan", "latent": 4, "width": 4}
DATA = {"foreground": "none", "intensity": {"kind": "window", "low": 0, "high": 255}, "cache_workers": 1}
TRAIN = {
    "steps": 8, "batch_size": 2, "validate_every": 4, "checkpoint_every": 4, "sample_every": 8, "device": "cpu",
    "optimiser": {"lr": 1e-2, "ema": 0.9}, "players": {"generator": {"ema": 0}},
}  # fmt: skip
SPLITS = "t" * 14 + "v" * 8 + "eeee"


def _config(method: dict[str, Any] | None = None, **train: Any) -> Config:
    return validate_config({"method": {**METHOD, **(method or {})}, "data": DATA, "train": {**TRAIN, **train}}, "test")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Two of three pictures have a label; every other of them is of a second class."""
    found = write_cohort(tmp_path_factory.mktemp("scans"), SPLITS)
    found.table["label"] = ["" if n % 3 == 2 else "ILL" if n % 2 else "NORMAL" for n in range(len(found))]
    found.write(found.root / "cohort.csv")
    return found


@pytest.fixture(scope="module")
def whole(rows: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    return fit(_config(labels_per_class=2), rows, tmp_path_factory.mktemp("whole") / "run", progress=False)


def test_all_train_scans_are_learnt_from_and_the_rest_lose_their_label(rows: Cohort) -> None:
    config, plan = complete(_config(labels_per_class=2), rows)
    assert len(plan.train) == 14 and sorted(c.label for c in plan.train if c.label) == ["ILL"] * 2 + ["NORMAL"] * 2
    assert config.method["classes"] == ["ILL", "NORMAL"] and config.method["counts"] == [2, 2]
    assert sorted(case.label for case in plan.val) == ["ILL"] * 2 + ["NORMAL"] * 2, "the choice costs no more"
    assert plan.notes == [
        "4 of 14 scans of the train split are learnt from with their label, all without",
        "not learnt from: scans of no class of method.classes (3 with no label)",  # of the val split
    ]
    every = complete(_config(), rows)[1]
    assert len(every.train) == 14 and len([c for c in every.train if c.label]) == 10 and all(c.label for c in every.val)
    half = complete(_config(labels=0.5), rows)[1]
    assert len(half.train) == 14 and len([c for c in half.train if c.label]) in (4, 5, 6)


def test_too_few_of_a_class_are_told(rows: Cohort) -> None:
    notes = complete(_config(labels_per_class=4), rows)[1].notes
    assert any(
        "the val split has only 2 of ILL and 3 of NORMAL" in note or "val split has only" in note for note in notes
    )


def test_a_scan_of_another_class_is_learnt_from_without_its_label(rows: Cohort) -> None:
    table = rows.table.copy()
    table.loc[table["subject"] == "p00", "label"] = "OTHER"
    _, plan = complete(_config({"classes": ["ILL", "NORMAL"]}), Cohort(rows.root, table, rows.meta))
    assert len(plan.train) == 14 and {c.subject: c.label for c in plan.train}["p00"] == ""


def test_labels_are_counted_by_patient_and_nested(tmp_path: Path) -> None:
    found = write_cohort(tmp_path, "t" * 60)
    found.table["subject"] = [f"p{n // 3}" for n in range(60)]  # three scans each
    found.table["label"] = ["a" if n // 3 % 2 else "b" for n in range(60)]
    found.table.loc[0, "label"] = "a"  # a patient of both
    cases = cases_of(found, _config().data)[0]
    chosen = {n: per_class(cases, n, seed=3) for n in (1, 2, 5, 11)}
    for n, some in chosen.items():
        for label, count in {"a": 11, "b": 10}.items():
            assert len({case.subject for case in some if case.label == label}) == min(n, count)
    ids = [{case.id for case in some} for some in chosen.values()]
    assert ids[0] < ids[1] < ids[2] < ids[3] and len(ids[3]) == 60
    assert {case.id for case in per_class(cases, 2, seed=4)} != ids[1]
    assert per_class([], 3, 0) == []


def test_a_classifier_takes_so_many_labels_too(rows: Cohort) -> None:
    body = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}
    tree = {"method": {"name": "classifier", "body": body}, "data": DATA, "train": {"labels_per_class": 1}}
    config, plan = complete(validate_config(tree, "test"), rows)
    assert len(plan.train) == len(plan.val) == 2 and config.method["counts"] == [1, 1]


def test_it_says_whose_labels_it_saw(rows: Cohort, whole: Run) -> None:
    named = json.loads((whole.path / "scans.json").read_text())
    assert len(named["train"]) == 14 and len(named["labelled"]) == len(named["val"]) == 4
    assert set(named["labelled"]) < set(named["train"])
    assert "- with their label: 4 subjects, 4 of these scans" in (whole.path / "card.md").read_text()
    cohort = whole.cohort()
    assert len(learnt_from(whole, cohort, "train")) == 14, "a leak check counts them all"
    assert {case.id for case in taught_by(whole, cohort, "train")} == set(named["labelled"])
    assert len(taught_by(whole, cohort, "val")) == 4


def test_no_label_of_the_rest_reaches_a_step(rows: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    do = Trainer.step

    def step(self: Trainer, batch: Any) -> None:
        seen.extend(zip(batch["id"], batch["label"].tolist(), strict=True))
        assert batch["image"].shape[0] == 4 and (batch["label"][:2] >= 0).all() and (batch["label"][2:] == -1).all()
        do(self, batch)

    monkeypatch.setattr(Trainer, "step", step)
    run = fit(_config(labels_per_class=2), rows, tmp_path / "run", progress=False)
    named = set(run.read_json("scans.json")["labelled"])
    assert {name.rpartition("/")[0] for name, label in seen if label >= 0} == named
    assert len({name for name, _ in seen}) == 14


@pytest.mark.parametrize("arm", ["gan", "pseudo_labels", "none"])
def test_a_resume_is_bit_equal(arm: str, rows: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = _config({"unlabelled": arm, "warmup": 6, "threshold": 0.5} if arm != "gan" else {}, labels_per_class=2)
    whole = fit(config, rows, tmp_path / "whole", progress=False)
    do = Trainer.step

    def stopped(self: Trainer, batch: Any) -> None:
        if hasattr(self, "log") and self.at.step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        do(self, batch)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Trainer, "step", stopped)
        fit(config, rows, tmp_path / "parts", progress=False)
    parts = fit(config, rows, tmp_path / "parts", resume=True, progress=False)
    ends = [load_state(run.path / "checkpoint" / "step-000000008.safetensors") for run in (whole, parts)]
    assert equal(*ends)
    best = [load_state(run.path / "weights.safetensors") for run in (whole, parts)]
    assert equal(*best)


def test_the_averaged_weights_classify(whole: Run, rows: Cohort, tmp_path: Path) -> None:
    """EMA of the discriminator alone: other weights of it are kept, and the same of the generator."""
    none = {"discriminator": {"ema": 0}, "generator": {"ema": 0}}
    plain = fit(_config(labels_per_class=2, players=none, steps=4), rows, tmp_path / "plain", progress=False)
    averaged = fit(_config(labels_per_class=2, steps=4), rows, tmp_path / "averaged", progress=False)
    one, other = plain.method().state_dict(), averaged.method().state_dict()
    differing = {name.partition(".")[0] for name in one if not torch.equal(one[name], other[name])}
    assert differing == {"discriminator"}
    ends = [load_state(r.path / "checkpoint" / "step-000000004.safetensors")["weights"] for r in (plain, averaged)]
    assert equal(*ends), "the training itself is the same"


def test_calibration_is_on_labelled_held_out_scans(whole: Run) -> None:
    found = calibrate_probabilities(whole)
    assert found["n_scans"] == 4 and found["classes"] == ["ILL", "NORMAL"]


@pytest.mark.parametrize(
    ("train", "label", "words"),
    [
        ({"labels_per_class": 2, "labels": 0.5}, None, "keep one of them"),
        ({"labels_per_class": 0}, None, "labels_per_class"),
        ({}, "", "no labelled scan in the train split"),
    ],
)
def test_slips(train: dict[str, Any], label: str | None, words: str, rows: Cohort) -> None:
    table = rows.table if label is None else rows.table.assign(label=label)
    with pytest.raises(UserError, match=words):
        complete(_config(**train), Cohort(rows.root, table, rows.meta))


def test_a_method_without_labels_refuses_a_number_of_them(rows: Cohort) -> None:
    tree = {"method": {"name": "gan"}, "data": DATA, "train": {**TRAIN, "players": {}, "labels_per_class": 3}}
    with pytest.raises(UserError, match="learns without labels"):
        complete(validate_config(tree, "test"), rows)


def test_a_volume_has_the_mean_probability_of_its_slices(tmp_path: Path) -> None:
    from tiny_run import make_cohort

    table = make_cohort(tmp_path / "scans", train=6, val=4, healthy=2, sick=2, masks=False)
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    frame["label"] = [("healthy", "plaque", "")[n % 3] for n in range(len(frame))]
    frame.to_csv(table, index=False)
    data = {"size": [16, 16], "foreground": "none", "cache_workers": 1}
    tree = {"method": METHOD, "data": data, "train": {**TRAIN, "steps": 6}}
    run = fit(validate_config(tree, "test"), Cohort.read(table), tmp_path / "run", progress=False)
    calibrate_probabilities(run)
    found = classify(run.path, table, tmp_path / "out", split="test", progress=False)
    model = Classification(run)
    cohort, cases = cases_in(run, table, "test")
    assert len(found) == len(cases) == 4 and (found["problem"] == "").all()
    for row, case in zip(found.to_dict("records"), cases, strict=True):
        logits = model.logits(cohort, case)
        assert logits.shape == (6, 2), "six slices"
        chance = np.exp(logits / model.temperature())
        mean = (chance / chance.sum(1, keepdims=True)).mean(0)
        np.testing.assert_allclose([row["probability healthy"], row["probability plaque"]], mean, rtol=1e-6)
        np.testing.assert_allclose(np.exp(scan_log_probability(logits, model.temperature())), mean, rtol=1e-6)
