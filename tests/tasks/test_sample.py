"""Sample on tiny runs: the files of the contract, copies that are seen, scans that are gone, nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_run import make_cohort, make_run, tiny_config

from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks import nearest_real, sample_pictures
from medudl.tasks.draw import Drawing
from medudl.tasks.sample import sample

VAE = {"name": "variational_autoencoder", "network": "dense", "hidden": [8], "latent": 3}
COLUMNS = ["sample", "nearest_case", "nearest_slice", "similarity_pixels", "threshold_pixels", "distance_features",
           "threshold_features", "risk", "flagged"]  # fmt: skip


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("sample") / "scans", train=4, val=3, healthy=3, sick=1)


@pytest.fixture(scope="module")
def run(scans: Path) -> Run:
    return make_run(scans.parents[1] / "run", scans, tiny_config().model_copy(update={"method": VAE}))


@pytest.fixture(scope="module")
def out(run: Run) -> Path:
    folder = run.path.parent / "samples"
    sample(run.path, 5, folder, seed=1, features="pixels", progress=False)
    return folder


def _about(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "samples.json").read_text()))


def _sample(run: Run, out: Path, n: int = 3, seed: int = 0) -> pd.DataFrame:
    return sample(run.path, n, out, seed=seed, features="pixels", progress=False)


def test_the_files_are_those_of_the_contract(out: Path, run: Run) -> None:
    about = _about(out)
    assert (about["format"], about["kind"], about["n"], about["seed"], about["latent"]) == (1, "samples", 5, 1, 3)
    assert about["shape"] == [1, 16, 16] and about["condition"] is None and about["alpha"] == 0.05
    assert about["compared_with"] == {
        "training": {"scans": 4, "images": 24, "patients": 4}, "held_out": {"scans": 6, "images": 36, "patients": 6},
    }  # fmt: skip
    assert (out / str(about["run"])).resolve() == run.path.resolve() and str(about["features"]).startswith("pixels")
    table = pd.read_csv(out / "samples.csv", dtype=str)
    assert list(table.columns) == COLUMNS and list(table["sample"]) == ["0001", "0002", "0003", "0004", "0005"]
    assert set(table["risk"]) <= {"copy", "close", "own"} and set(table["flagged"]) <= {"true", "false"}
    assert (table["flagged"] == "true").tolist() == (table["risk"] == "copy").tolist()
    arrays = {name: np.load(out / f"{name}.npy") for name in ("samples", "codes", "nearest", "pictures", "held_out")}
    assert {name: (a.shape, str(a.dtype)) for name, a in arrays.items()} == {
        "samples": ((5, 1, 16, 16), "float16"), "codes": ((5, 3), "float32"), "nearest": ((5, 16, 16), "uint8"),
        "pictures": ((5, 16, 16), "uint8"), "held_out": ((5, 16, 16), "uint8"),
    }  # fmt: skip
    decoded = run.method().decode(torch.from_numpy(arrays["codes"])).detach().numpy()
    assert np.abs(decoded - arrays["samples"]).max() < 1e-3
    assert np.abs(arrays["samples"][:, 0].clip(0, 1) * 255 - arrays["pictures"]).max() <= 0.6
    assert any("patients' images" in note for note in about["notes"])  # type: ignore[attr-defined]


def test_a_reader_sees_every_patient_once_before_any_twice(out: Path) -> None:
    cases = pd.read_csv(out / "held_out.csv")["case"]
    assert len(cases) == 5 and cases.nunique() == 5  # of six patients with six slices each


def test_every_picture_says_that_it_is_synthetic(out: Path) -> None:
    files = sorted((out / "images").iterdir())
    assert [path.name for path in files] == [f"sample-000{i}.png" for i in range(1, 6)]
    for path in (*files, out / "grid.png"):
        with Image.open(path) as picture:
            assert "synthetic" in picture.info["Description"] and "not for diagnosis" in picture.info["Description"]
    with Image.open(files[2]) as picture:
        assert np.array_equal(np.asarray(picture), np.load(out / "pictures.npy")[2])


def test_the_nearest_image_is_the_one_that_the_table_names(out: Path, run: Run, scans: Path) -> None:
    table = pd.read_csv(out / "samples.csv")
    nearest = np.load(out / "nearest.npy")
    training = _pictures(run)
    for row, picture in zip(table.itertuples(), nearest, strict=True):
        assert np.array_equal(picture, training[row.nearest_case, row.nearest_slice])
    assert {name for name, _ in training} == {f"sub-s0{i}_FLAIR" for i in range(4)}


def _pictures(run: Run) -> dict[tuple[str, int], np.ndarray]:
    """What the run was trained on: {(case, slice): grey picture}."""
    cohort, found = run.cohort(), {}
    from medudl.data.cases import cases_of

    for case in cases_of(cohort, run.config.data)[0]:
        if case.split == "train":
            image = run.pipeline().prepare(cohort, case).image[0]
            found |= {(case.id, i): (plane.clip(0, 1) * 255).round().astype(np.uint8) for i, plane in enumerate(image)}
    return found


def test_the_same_seed_gives_the_same_files_whatever_a_batch_holds(
    out: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medudl.tasks.draw.batch_size", lambda *_: 2)
    _sample(run, tmp_path / "again", 5, seed=1)
    for name in ("samples.csv", "codes.npy", "pictures.npy", "grid.png"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name
    _sample(run, tmp_path / "other", 5, seed=2)
    assert (tmp_path / "other" / "codes.npy").read_bytes() != (out / "codes.npy").read_bytes()


def test_what_is_a_training_image_is_called_a_copy(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that knows a training slice by heart, mirrored, beside one that draws noise."""
    training = _pictures(run)
    name = sorted(training)[9]
    known = torch.from_numpy(training[name][:, ::-1].copy() / 255).float()[None, None]
    noise = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(Drawing, "batch", lambda self, start: torch.cat([known, noise]))
    table = _sample(run, tmp_path / "out", 2)
    assert list(table["risk"]) == ["copy", "own"] and list(table["flagged"]) == [True, False]
    first = table.iloc[0]
    assert (first["nearest_case"], first["nearest_slice"]) == name and first["similarity_pixels"] > 0.95
    over = table["similarity_pixels"] > table["threshold_pixels"]
    assert list(over) == list(table["flagged"])


def test_a_limit_is_what_a_sample_would_have_to_pass() -> None:
    """Likeness and distance at the limit are flagged just so: by both rules the limit is where the score is met."""
    from medudl.metrics.likeness import FeatureLikeness
    from medudl.metrics.memorisation import copies

    random = np.random.default_rng(0)
    training, held_out, made = (random.normal(size=(n, 12)) for n in (60, 40, 30))
    made[:9] = training[:9] + 0.25 * random.normal(size=(9, 12))
    found = copies(made, training, held_out, None, 0.05, likeness=FeatureLikeness)
    assert 0 < found.flag.sum() < 30
    assert np.array_equal(-found.alike < nearest_real._nearest_allowed(found), found.flag)
    pictures = [np.asarray(random.random((n, 16, 16))) for n in (60, 40, 30)]
    pictures[2][:5] = pictures[0][:5] + 0.1
    seen = copies(pictures[2], pictures[0], pictures[1], None, 0.05)
    assert 0 < seen.flag.sum() < 30
    assert np.array_equal(seen.alike > nearest_real._limit(seen), seen.flag)


def test_scans_that_are_gone_leave_the_samples_and_a_sentence(run: Run, scans: Path, tmp_path: Path) -> None:
    shutil.copytree(scans.parent, tmp_path / "scans")
    moved = make_run(tmp_path / "run", tmp_path / "scans" / "cohort.csv", run.config)
    shutil.rmtree(tmp_path / "scans")
    table = _sample(moved, tmp_path / "out")
    assert list(table.columns) == ["sample"] and len(table) == 3
    about = _about(tmp_path / "out")
    assert about["compared_with"] is None and about["threshold_pixels"] is None
    assert "not at hand" in str(about["why"]) and about["why"] in about["notes"]  # type: ignore[operator]
    assert str(tmp_path) not in (tmp_path / "out" / "samples.json").read_text().replace(str(about["run"]), "")
    assert not (tmp_path / "out" / "nearest.npy").exists() and (tmp_path / "out" / "grid.png").is_file()


def test_few_patients_leave_the_samples_unmarked(scans: Path, run: Run, tmp_path: Path) -> None:
    few = make_cohort(tmp_path / "scans", train=4, val=2, healthy=1, sick=0)
    made = make_run(tmp_path / "run", few, run.config)
    assert list(_sample(made, tmp_path / "out").columns) == ["sample"]
    assert "3 held-out patients" in str(_about(tmp_path / "out")["why"])


def test_volumes_are_written_as_nifti_too(scans: Path, tmp_path: Path) -> None:
    config = tiny_config(view="volume", size=[6, 16, 16]).model_copy(update={"method": VAE})
    run = make_run(tmp_path / "run", scans, config, (1, 6, 16, 16))
    _sample(run, tmp_path / "out", 2)
    made = nibabel.load(tmp_path / "out" / "images" / "sample-0002.nii.gz")
    assert nibabel.aff2axcodes(made.affine) == ("R", "A", "S")
    assert np.allclose(made.header.get_zooms(), (1, 1, 3)) and made.shape == (16, 16, 6)
    assert b"synthetic" in made.header["descrip"].tobytes()
    assert np.load(tmp_path / "out" / "pictures.npy").shape == (2, 16, 16)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_volume_lies_as_the_scan_that_it_is_like_does(plane: str, run: Run, scans: Path, tmp_path: Path) -> None:
    """A scan through the pipeline and out as if it were a sample: the same voxels in RAS order as the file's own."""
    from medudl.data.cases import cases_of
    from medudl.data.pipeline import Pipeline

    data = tiny_config(plane=plane, size=None, foreground="none").data
    cohort = run.cohort()
    case = cases_of(cohort, data)[0][0]
    prepared = Pipeline(data).prepare(cohort, case)
    sides = np.linalg.norm(np.array(prepared.geometry["affine"])[:3, :3], axis=0)
    sample_pictures.write_volume(tmp_path / "v.nii.gz", prepared.image, data, sides.tolist())
    made = nibabel.load(tmp_path / "v.nii.gz")
    wanted = nibabel.as_closest_canonical(nibabel.load(scans.parent / "s00.nii.gz"))
    assert np.allclose(made.header.get_zooms(), wanted.header.get_zooms())
    values, source = made.get_fdata(), wanted.get_fdata()
    assert np.corrcoef(values.ravel(), source.ravel())[0, 1] > 0.99


def test_methods_without_codes_are_drawn_batch_by_batch(scans: Path, tmp_path: Path) -> None:
    method = {"name": "denoising_autoencoder", "noise": "gaussian", "width": 4, "levels": 2,
              "chain": {"burn_in": 2, "thin": 1}}  # fmt: skip
    run = make_run(tmp_path / "run", scans, tiny_config().model_copy(update={"method": method}))
    first, again = _sample(run, tmp_path / "a"), _sample(run, tmp_path / "b")
    assert first.equals(again) and not (tmp_path / "a" / "codes.npy").exists()
    assert _about(tmp_path / "a")["latent"] is None


def test_what_cannot_be_sampled_is_one_line_and_leaves_nothing(run: Run, scans: Path, tmp_path: Path) -> None:
    plain = make_run(tmp_path / "plain", scans)
    with pytest.raises(UserError, match="draws no new images"):
        _sample(plain, tmp_path / "out")
    with pytest.raises(UserError, match="-n 0"):
        _sample(run, tmp_path / "out", 0)
    with pytest.raises(UserError, match="--features nothing: neither"):
        sample(run.path, 2, tmp_path / "out", features="nothing", progress=False)
    with pytest.raises(UserError, match="looks at images of 1 x 6 x 16 x 16"):
        deep = make_run(tmp_path / "deep", scans, tiny_config(view="volume", size=[6, 16, 16]), (1, 6, 16, 16))
        sample(run.path, 2, tmp_path / "out", features=deep.path, progress=False)
    (plain.path / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="no weights yet"):
        _sample(plain, tmp_path / "out")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not a folder of samples"):
        _sample(run, tmp_path / "thesis")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "plain", "thesis"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("full")])
def test_nothing_is_left_behind_when_it_is_stopped(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def stopped(*_: object, **__: object) -> Iterator[None]:
        raise stop

    monkeypatch.setattr(sample_pictures, "grid", stopped)
    with pytest.raises((KeyboardInterrupt, UserError)):
        _sample(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_broken_weights_are_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = type(run.method())
    monkeypatch.setattr(method, "decode", lambda self, code: torch.full((len(code), 1, 16, 16), torch.nan))
    with pytest.raises(UserError, match="not finite"):
        _sample(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_codes_of_a_run_can_be_the_features(run: Run, scans: Path, tmp_path: Path) -> None:
    looks = make_run(tmp_path / "looks", scans, tiny_config(foreground="none"))
    table = sample(run.path, 3, tmp_path / "out", features=looks.path, progress=False)
    about = _about(tmp_path / "out")
    assert about["features"] == "codes of autoencoder (looks, step 0)" and table["distance_features"].notna().all()
    assert any("prepares its scans otherwise" in note for note in about["notes"])  # type: ignore[attr-defined]


def test_the_command_line(run: Run, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from medudl.cli import app

    arguments = ["sample", str(run.path), "-n", "3", "-o", str(tmp_path / "out"), "--features", "pixels"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "3 samples" in done.output and (tmp_path / "out" / "samples.json").is_file()
