"""Translation by the commands a user types, on real scans: CT and MR without pairs, T1 to T2 with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medudl import cli

pytestmark = pytest.mark.proof
TRAIN = ["train.device=cpu", "train.validate_every=250", "train.sample_every=250", "train.patience=null"]


def run(*arguments: object) -> None:
    """One command line, in this process."""
    cli.app([str(argument) for argument in arguments], standalone_mode=False)


def settings(*lines: str) -> list[str]:
    return [part for line in (*TRAIN, *lines) for part in ("--set", line)]


def config(folder: Path, name: str, channels: str, target: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(f"method: {{name: {name}}}\ndata: {{channels: [{channels}], target: [{target}]}}\n")
    return path


def finite(log: Path) -> list[dict[str, float]]:
    """Every line of a log, all numbers of which are finite."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    for entry in entries:
        assert all(np.isfinite(value) for value in entry.values() if isinstance(value, float)), entry
    return entries


def test_ct_and_mr_from_png_with_empty_slices_among_them(real_data: Path, tmp_path: Path) -> None:
    """1,000 steps of CycleGAN; every tenth slice of either side is empty or constant.

    The index finds such images and they are left out; with data.repair they are learnt from all the same.
    """
    source = tmp_path / "png"
    for side in ("ct", "mri"):
        (source / side).mkdir(parents=True)
        files = sorted((real_data / "ct2mri_256" / side).glob("*.png"))[:90]
        for file in files:
            shutil.copy(file, source / side / file.name)
        for number in range(10):
            level = 0 if number < 5 else 40 + number
            Image.fromarray(np.full((256, 256), level, np.uint8)).save(source / side / f"empty{number}.png")
    cohort = tmp_path / "cohort.csv"
    run("index", source, "--pattern", "{contrast}/{subject}.png", "--split", "70/15/15", "-o", cohort)
    rows = pd.read_csv(cohort)
    assert rows["subject"].str.startswith("empty").sum() == 20
    options = settings(
        "method.width=8", "method.blocks=2", "method.discriminator_width=16", "data.foreground=none",
        "data.min_foreground=0", "data.repair=true", "data.size=[64, 64]", "data.spacing=[null, 4, 4]",
        "train.steps=1000",
        "data.intensity={kind: window, low: 0, high: 255}", "train.batch_size=1", "train.validate_batches=2",
        "train.optimiser.lr=2e-4", "train.optimiser.betas=[0.5, 0.999]", "train.optimiser.schedule=linear",
    )  # fmt: skip
    out = tmp_path / "run"
    run("train", config(tmp_path, "cyclegan", "ct", "mri"), "--cohort", cohort, "-o", out, *options)
    entries = finite(out / "log.jsonl")
    learnt = json.loads((out / "scans.json").read_text())
    assert any("empty" in name for name in learnt["train"]) and any("empty" in name for name in learnt["target_train"])
    first, *_, last = [entry["kid"] for entry in entries if entry["kind"] == "validation"]
    print(f"validation KID of coarse pixels {first:.3f} at step 250, {last:.3f} at 1,000")
    for to in ("mri", "ct"):
        made = tmp_path / f"to-{to}"
        run("translate", out, cohort, "-o", made, "--to", to, "--split", "test")
        table = pd.read_csv(made / "translations.csv")
        assert table["problem"].isna().all() and len(table) > 10
        for name in table["volume"]:
            voxels = nibabel.load(made / name).get_fdata()
            assert voxels.shape == (256, 256, 1) and np.isfinite(voxels).all()


def test_t1_to_t2_of_real_heads(real_data: Path, tmp_path: Path) -> None:
    """pix2pix from NIfTI; what comes out lies on the source's grid. Too short a training to be any good, as printed."""
    cohort = tmp_path / "cohort.csv"
    pattern = "{subject}/{study}/{contrast}.nii.gz"
    run("index", real_data / "pgbm", "--pattern", pattern, "--split", "50/25/25", "-o", cohort)
    options = settings(
        "method.width=16", "method.discriminator_width=16", "data.size=[96, 96]", "data.spacing=[null, 2, 2]",
        "train.steps=500", "train.batch_size=2", "train.optimiser.lr=2e-4", "train.optimiser.betas=[0.5, 0.999]",
    )  # fmt: skip
    out = tmp_path / "run"
    run("train", config(tmp_path, "pix2pix", "T1", "T2"), "--cohort", cohort, "-o", out, *options)
    entries = finite(out / "log.jsonl")
    first, *_, last = [entry["mae"] for entry in entries if entry["kind"] == "validation"]
    print(f"validation MAE (nominal) {first:.3f} at step 250, {last:.3f} at 500")
    made = tmp_path / "made"
    run("translate", out, cohort, "-o", made, "--split", "test")
    table, rows = pd.read_csv(made / "translations.csv"), pd.read_csv(cohort)
    assert table["problem"].isna().all() and len(table) >= 1
    for name, series in zip(table["volume"], table["series"], strict=True):
        volume = nibabel.load(made / name)
        path = rows.loc[rows["series"] == series, "path"].item()
        source = nibabel.load(real_data / "pgbm" / path)
        assert volume.shape == source.shape and np.abs(volume.affine - source.affine).max() < 1e-4
        truth = nibabel.load(real_data / "pgbm" / path.replace("T1.nii", "T2.nii")).get_fdata()
        inside = source.get_fdata() > np.median(source.get_fdata())
        like = np.corrcoef(volume.get_fdata()[inside], truth[inside])[0, 1]
        alone = np.corrcoef(source.get_fdata()[inside], truth[inside])[0, 1]
        print(f"{series}: correlation with the true T2 inside the head {like:.2f}, of the T1 itself {alone:.2f}")
