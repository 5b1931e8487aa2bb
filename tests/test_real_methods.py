"""Every method through the commands a user types, on real scans: chest films, heads in slices, hippocampi in 3-D.

Minutes, hence a proof. Trainings are far too short to be any good; what is shown is that each step works and that
the report sets the method beside the trivial baselines.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medudl import cli
from medudl.methods import METHODS, method_class
from medudl.training.stop import Stopped
from medudl.training.trainer import Trainer

pytestmark = pytest.mark.proof

SMALL = {"latent": 8, "width": 4, "levels": 2}
# Options that make each method quick; a method without a line fails `test_no_method_is_left_out`.
OPTIONS: dict[str, dict[str, Any]] = {
    "rbm": {"hidden": 16},
    "deep_belief_network": {"hidden": [16, 8]},
    "autoencoder": SMALL,
    "denoising_autoencoder": {"width": 4, "levels": 2, "grid": 4},
    "sparse_autoencoder": {"latent": 16},
    "stacked_autoencoder": {},
    "variational_autoencoder": SMALL,
    "feature_autoencoder": {},
    "classifier": {"body": {"name": "autoencoder", **SMALL}},
    "gan": {"latent": 8, "width": 4},
    "conditional_gan": {"latent": 8, "width": 4},
    "semi_supervised_gan": {"latent": 8, "width": 4},
    "label_spreading": {"side": 64},
}
STEPS = 20
TRAIN = [
    f"train.steps={STEPS}", "train.patience=null", "train.batch_size=4", "train.validate_every=5",
    "train.sample_every=5", "train.checkpoint_every=5", "train.device=cpu", "detect.median=3", "detect.erode=1",
]  # fmt: skip
# What the shipped configs say of other scans than these.
PLAIN = ["data.where={}", "data.channels=[]", "data.grid=null", "data.register_to_grid=false", "data.foreground=body",
         "data.outside=keep", "data.crop_foreground=false", "data.intensity={kind: percentile}"]  # fmt: skip
DATA = {
    "chest": ["data.foreground=none", "data.healthy_labels=[NORMAL]", "data.size=[64, 64]",
              "data.spacing=[null, 4, 4]"],
    "heads": ["data.where={contrast: FLAIR}", "data.size=[64, 64]", "data.spacing=[null, 3, 3]",
              "data.crop_foreground=true", "data.healthy_labels=[unmarked]"],
    "hippocampus": ["data.view=volume", "data.foreground=none", "data.size=[32, 40, 32]"],
}  # fmt: skip


def run(*arguments: object) -> None:
    """One command line, in this process."""
    cli.app([str(argument) for argument in arguments], standalone_mode=False)


def _labels(folder: Path, rows: list[dict[str, str]]) -> Path:
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    return folder / "labels.csv"


def _chest(folder: Path, scans: Path) -> None:
    """One film a patient: 20 healthy ones to train on, 8 to validate, 8 healthy and 8 sick ones to test; sick ones
    in training and validation for the classifier."""
    table = pd.read_csv(scans / "chest_xray_split.csv").drop_duplicates("subject")
    healthy, sick = (table[(table["label"] == "NORMAL") == want] for want in (True, False))
    chosen = pd.concat([
        healthy[healthy["split"] == "train"][:28].assign(split=["train"] * 20 + ["val"] * 8),
        sick[sick["split"] == "train"][:16].assign(split=["train"] * 10 + ["val"] * 6),
        healthy[healthy["split"] == "val"][:8].assign(split="test"),
        sick[sick["split"] == "val"][:8].assign(split="test"),
    ])  # fmt: skip
    root = scans / "chest_xray_224"
    chosen = chosen.assign(path=[str(root / path) for path in chosen["path"]])
    labels = _labels(folder, chosen.to_dict("records"))
    run("index", *chosen["path"], "--labels", labels, "--contrast", ".=XR", "-o", folder / "cohort.csv")


def _heads(folder: Path, scans: Path) -> None:
    """Patients with a tumour mask test; of the others one trains, as if healthy, and one validates."""
    root = scans / "pgbm"
    masked = {path.parents[1].name for path in root.glob("*/*/mask.nii.gz")}
    others = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in masked)
    rows = [{"subject": s, "label": "tumour", "split": "test"} for s in sorted(masked)]
    rows += [{"subject": s, "label": "unmarked", "split": "train" if i == 0 else "val"} for i, s in enumerate(others)]
    run("index", root, "--pattern", "{subject}/{study}/{contrast}.nii.gz", "--masks", "{subject}/{study}/mask.nii.gz",
        "--labels", _labels(folder, rows), "-o", folder / "cohort.csv")  # fmt: skip


def _hippocampus(folder: Path, scans: Path) -> None:
    files = sorted((scans / "hippocampus_msd" / "images").glob("*.nii.gz"))[:20]
    run("index", *files, "--split", "60/20/20", "-o", folder / "cohort.csv")


MAKERS = {"chest": _chest, "heads": _heads, "hippocampus": _hippocampus}


@pytest.fixture(scope="session", params=list(MAKERS))
def cohort(
    request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    MAKERS[request.param](folder, real_data)
    return request.param, folder / "cohort.csv"


def _settings(name: str, kind: str) -> list[str]:
    lines = [
        *PLAIN,
        *DATA[kind],
        *TRAIN,
        *(f"method.{key}={json.dumps(value)}" for key, value in OPTIONS[name].items()),
    ]
    if name == "feature_autoencoder" and kind == "hippocampus":
        lines = [*lines, "data.view=slices", "data.size=[40, 32]"]  # its network is a 2-D one
    return [part for line in lines for part in ("--set", line)]


def test_no_method_is_left_out() -> None:
    # Those that translate need two sides, and are tried in test_real_translation.py.
    assert set(OPTIONS) == {name for name in METHODS if method_class(name).paired is None}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_every_step_of_the_way(
    name: str, cohort: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, table = cohort
    if method_class(name).supervised and kind != "chest":
        pytest.skip("only the chest films have labels of several patients a class")
    out, settings = table.parent / name, _settings(name, kind)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        _stop_at(patch, 7)
        run("train", name, "--cohort", table, "-o", out, *settings)
    run("train", name, "--cohort", table, "-o", out, *settings, "--resume")
    about = json.loads((out / "run.json").read_text())
    assert about["step"] == STEPS and about["status"] == "finished"
    verbs = _verbs(out)
    if "anomaly" in verbs:
        run("detect", out, table, "-o", tmp_path / "maps", "--split", "test")
        scores = pd.read_csv(tmp_path / "maps" / "scores.csv")
        assert scores["score"].notna().all() and len(scores) > 2
    if "classify" in verbs:
        run("classify", out, table, "-o", tmp_path / "classes", "--split", "test")
        assert (tmp_path / "classes" / "predictions.csv").is_file()
    if "encode" in verbs:
        run("embed", out, table, "-o", tmp_path / "embedding")
        codes = np.load(tmp_path / "embedding" / "embedding.npy")
        assert np.isfinite(codes).all() and len(codes) == len(pd.read_csv(tmp_path / "embedding" / "embedding.csv"))
    if not {"anomaly", "classify", "encode"} & set(verbs):  # it makes images and takes none
        run("sample", out, "-n", "8", "-o", tmp_path / "samples")
        assert len(list((tmp_path / "samples").iterdir())) > 2
        return
    run("evaluate", out, "-o", tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["verdict"]
    if "classify" in verbs:
        assert report["best_baseline"] and len(report["figures"]) > 2
    elif kind != "hippocampus":  # nobody is sick there: no figure, and the verdict says so
        assert len(report["baselines"]["voxel" if kind == "heads" else "scan"]) > 3
    run("export", out, "-o", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "configs" / "metadata.json").is_file()


def _stop_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C while this step is done."""
    do = Trainer.step

    def stepped(self: Trainer, batch: Any) -> None:
        if self.at.step == step - 1 and hasattr(self, "log"):  # before, a few steps are tried
            os.kill(os.getpid(), signal.SIGINT)
        do(self, batch)

    patch.setattr(Trainer, "step", stepped)


def _verbs(out: Path) -> tuple[str, ...]:
    from medudl.run import Run

    return Run.open(out).method().verbs()
