"""Translators from a cohort: both sides found, what is missing told, the same after a resume, files whole."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny import equal
from tiny_pairs import pair_cohort

from medudl.api import translate
from medudl.config import Config, validate_config
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.run import Run, load_state
from medudl.training.resolve import complete
from medudl.training.stop import Stopped
from medudl.training.train import fit
from medudl.training.trainer import Trainer

METHODS: dict[str, dict[str, Any]] = {
    "pix2pix": {"width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16},
}


def config(name: str, data: dict[str, Any] | None = None, **train: Any) -> Config:
    tree = {
        "method": {"name": name, **METHODS[name]},
        "data": {"channels": ["T1"], "target": ["T2"], "size": [32, 32], "spacing": [None, 2, 2], "foreground": "none",
                 **(data or {})},
        "train": {"steps": 8, "batch_size": 2, "validate_every": 4, "checkpoint_every": 2, "sample_every": 4,
                  "device": "cpu", "optimiser": {"schedule": "linear", "ema": 0.9}, **train},
        "tricks": [{"name": "image_replay", "size": 4}, {"name": "diff_augment"}],
    }  # fmt: skip
    return validate_config(tree, "test")


@pytest.mark.parametrize("name", list(METHODS))
def test_the_run_folder_is_complete(name: str, tmp_path: Path) -> None:
    run = fit(config(name), pair_cohort(tmp_path / "data"), tmp_path / "run", progress=False)
    assert run.meta["status"] == "finished" and run.shape == (1, 32, 32)
    assert run.config.options["target_channels"] == 1
    scans, sides = run.read_json("scans.json"), run.read_json("sides.json")
    assert len(scans["train"]) == 4 and len(scans["val"]) == 2
    assert (len(scans.get("target_train", [])), len(scans.get("target_val", []))) == (
        (0, 0) if name == "pix2pix" else (4, 2)
    )
    for side, contrast in (("source", "T1"), ("target", "T2")):
        told = sides[side]
        assert told["name"] == contrast and told["modality"] == "MR" and len(told["quantiles"]) == 1
        assert told["channels"][0]["unit"] == "arbitrary" and told["channels"][0]["low"] < told["channels"][0]["high"]
        assert [low for low, _ in told["spacing"]] == [1, 1, 3]
    with Image.open(sorted((run.path / "samples").iterdir())[-1]) as picture:
        rows = 4 if name == "pix2pix" else 2
        columns = 3 if name == "pix2pix" else 2
        assert picture.size == (32 * columns, 32 * rows), "input, answer, truth; or x, G(x) above y, F(y)"
    method = run.method()
    assert method.translate(torch.rand(1, 1, 32, 32)).shape == (1, 1, 32, 32)  # type: ignore[operator]


@pytest.mark.parametrize("name", list(METHODS))
def test_resume_in_the_middle_is_bit_equal(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pair_cohort(tmp_path / "data")
    whole = fit(config(name), rows, tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        after = Trainer.after_step

        def stopping(self: Trainer, end: int) -> None:
            if self.at.step == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            after(self, end)

        patch.setattr(Trainer, "after_step", stopping)
        fit(config(name), rows, tmp_path / "cut", progress=False)
    assert 5 <= Run.open(tmp_path / "cut").meta["step"] < 8
    resumed = fit(config(name), rows, tmp_path / "cut", resume=True, progress=False)
    one, other = (load_state(run.path / "weights.safetensors") for run in (whole, resumed))
    assert equal(one, other)
    steps = [
        [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()] for run in (whole, resumed)
    ]
    last = [[entry for entry in entries if entry["kind"] == "validation"][-1] for entries in steps]
    assert last[0] == last[1]


def test_unpaired_sides_may_be_of_other_patients(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path / "data")
    odd = rows.table["subject"].str[1:].astype(int) % 2 == 1
    apart = Cohort(rows.root, rows.table[(rows.table["contrast"] == "T1") == odd], rows.meta)
    run = fit(config("cyclegan"), apart, tmp_path / "run", progress=False)
    scans = run.read_json("scans.json")
    assert len(scans["train"]) == len(scans["target_train"]) == 2
    assert not {name.split("_")[0] for name in scans["train"]} & {name.split("_")[0] for name in scans["target_train"]}


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("pix2pix", {"target": []}, "data.target is missing: which contrast is pix2pix to make"),
        ("cyclegan", {"target": ["FLAIR"]}, "the cohort has no scan of FLAIR"),
        ("pix2pix", {"target": ["FLAIR"]}, "lacks FLAIR"),
    ],
)
def test_a_side_that_is_missing_is_told(name: str, data: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        complete(config(name, data), pair_cohort(tmp_path / "data"))


def test_pairs_of_two_modalities_and_a_new_scan_of_one(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path / "data", subjects=5, test=1)
    rows.table.loc[rows.table["contrast"] == "T2", ["contrast", "modality"]] = ["", "CT"]
    names = {"channels": ["MR"], "target": ["CT"]}
    run = fit(config("pix2pix", names, steps=2), rows, tmp_path / "run", progress=False)
    assert {name: len(ids) for name, ids in run.read_json("scans.json").items()} == {"train": 2, "val": 2}
    sides = run.read_json("sides.json")
    assert [(told["name"], told["modality"]) for told in sides.values()] == [("MR", "MR"), ("CT", "CT")]
    assert set(run.cohort().table["contrast"]) == {"T1", ""}, "the run keeps the names of the cohort"
    new = Cohort(rows.root, rows.table[(rows.table["split"] == "test") & (rows.table["modality"] == "MR")], rows.meta)
    new.write(tmp_path / "new.csv")
    table = translate(run.path, tmp_path / "new.csv", tmp_path / "out", progress=False)
    assert (table["problem"] == "").all() and [path.name for path in (tmp_path / "out").glob("*synthetic*.nii.gz")] == [
        "sub-s4_ses-1_T1_synthetic-CT.nii.gz"
    ]


def test_a_target_for_a_method_that_makes_none(tmp_path: Path) -> None:
    tree = config("pix2pix").model_dump()
    other = validate_config({**tree, "method": {"name": "gan"}, "tricks": []}, "test")
    with pytest.raises(UserError, match=r"data.target: gan makes no image of another kind"):
        complete(other, pair_cohort(tmp_path / "data"))


def test_no_scan_to_choose_by_is_told(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path / "data", subjects=4, val=0)
    with pytest.raises(UserError, match="no scan of T1 in the val split, which chooses the best weights"):
        complete(config("cyclegan"), rows)


def test_neighbours_of_both_sides(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path / "data")
    for name, channels in (("pix2pix", 1), ("cyclegan", 3)):
        run = fit(config(name, {"view": "slices_25d"}, steps=2), rows, tmp_path / name, progress=False)
        assert run.shape == (3, 32, 32) and run.config.options["target_channels"] == channels


@pytest.mark.parametrize("name", list(METHODS))
def test_patches_in_3d(name: str, tmp_path: Path) -> None:
    data = {"view": "patches", "size": [6, 16, 16]}
    run = fit(config(name, data, steps=2), pair_cohort(tmp_path / "data"), tmp_path / name, progress=False)
    assert run.shape == (1, 6, 16, 16)
