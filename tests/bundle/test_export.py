"""A tiny run as a bundle: MONAI verifies and runs it, its maps are detect's, and nothing of a patient is in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from bundle_schema import SCHEMA
from tiny_run import make_cohort, make_run, tiny_config

from medudl.bundle.export import check_no_images, export
from medudl.bundle.shipped import Shipped
from medudl.config import validate_config
from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.calibrate import calibrate
from medudl.tasks.classify import classify
from medudl.tasks.detect import detect


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("export")
    cohort = make_cohort(folder / "scans", sick=1, healthy=1)
    # A cohort column that names patients, beside one that names a kind of scan.
    config = tiny_config(where={"contrast": "FLAIR", "subject": [f"s{n:02d}" for n in range(10)]})
    made = make_run(folder / "run", cohort, config)
    calibrate(made)
    return made


@pytest.fixture(scope="module")
def bundle(run) -> Path:
    return export(run.path, run.path.parent / "bundle", onnx=False, authors="A. Author").path


def test_monai_runs_it_and_the_maps_are_those_of_detect(run, bundle, tmp_path) -> None:
    scans = tmp_path / "in"
    scans.mkdir()
    for name in ("s00", "s08"):  # names that neither lets the model's `subject` column choose; the contrast is FLAIR
        (scans / f"sub-{name}_FLAIR.nii.gz").write_bytes((run.cohort().root / f"{name}.nii.gz").read_bytes())
    # The command line of MONAI, in a process of its own, as somebody would type it who got the bundle.
    line = ["-m", "monai.bundle", "run", "--config_file", "configs/inference.json", "--dataset_dir", str(scans)]
    line += ["--output_dir", str(tmp_path / "monai")]
    done = subprocess.run([sys.executable, *line], cwd=bundle, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    detect(run.path, scans, tmp_path / "detect", progress=False)
    maps = sorted((tmp_path / "detect").glob("*.nii.gz"))
    assert len(maps) == 6  # two scans: anomaly, expected, unusual
    worst = 0.0
    for path in maps:
        mine, monai = nibabel.load(path), nibabel.load(tmp_path / "monai" / path.name)
        assert np.array_equal(mine.affine, monai.affine)
        worst = max(worst, float(np.abs(mine.get_fdata() - monai.get_fdata()).max()))
    print(f"\nlargest difference of a map by MONAI from detect's: {worst:g}, n = 2 scans, seed 0")
    assert worst == 0.0
    mine, monai = (pd.read_csv(tmp_path / name / "scores.csv") for name in ("detect", "monai"))
    pd.testing.assert_frame_equal(mine, monai)


def test_monai_verifies_the_metadata(bundle, tmp_path, monkeypatch) -> None:
    """`verify_metadata` itself; only its download is replaced, by a schema written after MONAI's specification."""
    from monai.bundle import scripts

    def download(url: str, filepath: str, **_: object) -> None:
        assert url.startswith("https://github.com/Project-MONAI/MONAI-extra-test-data/")
        Path(filepath).write_text(json.dumps(SCHEMA))

    monkeypatch.setattr(scripts, "download_url", download)
    meta = bundle / "configs" / "metadata.json"
    scripts.verify_metadata(meta_file=str(meta), filepath=str(tmp_path / "schema.json"))
    broken = json.loads(meta.read_text())
    del broken["network_data_format"]["outputs"]["pred"]["num_channels"]
    (tmp_path / "metadata.json").write_text(json.dumps(broken))
    with pytest.raises(ValueError, match="num_channels"):
        scripts.verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(tmp_path / "schema.json"))


def test_monai_verifies_what_goes_in_and_out(bundle, tmp_path, monkeypatch) -> None:
    from monai.bundle import verify_net_in_out

    monkeypatch.chdir(bundle)
    files = {"config_file": "configs/inference.json", "meta_file": "configs/metadata.json"}
    verify_net_in_out(net_id="network_def", device="cpu", **files)
    with pytest.raises(ValueError, match="channel number"):
        wrong = {"_meta_#network_data_format#outputs#pred#num_channels": 3}
        verify_net_in_out(net_id="network_def", device="cpu", **files, **wrong)


def test_monais_workflow_finds_every_part_it_asks_for(bundle, run, monkeypatch) -> None:
    from monai.bundle import ConfigWorkflow

    monkeypatch.chdir(bundle)
    workflow = ConfigWorkflow(
        "configs/inference.json", logging_file=False, workflow_type="infer",
        dataset_dir=str(run.cohort().root / "cohort.csv"),
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []
    assert len(workflow.dataset) == 10


def test_nothing_of_a_patient_is_in_it(run, bundle) -> None:
    rows = run.cohort().series()
    words = {w for r in rows for w in (r.subject, r.series, r.path, r.sha256) if w} | {str(run.path.parent)}
    for path in filter(Path.is_file, bundle.rglob("*")):
        found = path.read_bytes()
        assert not [word for word in words if word.encode() in found], path
    assert not [p for p in bundle.rglob("*") if p.suffix in (".png", ".gz", ".csv", ".npy")]
    kept = json.loads((bundle / "configs" / "medudl.json").read_text())
    assert kept["data"]["where"] == {"contrast": "FLAIR"} and kept["calibration"]["scans"] == []
    assert kept["data"]["cache"] is None
    assert "subject" in (bundle / "docs" / "README.md").read_text()  # and it says what it left out
    weights = torch.load(bundle / "models" / "model.pt", weights_only=True)
    images = [run.pipeline().prepare(run.cohort(), case).image for case in _cases(run)]
    for tensor in weights.values():
        flat = tensor.flatten().double().numpy()
        for image in images:
            one = image[0, 3].flatten()
            if len(flat) >= len(one):
                whole = flat[: len(flat) // len(one) * len(one)].reshape(-1, len(one))
                assert np.nanmax([abs(np.corrcoef(row, one)[0, 1]) for row in whole if row.std()], initial=0) < 0.95


def test_a_method_that_keeps_images_is_not_exported(run) -> None:
    method = run.method()
    check_no_images(method, run)
    method.register_buffer("mean_image", torch.zeros(method.shape))
    check_no_images(method, run)
    method.register_buffer("pool", torch.zeros(4, *method.shape))
    with pytest.raises(UserError, match=r"keeps 4 images of patients \(pool\)"):
        check_no_images(method, run)


def test_the_bundle_keeps_the_thresholds_and_the_settings(run, bundle) -> None:
    shipped = Shipped(bundle)
    assert shipped.healthy["voxel"] == run.read_json("calibration.json")["voxel"]
    assert shipped.config.detect == run.config.detect and shipped.shape == run.shape
    mine, theirs = run.method().state_dict(), shipped.method().state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
    with pytest.raises(UserError, match="no cohort"):
        shipped.cohort()


@pytest.mark.parametrize(
    ("view", "shape", "size"),
    [
        ("slices_25d", (3, 16, 16), [16, 16]),
        ("patches", (1, 4, 8, 8), [4, 8, 8]),
        ("volume", (1, 6, 16, 16), [6, 16, 16]),
    ],
)
def test_every_way_of_seeing_a_scan_gives_detects_maps(run, tmp_path, view, shape, size) -> None:
    config = tiny_config(view=view, size=size)
    config = validate_config({**config.model_dump(mode="json"), "method": {**config.method, "levels": 1}}, "tiny")
    made = make_run(tmp_path / "run", run.cohort().root / "cohort.csv", config, shape)
    calibrate(made)
    where = export(made.path, tmp_path / "bundle", onnx=False).path
    table = run.cohort().root / "cohort.csv"
    rows = _run_parts(where, table, tmp_path / "out")
    detect(made.path, table, tmp_path / "detect", progress=False)
    maps = sorted((tmp_path / "detect").glob("*.nii.gz"))
    assert len(rows) == 10 and len(maps) == 30
    for path in maps:
        assert np.array_equal(nibabel.load(path).get_fdata(), nibabel.load(tmp_path / "out" / path.name).get_fdata())


def test_a_classifiers_bundle_gives_classifys_probabilities(run, tmp_path) -> None:
    body = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 1}
    method = {"name": "classifier", "body": body, "classes": ["healthy", "plaque"], "healthy": ["healthy"]}
    config = validate_config({**tiny_config().model_dump(mode="json"), "method": method}, "tiny")
    table = run.cohort().root / "cohort.csv"
    made = make_run(tmp_path / "run", table, config)
    made.update({"classes": method["classes"]})
    made.write_json("classification.json", {"temperature": 0.3})
    expected = classify(made.path, table, tmp_path / "classify", progress=False)
    found = pd.DataFrame(_run_parts(export(made.path, tmp_path / "bundle", onnx=False).path, table, tmp_path / "out"))
    assert list(found["predicted"]) == list(expected["predicted"])
    for name in ("probability healthy", "probability plaque"):
        assert np.array_equal(found[name], expected[name])
    assert np.ptp(found["probability plaque"]) > 0
    assert (tmp_path / "out" / "predictions.csv").is_file()
    meta = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text())
    assert meta["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "healthy", "1": "plaque"}


def _run_parts(where: Path, scans: Path, out: Path) -> list[dict[str, object]]:
    """Without a process of its own: the parts of inference.json, put together by MONAI's parser."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(where / "configs" / "inference.json")
    parser.update({"bundle_root": str(where), "dataset_dir": str(scans), "output_dir": str(out)})
    return parser.get_parsed_content("evaluator").run()


def test_two_channels_are_named(run) -> None:
    from medudl.bundle.facts import Facts

    config = tiny_config(view="slices_25d", channels=["T1", "FLAIR"])
    facts = Facts(Run(run.path, config, run.meta), run.method())
    assert facts.channel_names(6)[:2] == ["T1, slice -1", "FLAIR, slice -1"] and len(facts.channel_names(6)) == 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run, out: (run.path.parent, out), "not a run"),
        (lambda run, out: (run.path, run.path), "exists already"),
    ],
)
def test_bad_input_is_told_in_a_line(run, tmp_path, change, said) -> None:
    with pytest.raises(UserError, match=said):
        export(*change(run, tmp_path / "out"), onnx=False)
    assert not (tmp_path / "out").exists()


def test_a_report_of_another_method_is_refused_and_nothing_is_left(run, tmp_path) -> None:
    (tmp_path / "report.json").write_text('{"method": "rbm"}')
    with pytest.raises(UserError, match="no report of autoencoder"):
        export(run.path, tmp_path / "out", onnx=False, report=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("name", ["configs/medudl.json", "models/model.pt"])
def test_a_damaged_bundle_is_told_in_a_line(run, tmp_path, name) -> None:
    where = export(run.path, tmp_path / "bundle", onnx=False).path
    (where / name).write_bytes((where / name).read_bytes()[:50])
    with pytest.raises(UserError, match="no bundle of medudl|damaged"):
        Shipped(where).method()


def _cases(run: Run):
    from medudl.data.cases import cases_of

    return cases_of(run.cohort(), run.config.data)[0]
