"""Embed on tiny runs: rows and arrays belong together, the folder appears whole, and it says what is left out."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
import toys
from tiny_run import make_cohort, make_run, tiny_config

from medudl.data.cases import cases_of
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks import describe, projections
from medudl.tasks.embed import embed
from medudl.tasks.embedding_files import Embedding, Frames
from medudl.tasks.maps import raw_map

VAE = {"name": "variational_autoencoder", "network": "dense", "hidden": [8], "latent": 3}


@pytest.fixture(autouse=True)
def _without_umap(monkeypatch):
    """UMAP compiles itself for half a minute; tests/tasks/test_projections.py draws it once."""
    find = projections.importlib.util.find_spec
    monkeypatch.setattr(projections.importlib.util, "find_spec", lambda name: None if name == "umap" else find(name))


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("embed") / "scans", train=2, val=2, healthy=2, sick=2)


@pytest.fixture(scope="module")
def run(scans) -> Run:
    return make_run(scans.parents[1] / "run", scans, tiny_config().model_copy(update={"method": VAE}))


@pytest.fixture(scope="module")
def made(run, scans, tmp_path_factory) -> Embedding:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(projections.LIMITS, "umap", 0)
        embed(run.path, scans, tmp_path_factory.mktemp("out") / "emb", progress=False)
    return Embedding.read(tmp_path_factory.getbasetemp() / "out0" / "emb")


def _prepared(run: Run, scans: Path, case_id: str):
    cohort = Cohort.read(scans)
    case = next(case for case in cases_of(cohort, run.config.data)[0] if case.id == case_id)
    return run.pipeline().prepare(cohort, case)


def test_row_i_of_the_table_describes_row_i_of_every_array(made, run, scans):
    method = run.method()
    assert len(made.table) == 8 * 6 == made.about["n"]  # every slice of eight scans holds enough foreground
    for row in (0, 7, 47):
        facts = made.table.iloc[row]
        prepared = _prepared(run, scans, facts["case"])
        assert facts["item"] == f"{facts['case']}/{facts['slice']}"
        image = torch.from_numpy(prepared.image[:, facts["slice"]].copy())[None]
        with torch.no_grad():
            assert np.allclose(made.codes[row], method.encode(image)[0], atol=1e-6)
            assert np.allclose(made.arrays["uncertainty"][row], method.uncertainty(image)[0], atol=1e-6)
            drawn = (method.reconstruct(image)[0, 0].clamp(0, 1) * 255).round().numpy()
            own = method.scores(image)
        shown = (image[0, 0].clamp(0, 1) * 255).round().numpy()
        assert np.array_equal(made.arrays["pictures"][row], shown)
        seen = prepared.foreground[0, facts["slice"]]
        assert 0 < seen.sum() < seen.size
        assert np.abs(made.arrays["expected"][row] - drawn)[seen].max() <= 1
        assert np.array_equal(made.arrays["expected"][row][~seen], shown[~seen]), "outside, the scan itself"
        assert facts["elbo"] == pytest.approx(float(own["elbo"]), rel=1e-4)
        assert facts["uncertainty"] == pytest.approx(float(made.arrays["uncertainty"][row].mean()), rel=1e-4)


def test_the_score_is_the_mean_of_the_map_inside_the_foreground(made, run, scans):
    facts = made.table.iloc[9]
    prepared = _prepared(run, scans, facts["case"])
    heat = raw_map(run.method(), prepared.image, run.config.data, expected=False).heat
    at = facts["slice"]
    inside = prepared.foreground[0, at]
    assert facts["score"] == pytest.approx(float(heat[at][inside].mean()), rel=1e-4)
    assert facts["score"] != pytest.approx(float(heat[at].mean()), rel=1e-4)


def test_the_position_is_that_of_the_slice_in_the_scanner(made):
    first = made.table[made.table["case"] == "sub-s00_FLAIR"]
    assert first["position_mm"].tolist() == [-5, -2, 1, 4, 7, 10]


def test_what_the_file_says_of_all_rows(made):
    about = made.about
    assert made.run().name == about["run_name"] == "run" and (made.run() / "run.json").is_file()
    assert about["by"] == "slice" and about["latent"] == 3 and about["cases"] == about["patients"] == 8
    assert np.allclose(about["mean"], made.codes.mean(axis=0)) and np.allclose(about["sigma"], made.codes.std(axis=0))
    assert about["active_units"] == int((made.codes.var(axis=0) > 0.01).sum())
    assert about["projections"] == ["pca", "tsne"] and "too long" in about["left_out"]["umap"]
    assert "label" in about["clusters"]["against"] and "modality" not in about["clusters"]["against"]
    assert set(about["clusters"]["baselines"]) == {"pixels", "pixel_pca"}
    assert about["picture_shape"] == list(made.arrays["pictures"].shape[1:]) == [16, 16]


def test_neighbours_are_rows_of_other_cases(made):
    rows, cases = made.arrays["neighbours"], made.table["case"].to_numpy()
    assert rows.shape == (48, 10) and rows.min() >= 0
    assert (cases[rows] != cases[:, None]).all()
    assert (np.diff(made.arrays["neighbours_distance"], axis=1) >= 0).all()


def test_a_row_a_scan_is_the_mean_of_its_slices(made, run, scans, tmp_path):
    table = embed(run.path, scans, tmp_path / "out", by="scan", progress=False)
    whole = Embedding.read(tmp_path / "out")
    assert len(table) == 8 and list(whole.table["item"]) == list(whole.table["case"])
    mine = (made.table["case"] == whole.table["case"][3]).to_numpy()
    assert np.allclose(whole.codes[3], made.codes[mine].mean(axis=0), atol=1e-6)
    assert whole.table["score"][3] == pytest.approx(made.table["score"][mine].mean(), rel=1e-4)
    assert np.array_equal(whole.arrays["pictures"][3], made.arrays["pictures"][mine][3])


def test_one_split_alone(run, scans, tmp_path):
    table = embed(run.path, scans, tmp_path / "out", split="val", progress=False)
    assert set(table["split"]) == {"val"} and len(table) == 12


def test_slices_without_foreground_are_left_out_and_counted(run, scans, tmp_path):
    scan = nibabel.load(scans.parent / "s00.nii.gz")
    voxels = scan.get_fdata(dtype=np.float32)
    voxels[:, :, [0, 5]] = 0
    nibabel.save(nibabel.Nifti1Image(voxels, scan.affine), tmp_path / "air.nii.gz")
    table = embed(run.path, tmp_path / "air.nii.gz", tmp_path / "out", progress=False)
    assert list(table["slice"]) == [1, 2, 3, 4]
    assert Embedding.read(tmp_path / "out").about["empty"] == 2
    strict = make_run(tmp_path / "run", scans, tiny_config(min_foreground=1.0))
    with pytest.raises(UserError, match="min_foreground"):
        embed(strict.path, scans, tmp_path / "none", progress=False)
    assert not (tmp_path / "none").exists()


def test_the_same_seed_gives_the_same_files(made, run, scans, tmp_path):
    embed(run.path, scans, tmp_path / "out", progress=False)
    for name in ("embedding.csv", "embedding.npy", "pictures.npy", "neighbours.npy"):
        assert (tmp_path / "out" / name).read_bytes() == (made.path / name).read_bytes(), name


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("full")])
def test_nothing_is_left_behind_when_it_is_stopped(run, scans, tmp_path, monkeypatch, stop):
    def stopped(*_: object, **__: object) -> None:
        raise stop

    monkeypatch.setattr(describe, "compare", stopped)
    with pytest.raises((KeyboardInterrupt, OSError)):
        embed(run.path, scans, tmp_path / "out", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_an_older_embedding_is_replaced_and_kept_where_it_fails(run, scans, tmp_path, monkeypatch):
    embed(run.path, scans, tmp_path / "out", split="val", progress=False)
    before = (tmp_path / "out" / "embedding.csv").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(describe, "grouped", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            embed(run.path, scans, tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "embedding.csv").read_bytes() == before
    embed(run.path, scans, tmp_path / "out", split="train", progress=False)
    assert set(Embedding.read(tmp_path / "out").table["split"]) == {"train"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_something_else_is_refused_before_a_scan_is_read(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not an embedding"):
        embed(run.path, tmp_path / "absent", tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_what_a_killed_process_left_is_removed_and_the_rest_stays(run, scans, tmp_path):
    (tmp_path / ".out.999999999.tmp").mkdir()
    (tmp_path / ".other.999999999.tmp").mkdir()
    embed(run.path, scans, tmp_path / "out", split="val", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.999999999.tmp", "out"]


def test_a_broken_scan_is_named_and_the_others_go_on(run, scans, tmp_path):
    shutil.copytree(scans.parent, tmp_path / "scans")
    (tmp_path / "scans" / "s01.nii.gz").write_bytes(b"no NIfTI")
    table = embed(run.path, tmp_path / "scans" / "cohort.csv", tmp_path / "out", progress=False)
    (told,) = Embedding.read(tmp_path / "out").about["skipped"]
    assert "sub-s01_FLAIR" in told and str(tmp_path) not in told
    assert len(table) == 42 and "s01" not in set(table["subject"])
    for path in (tmp_path / "scans").glob("s*.nii.gz"):
        path.write_bytes(b"no NIfTI")
    with pytest.raises(UserError, match="sub-s00|s00"):
        embed(run.path, tmp_path / "scans" / "cohort.csv", tmp_path / "out2", progress=False)
    assert not (tmp_path / "out2").exists()


def test_a_method_without_codes_says_so(scans, tmp_path, monkeypatch):
    toys.register(monkeypatch)
    config = tiny_config().model_copy(update={"method": {"name": "toy_wasserstein"}})
    run = make_run(tmp_path / "run", scans, config)
    with pytest.raises(UserError, match="no codes"):
        embed(run.path, scans, tmp_path / "out", progress=False)


@pytest.mark.parametrize(
    ("data", "shape", "items"),
    [
        ({"view": "volume", "size": [6, 16, 16]}, (1, 6, 16, 16), 4),
        ({"view": "patches", "size": [4, 8, 8]}, (1, 4, 8, 8), 4),
        ({"view": "slices_25d", "size": [16, 16]}, (3, 16, 16), 24),
    ],
)
def test_volumes_patches_and_neighbours(scans, tmp_path, data, shape, items):
    run = make_run(tmp_path / "run", scans, tiny_config(**data), shape)
    if data["view"] != "slices_25d":
        with pytest.raises(UserError, match="whole"):
            embed(run.path, scans, tmp_path / "out", by="slice", progress=False)
    table = embed(run.path, scans, tmp_path / "out", split="test", progress=False)
    made = Embedding.read(tmp_path / "out")
    assert len(table) == items and made.codes.shape == (items, 4)
    prepared = _prepared(run, scans, made.table["case"][0])
    row = 2 if items == 24 else 0
    depth = made.table["slice"][row]
    assert depth == (2 if items == 24 else 3)
    plane = (prepared.image[0, depth].clip(0, 1) * 255).round()
    shown = made.arrays["pictures"][row]
    top, left = (np.array(shown.shape) - plane.shape) // 2
    assert np.array_equal(shown[top : top + plane.shape[0], left : left + plane.shape[1]], plane)
    assert made.arrays["expected"].shape == made.arrays["pictures"].shape


def test_patches_are_averaged_over_windows_that_cover_the_scan(scans, tmp_path):
    run = make_run(tmp_path / "run", scans, tiny_config(view="patches", size=[6, 16, 8]), (1, 6, 16, 8))
    embed(run.path, scans, tmp_path / "out", split="val", progress=False)
    made = Embedding.read(tmp_path / "out")
    image = torch.from_numpy(_prepared(run, scans, made.table["case"][0]).image)[None]
    starts = {2: [0, 2], 3: range(0, image.shape[4] - 7, 4)}
    rows = [0] if image.shape[3] == 16 else starts[2]
    with torch.no_grad():
        wanted = torch.cat(
            [run.method().encode(image[:, :, :, r : r + 16, c : c + 8]) for r in rows for c in starts[3]]
        )
    assert np.allclose(made.codes[0], wanted.mean(dim=0), atol=1e-5)


@pytest.mark.parametrize("fault", ["cut", "json", "rows", "absent", "format"])
def test_a_damaged_folder_is_one_line(made, tmp_path, fault):
    folder = tmp_path / "emb"
    shutil.copytree(made.path, folder)
    index = folder / "embedding.json"
    about = json.loads(index.read_text())
    {
        "cut": lambda: (folder / "pictures.npy").write_bytes((folder / "pictures.npy").read_bytes()[:-100]),
        "json": lambda: index.write_text("{"),
        "rows": lambda: pd.read_csv(folder / "embedding.csv").iloc[1:].to_csv(folder / "embedding.csv", index=False),
        "absent": lambda: index.unlink(),
        "format": lambda: index.write_text(json.dumps({**about, "format": 2})),
    }[fault]()
    with pytest.raises(UserError) as told:
        Embedding.read(folder)
    assert "\n" not in str(told.value) and "embed" in str(told.value)


def test_a_growing_file_of_pictures_is_a_plain_array(tmp_path):
    frames, rng = Frames(tmp_path / "p.npy"), np.random.default_rng(0)
    parts = [rng.integers(0, 255, (n, 5, 7), np.uint8) for n in (3, 0, 1200)]
    for part in parts:
        frames.add(part)
    with pytest.raises(UserError, match="size"):
        frames.add(np.zeros((1, 5, 8), np.uint8))
    frames.close()
    assert np.array_equal(np.load(tmp_path / "p.npy"), np.concatenate(parts))


def test_the_command_line(run, scans, tmp_path):
    from typer.testing import CliRunner

    from medudl.cli import app

    arguments = ["embed", str(run.path), str(scans), "-o", str(tmp_path / "out"), "--split", "val", "--by", "scan"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "2 items" in done.output and (tmp_path / "out" / "embedding.json").is_file()
