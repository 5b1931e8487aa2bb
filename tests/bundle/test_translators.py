"""A translator as a bundle: MONAI verifies and runs it, its volumes are translate's, ONNX says what torch says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from bundle_schema import SCHEMA
from tiny_pairs import pair_cohort

from medudl.bundle import workflow
from medudl.bundle.card import model_card
from medudl.bundle.export import export
from medudl.bundle.facts import Facts
from medudl.bundle.graphs import BACK, MODEL, write_graphs
from medudl.bundle.results import figures
from medudl.bundle.shipped import Shipped
from medudl.bundle.translations import PAPERS, SYNTHETIC, modality, shipped_sides, units, ways
from medudl.config import validate_config
from medudl.errors import UserError
from medudl.methods import build
from medudl.report import translation_baselines
from medudl.report.translation import evaluate_translation
from medudl.run import Run
from medudl.tasks.translate import translate
from medudl.training.train import fit

OPTIONS: dict[str, dict[str, Any]] = {
    "pix2pix": {"width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16},
}
SIZE = {"size": [32, 32], "spacing": [None, 2, 2]}


def trained(folder: Path, name: str, data: Mapping[str, Any], tricks: list[dict[str, Any]] | None = None) -> Run:
    tree = {
        "method": {"name": name, **OPTIONS[name]},
        "data": {"channels": ["T1"], "target": ["T2"], "foreground": "none", **data},
        "train": {"steps": 1, "batch_size": 2, "validate_every": 1, "device": "cpu"},
        "tricks": tricks or [],
    }
    return fit(validate_config(tree, "test"), pair_cohort(folder / "data", test=2), folder / "run", progress=False)


@pytest.fixture(scope="module", params=list(OPTIONS))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside it lie the run and data/cohort.csv."""
    folder = tmp_path_factory.mktemp(request.param)
    run = trained(folder, request.param, SIZE)
    return export(run.path, folder / "bundle", onnx=False).path


def scans(folder: Path, table: Path) -> Path:
    """The scans of the test split alone."""
    rows = pd.read_csv(table)
    rows["path"] = str(table.parent) + "/" + rows["path"]
    folder.mkdir()
    rows[rows["split"] == "test"].to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def monai_runs(where: Path, dataset: Path, out: Path) -> list[dict[str, Any]]:
    """The parts of inference.json, put together by MONAI's parser."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(where / "configs" / "inference.json")
    parser.update({"bundle_root": str(where), "dataset_dir": str(dataset), "output_dir": str(out)})
    rows: list[dict[str, Any]] = parser.get_parsed_content("evaluator").run()
    return rows


def differences(one: Path, other: Path) -> list[float]:
    """Of every volume of two folders that must hold the same ones on the same grids."""
    names = sorted(path.name for path in one.glob("*.nii.gz"))
    assert names == sorted(path.name for path in other.glob("*.nii.gz"))
    found = []
    for name in names:
        mine, theirs = nibabel.load(one / name), nibabel.load(other / name)
        assert np.array_equal(mine.affine, theirs.affine)
        found.append(float(np.abs(mine.get_fdata() - theirs.get_fdata()).max()))
        sidecars = [(folder / name.replace(".nii.gz", ".json")).read_text() for folder in (one, other)]
        assert sidecars[0] == sidecars[1]
    return found


def test_monai_runs_it_and_the_volumes_are_those_of_translate(bundle: Path, tmp_path: Path) -> None:
    table = scans(tmp_path / "in", bundle.parent / "data" / "cohort.csv")
    monai_runs(bundle, table, tmp_path / "monai")
    translate(bundle.parent / "run", table, tmp_path / "translate", progress=False)
    apart = differences(tmp_path / "translate", tmp_path / "monai")
    both = "back" in Shipped(bundle).method().verbs()
    assert len(apart) == (8 if both else 4)  # two scans: synthetic, uncertainty, and of a cycle back and error
    print(f"\nlargest difference of a volume by MONAI from translate's: {max(apart):g}, n = 2 scans, seed 0")
    assert max(apart) == 0.0
    mine, theirs = (pd.read_csv(tmp_path / name / "translations.csv") for name in ("translate", "monai"))
    pd.testing.assert_frame_equal(mine, theirs)


def test_the_other_way(bundle: Path, tmp_path: Path) -> None:
    table = scans(tmp_path / "in", bundle.parent / "data" / "cohort.csv")
    if "back" not in Shipped(bundle).method().verbs():
        with pytest.raises(UserError, match="knows no way back"):
            Shipped(bundle, to="T1").side  # noqa: B018
        return
    # The command line of MONAI, in a process of its own, as somebody would type it who got the bundle.
    line = ["-m", "monai.bundle", "run", "--config_file", "configs/inference.json", "--dataset_dir", str(table)]
    line += ["--output_dir", str(tmp_path / "monai"), "--to", "T1"]
    done = subprocess.run([sys.executable, *line], cwd=bundle, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    translate(bundle.parent / "run", table, tmp_path / "translate", to="T1", progress=False)
    assert (tmp_path / "monai" / "sub-s4_ses-1_T2_synthetic-T1.nii.gz").is_file()
    assert max(differences(tmp_path / "translate", tmp_path / "monai")) == 0.0


@pytest.mark.parametrize("name", list(OPTIONS))
@pytest.mark.parametrize(
    "data", [{**SIZE, "view": "slices_25d"}, {"view": "patches", "size": [6, 16, 16]}], ids=["slices_25d", "patches"]
)
def test_every_way_of_seeing_a_scan_gives_translates_volumes(name: str, data: dict[str, Any], tmp_path: Path) -> None:
    """spectral_norm changes the networks, in the bundle as in the run."""
    run = trained(tmp_path, name, data, [{"name": "spectral_norm"}, {"name": "image_replay", "size": 4}])
    table = scans(tmp_path / "in", tmp_path / "data" / "cohort.csv")
    monai_runs(export(run.path, tmp_path / "bundle", onnx=False).path, table, tmp_path / "monai")
    translate(run.path, table, tmp_path / "translate", progress=False)
    assert max(differences(tmp_path / "translate", tmp_path / "monai")) == 0.0


def test_an_unreadable_scan_keeps_its_row(bundle: Path, tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path / "data", test=2)
    (rows.root / "s4_T1.nii.gz").write_bytes(b"no scan")
    table = scans(tmp_path / "in", rows.root / "cohort.csv")
    monai_runs(bundle, table, tmp_path / "monai")
    translate(bundle.parent / "run", table, tmp_path / "translate", progress=False)
    mine, theirs = (pd.read_csv(tmp_path / name / "translations.csv") for name in ("translate", "monai"))
    assert list(mine["problem"].notna()) == [True, False]
    pd.testing.assert_frame_equal(mine, theirs)


def test_a_scan_that_the_index_found_wrong_keeps_its_row(bundle: Path, tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path / "data", test=2)
    listed = pd.read_csv(rows.root / "cohort.csv", dtype=str, keep_default_na=False)
    listed.loc[listed["subject"] == "s4", "problems"] = "slices are missing"
    listed.to_csv(rows.root / "cohort.csv", index=False)
    table = scans(tmp_path / "in", rows.root / "cohort.csv")
    monai_runs(bundle, table, tmp_path / "monai")
    translate(bundle.parent / "run", table, tmp_path / "translate", progress=False)
    mine, theirs = (pd.read_csv(tmp_path / name / "translations.csv") for name in ("translate", "monai"))
    assert list(theirs["problem"].fillna("")) == ["", "slices are missing"]
    pd.testing.assert_frame_equal(mine, theirs)
    listed.assign(problems="slices are missing").to_csv(rows.root / "cohort.csv", index=False)
    with pytest.raises(UserError, match="holds no scan.*_T1: slices are missing.*; it takes T1"):
        workflow.scans(Shipped(bundle), str(scans(tmp_path / "again", rows.root / "cohort.csv")))


def test_monai_verifies_the_metadata(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai.bundle import scripts

    monkeypatch.setattr(scripts, "download_url", lambda filepath, **_: Path(filepath).write_text(json.dumps(SCHEMA)))
    meta = bundle / "configs" / "metadata.json"
    scripts.verify_metadata(meta_file=str(meta), filepath=str(tmp_path / "schema.json"))
    tree = json.loads(meta.read_text())
    made = tree["network_data_format"]["outputs"]["pred"]
    assert made["channel_def"] == {"0": "T2"} and made["modality"] == "MR" and made["value_range"] == [0, 1]
    assert "T1 to T2" in tree["task"] and tree["references"] == [PAPERS[tree["name"].removeprefix("medudl ")]]


def test_monai_verifies_what_goes_in_and_out(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai.bundle import verify_net_in_out

    monkeypatch.chdir(bundle)
    files = {"config_file": "configs/inference.json", "meta_file": "configs/metadata.json"}
    verify_net_in_out(net_id="network_def", device="cpu", **files)
    with pytest.raises(ValueError, match="channel number"):
        wrong = {"_meta_#network_data_format#outputs#pred#num_channels": 3}
        verify_net_in_out(net_id="network_def", device="cpu", **files, **wrong)


def test_monais_workflow_finds_every_part_it_asks_for(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai.bundle import ConfigWorkflow

    monkeypatch.chdir(bundle)
    workflow = ConfigWorkflow(
        "configs/inference.json", logging_file=False, workflow_type="infer",
        dataset_dir=str(bundle.parent / "data" / "cohort.csv"),
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []
    assert len(workflow.dataset) == 6  # six studies, of which T1 alone is asked for


def test_nothing_of_a_patient_is_in_it(bundle: Path) -> None:
    run = Run.open(bundle.parent / "run")
    words = {w for r in run.cohort().series() for w in (r.series, r.path, r.sha256) if w} | {str(bundle.parent)}
    words |= {f"sub-{r.subject}" for r in run.cohort().series()}
    for path in filter(Path.is_file, bundle.rglob("*")):
        assert not [word for word in words if word.encode() in path.read_bytes()], path
    sides = json.loads((bundle / "configs" / "medudl.json").read_text())["sides"]
    for side in sides.values():
        assert side.keys() == {"name", "channels", "modality", "spacing", "extent", "quantiles"}
        assert [one.keys() for one in side["channels"]] == [{"name", "unit", "low", "high"}]
        numbers = [side["spacing"], side["extent"], *side["quantiles"]]
        assert all(isinstance(end, float) for ranges in numbers for span in ranges for end in span)


def test_what_a_later_medudl_notes_of_a_side_is_not_shipped(bundle: Path, tmp_path: Path) -> None:
    sides = Run.open(bundle.parent / "run").read_json("sides.json")
    assert shipped_sides({**sides, "source": {**sides["source"], "scans": ["sub-s0"]}}) == sides


def test_card_and_readme_say_that_it_is_synthetic(bundle: Path) -> None:
    run = Run.open(bundle.parent / "run")
    card, readme = (bundle / "docs" / "model_card.md").read_text(), (bundle / "docs" / "README.md").read_text()
    assert card == model_card(run) and SYNTHETIC in card.partition("## In short")[0]
    channel = run.read_json("sides.json")["target"]["channels"][0]
    for text in (card, readme):
        assert "not for diagnosis" in text and SYNTHETIC in text
        assert "T2 comes in an arbitrary unit, the mean scale of the training scans" in text
        assert f"{channel['low']:.4g} to {channel['high']:.4g}" in text
        assert "voxels of 1 x 1 x 3 mm, field of view of 64 x 64 x 18 mm" in text
        assert PAPERS[str(run.config.method["name"])] in text
    assert "healthy ones that were learnt from" not in card and "taken for healthy" not in card
    both = "back" in run.method().verbs()
    assert ("T2 to T1" in card) is ("--to T1" in readme) is ("_cycle-back" in readme) is both
    assert ("pairs of scans" in card) is not both


def test_figures_are_those_of_the_report(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation_baselines, "TREES", 4)
    monkeypatch.setattr(translation_baselines, "CONTEXT", 1000)
    run = bundle.parent / "run"
    tree = evaluate_translation(run, out=tmp_path / "report", features="pixels", device="cpu", progress=False)
    where = export(run, tmp_path / "bundle", onnx=False, report=tmp_path / "report").path
    told = json.loads((where / "configs" / "metadata.json").read_text())["eval_metrics"]
    mae = next(row["value"] for row in tree["figures"] if row["name"] == "mae")
    assert told == figures(tree) and mae in told.values()
    assert tree["verdict"] in (where / "docs" / "model_card.md").read_text()


def test_a_unit_is_told_as_what_it_is(bundle: Path) -> None:
    run = Run.open(bundle.parent / "run")
    facts = Facts(run, run.method())
    target = {**facts.sides["target"], "name": "CT", "modality": "CT"}
    target["channels"] = [{"name": "CT", "unit": "HU", "low": -1000.0, "high": 2000.0}]
    facts.sides = {**facts.sides, "target": target}
    assert units(facts)[0] == "CT comes in HU (the network's 0 to 1 stand for -1000 to 2000)"
    assert modality(facts, "target") == "CT" and modality(facts, "source") == "MR"
    assert ways(facts).startswith("T1 to CT")


def test_onnx_says_both_ways_what_torch_says_of_any_batch(tmp_path: Path) -> None:
    """Two channels on one side, one on the other, so that the ways cannot be confused."""
    torch.manual_seed(0)
    method: Any = build("cyclegan", (1, 16, 16), {**OPTIONS["cyclegan"], "target_channels": 2}).eval()
    made = write_graphs(method, tmp_path)
    assert made.files == {MODEL: ["target"], BACK: ["image"]} and made.left_out == {}
    ways = [(MODEL, "image", 1, method.translate), (BACK, "target", 2, method.back)]
    worst = 0.0
    for file, given, channels, call in ways:
        session = onnxruntime.InferenceSession(str(tmp_path / file), providers=["CPUExecutionProvider"])
        for batch in (1, 5):
            image = torch.rand(batch, channels, 16, 16)
            (told,) = session.run(None, {given: image.numpy()})
            with torch.no_grad():
                worst = max(worst, float((call(image) - torch.from_numpy(told)).abs().max()))
    print(f"\nONNX against torch, cyclegan: {worst:.1e}, batches of 1 and 5, seed 0")
    assert worst <= 1e-5
