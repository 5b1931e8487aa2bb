"""The GANs on real slices by the command line: heads and chest films, with each trick on, stopped and resumed.

Minutes, hence a proof. Trainings are far too short for a sample worth looking at; what is shown is that every step is a
number, that each trick goes through, and that a resume changes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_real_methods import DATA, MAKERS, PLAIN, _stop_at, run

from medudl.methods import METHODS
from medudl.run import Run, load_state
from medudl.training.course import read_log
from medudl.training.stop import Stopped
from medudl.tricks import TRICKS

pytestmark = pytest.mark.proof

STEPS = 60
# Each trick as a config would have it, with what it needs of the method; one without a line fails.
NONE = {"norm": "none"}
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "adaptive_augmentation": ({"speed": 500}, {}),
    "diff_augment": ({}, {}),
    "feature_matching": ({}, {}),
    "gradient_penalty": ({}, {"loss": "wasserstein", **NONE, "discriminator_steps": 2}),
    "historical_averaging": ({}, {}),
    "image_replay": ({}, {}),
    "instance_norm": ({}, {}),
    "minibatch_discrimination": ({}, {}),
    "one_sided_label_smoothing": ({}, {}),
    "perceptual": ({"side": 32, "stages": [1]}, {}),
    "player_replay": ({"every": 6, "steps": 3}, {}),
    "separate_batch_norm": ({}, {}),
    "spectral_norm": ({}, {"loss": "hinge"}),
    "unrolling": ({"steps": 2}, {}),
    "virtual_batch_norm": ({"reference": 8}, {}),
    "weight_clipping": ({}, {"loss": "wasserstein", "discriminator_steps": 2}),
}
RESUMED = ("adaptive_augmentation", "historical_averaging", "image_replay", "player_replay", "virtual_batch_norm")
TRAIN = [
    f"train.steps={STEPS}", "train.batch_size=8", f"train.validate_every={STEPS // 2}", "train.validate_batches=4",
    f"train.sample_every={STEPS}", f"train.checkpoint_every={STEPS // 2}", "train.device=cpu", "train.workers=0",
    "train.precision=fp32", "method.width=16", "method.latent=16",
]  # fmt: skip


@pytest.fixture(scope="session", params=["chest", "heads"])
def cohort(
    request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    MAKERS[request.param](folder, real_data)
    return request.param, folder / "cohort.csv"


def _settings(kind: str, tricks: list[dict[str, Any]], method: dict[str, Any]) -> list[str]:
    lines = [*PLAIN, *DATA[kind], *TRAIN, f"tricks={json.dumps(tricks)}"]
    lines += [f"method.{key}={json.dumps(value)}" for key, value in method.items()]
    return [part for line in lines for part in ("--set", line)]


def _train(name: str, out: Path, table: Path, settings: list[str], *more: str) -> Run:
    run("train", name, "--cohort", table, "-o", out, *settings, *more)
    return Run.open(out)


def _all_are_numbers(done: Run) -> None:
    lines = read_log(done.path / "log.jsonl")
    values = [value for line in lines for value in line.values() if isinstance(value, float)]
    assert values and np.isfinite(values).all()
    assert done.meta["status"] == "finished" and done.meta["step"] == STEPS
    method: Any = done.method()
    with torch.no_grad():
        samples = method.sample(8)
    assert samples.isfinite().all() and samples.std() > 0
    assert 0 <= samples.min() and samples.max() <= 1


def test_no_trick_is_left_out() -> None:
    assert set(OPTIONS) == set(TRICKS)
    assert set(RESUMED) <= set(TRICKS)


@pytest.mark.parametrize("trick", list(OPTIONS))
def test_with_each_trick(trick: str, cohort: tuple[str, Path], tmp_path: Path) -> None:
    kind, table = cohort
    options, method = OPTIONS[trick]
    settings = _settings(kind, [{"name": trick, **options}], method)
    # Beside the cohort, so that all find the prepared scans of the first.
    done = _train("gan", table.parent / trick, table, settings)
    _all_are_numbers(done)


@pytest.mark.parametrize("name", ["gan", "conditional_gan"])
def test_without_tricks_and_told_the_class(name: str, cohort: tuple[str, Path]) -> None:
    kind, table = cohort
    assert name in METHODS
    if name == "conditional_gan" and kind != "chest":
        pytest.skip("only the chest films have labels of several patients a class")
    done = _train(name, table.parent / name, table, _settings(kind, [], {}))
    _all_are_numbers(done)
    if name == "conditional_gan":
        method: Any = done.method()
        healthy = done.config.options["classes"].index("NORMAL") - 2
        assert float(method.draw(20_000)[:, healthy].mean()) == pytest.approx(20 / 30, abs=0.02)


def test_told_the_contrast_and_the_place_of_the_slice(cohort: tuple[str, Path], tmp_path: Path) -> None:
    kind, table = cohort
    if kind != "heads":
        pytest.skip("a chest film is one slice of one contrast")
    told = ["data.where={}", "data.condition=[contrast, slice_position]", "data.size=[32, 32]",
            "data.spacing=[null, 7, 7]", "train.steps=20", "train.validate_every=10"]  # fmt: skip
    settings = [*_settings(kind, [], {}), *(part for line in told for part in ("--set", line))]
    done = _train("conditional_gan", table.parent / "told", table, settings)
    contrast, place = done.config.options["conditions"]
    assert contrast == {"name": "contrast", "values": ["FLAIR", "T1", "T1c", "T2"]}
    assert place == {"name": "slice_position", "low": 0.0, "high": 1.0}
    method: Any = done.method()
    y = method.draw(20_000)[:, -5:]
    assert float(y[:, :4].sum(1).min()) == 1 and float(y[:, 4].min()) == 0 and float(y[:, 4].max()) == 1
    asked = ["--condition", "contrast=T1c", "--condition", "slice_position=0.5"]
    run("sample", done.path, "-n", 8, "-o", tmp_path / "asked", "--features", "pixels", *asked)
    shown = pd.read_csv(tmp_path / "asked" / "samples.csv")["condition"]
    assert shown.tolist() == ["contrast=T1c; slice_position=.50"] * 8
    words = ["--split", "val", "--features", "pixels", "--samples", 20, "-o", tmp_path / "report"]
    run("evaluate", done.path, *words)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert any("were told contrast and slice_position" in note for note in report["notes"])


@pytest.mark.parametrize("trick", RESUMED)
def test_a_resume_is_bit_equal(trick: str, cohort: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    kind, table = cohort
    if kind != "chest":
        pytest.skip("once is enough")
    options, method = OPTIONS[trick]
    settings = _settings(kind, [{"name": trick, **options}], method)
    whole = table.parent / trick
    if not whole.is_dir():
        _train("gan", whole, table, settings)
    out = table.parent / f"{trick}-parts"
    with monkeypatch.context() as patch:
        _stop_at(patch, 19)
        with pytest.raises(Stopped):
            _train("gan", out, table, settings)
    done = _train("gan", out, table, settings, "--resume")
    ends = [load_state(path / "checkpoint" / f"step-{STEPS:09d}.safetensors") for path in (whole, done.path)]
    assert _equal(*ends)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else bool(a == b)
