"""`translate`: on the source's grid, in its unit, equal slice by slice, with warnings, and never half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_pairs import AFFINE, pair_cohort

import medudl
from medudl.config import Data, validate_config
from medudl.data.pipeline import Prepared
from medudl.errors import UserError
from medudl.methods import build
from medudl.run import Run
from medudl.tasks.across import VIEWS, Way, across
from medudl.tasks.stranger import warnings_of
from medudl.training.train import fit

METHODS: dict[str, dict[str, Any]] = {
    "pix2pix": {"width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16},
}


def trained(folder: Path, name: str, **data: Any) -> Run:
    tree = {
        "method": {"name": name, **METHODS[name]},
        "data": {"channels": ["T1"], "target": ["T2"], "foreground": "none", **data},
        "train": {"steps": 2, "batch_size": 2, "validate_every": 2, "device": "cpu"},
    }
    return fit(validate_config(tree, "test"), pair_cohort(folder / "data", test=2), folder / "run", progress=False)


@pytest.fixture(scope="module")
def cyclegan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cyclegan")
    trained(folder, "cyclegan")
    return folder


def test_volumes_lie_on_the_sources_grid_and_say_what_they_are(cyclegan: Path, tmp_path: Path) -> None:
    table = medudl.translate(cyclegan / "run", cyclegan / "data" / "cohort.csv", tmp_path, split="test", progress=False)
    assert list(table["subject"]) == ["s4", "s5"] and (table["problem"] == "").all()
    assert (table["to"] == "T2").all() and (table["uncertainty"] > 0).all() and (table["cycle_error"] > 0).all()
    for kind in ("synthetic-T2", "uncertainty-T2", "cycle-error"):
        made = nibabel.load(tmp_path / f"sub-s4_ses-1_T1_{kind}.nii.gz")
        assert made.shape == (64, 64, 6) and np.allclose(made.affine, AFFINE)
        told = json.loads((tmp_path / f"sub-s4_ses-1_T1_{kind}.json").read_text())
        assert "not for diagnosis" in told["Description"] and told["Method"] == "cyclegan"
        assert np.isfinite(made.get_fdata()).all()
    assert (pd.read_csv(tmp_path / "translations.csv")["volume"] == table["volume"]).all()


def test_the_other_way(cyclegan: Path, tmp_path: Path) -> None:
    table = medudl.translate(
        cyclegan / "run", cyclegan / "data" / "cohort.csv", tmp_path, to="T1", split="test", progress=False
    )
    assert (table["contrast"] == "T2").all() and (tmp_path / "sub-s4_ses-1_T2_synthetic-T1.nii.gz").is_file()


def test_values_are_those_of_the_method_in_the_targets_unit(cyclegan: Path, tmp_path: Path) -> None:
    """Slice by slice by hand: nominal translation, then the training scans' mean scale."""
    run = Run.open(cyclegan / "run")
    medudl.translate(run.path, cyclegan / "data" / "cohort.csv", tmp_path, split="test", progress=False)
    made = nibabel.load(tmp_path / "sub-s4_ses-1_T1_synthetic-T2.nii.gz").get_fdata().T
    scan = nibabel.load(cyclegan / "data" / "s4_T1.nii.gz").get_fdata(dtype=np.float32).T
    low, high = np.percentile(scan, [0.5, 99.5])
    ends = run.read_json("sides.json")["target"]["channels"][0]
    method: Any = run.method()
    with torch.no_grad():
        for number, image in enumerate((scan - low) / (high - low)):
            one = method.translate(torch.from_numpy(image.astype(np.float32))[None, None])[0, 0].numpy()
            expected = ends["low"] + one * (ends["high"] - ends["low"])
            assert np.abs(made[number] - expected).max() < 1e-3 * (ends["high"] - ends["low"])


def way(method: Any, data: Data, shape: tuple[int, ...], outputs: int = 1) -> Way:
    return Way(method.translate, shape, outputs, data, torch.device("cpu"))


def test_batched_slices_equal_single_ones() -> None:
    torch.manual_seed(0)
    method: Any = build("pix2pix", (1, 24, 20), METHODS["pix2pix"]).eval()
    image = np.random.default_rng(0).uniform(size=(1, 9, 24, 20)).astype(np.float32)
    whole = across(way(method, Data(), (1, 24, 20)), image)
    with torch.no_grad():
        single = [method.translate(torch.from_numpy(image[:, n])[None])[0].numpy() for n in range(9)]
    assert np.abs(whole - np.stack(single, axis=1)).max() < 1e-5


def test_windows_join_without_seams() -> None:
    """A translation that looks at single voxels: what 3-D windows give is what the whole volume gives."""

    class Voxelwise:
        def translate(self, image: torch.Tensor) -> torch.Tensor:
            return 0.2 + 0.5 * image.square()

    data = Data.model_validate({"view": "patches", "size": [4, 8, 8]})
    image = np.random.default_rng(1).uniform(size=(1, 10, 21, 17)).astype(np.float32)
    whole = across(way(Voxelwise(), data, (1, 4, 8, 8)), image)
    assert np.abs(whole - (0.2 + 0.5 * image**2)).max() < 1e-5


@pytest.mark.parametrize("view", range(VIEWS))
def test_views_are_undone(view: int) -> None:
    class Same:
        def translate(self, image: torch.Tensor) -> torch.Tensor:
            return image

    image = np.random.default_rng(2).uniform(size=(1, 3, 8, 6)).astype(np.float32)
    assert np.array_equal(across(way(Same(), Data(), (1, 8, 6)), image, view), image)


def test_neighbours_that_come_out_together_give_the_slice_itself() -> None:
    class Same:
        def translate(self, image: torch.Tensor) -> torch.Tensor:
            return image

    data = Data.model_validate({"view": "slices_25d", "neighbours": 1})
    image = np.random.default_rng(3).uniform(size=(2, 5, 8, 6)).astype(np.float32)
    assert np.array_equal(across(way(Same(), data, (6, 8, 6), outputs=2), image), image)


def test_an_ensemble_gives_mean_and_deviation(cyclegan: Path, tmp_path: Path) -> None:
    place = {"input": cyclegan / "data" / "cohort.csv", "split": "test", "progress": False}
    alone = medudl.translate(cyclegan / "run", out=tmp_path / "alone", **place)  # type: ignore[arg-type]
    same = medudl.translate(cyclegan / "run", out=tmp_path / "same", ensemble=[cyclegan / "run"], **place)  # type: ignore[arg-type]
    assert (alone["uncertainty"] > 0).all() and same["uncertainty"].abs().max() < 1e-6
    one, other = (
        nibabel.load(tmp_path / name / "sub-s4_ses-1_T1_synthetic-T2.nii.gz").get_fdata() for name in ("alone", "same")
    )
    assert np.abs(one - other).max() < 1e-4


def prepared(spacing: tuple[float, ...], level: float, axes: str = "RAS", cut: float = 0.0) -> Prepared:
    """A scan of 20 x 20 x 10 voxels whose array axes point to `axes`."""
    image = np.full((1, 4, 5, 5), level, np.float32)
    image += np.linspace(0, 0.1, 100, dtype=np.float32).reshape(1, 4, 5, 5)
    affine = np.zeros((4, 4))
    affine[["RAS".index(letter) for letter in axes], range(3)] = spacing
    geometry = {"source_affine": affine.tolist(), "source_shape": [20, 20, 10], "channels": ["T1"],
                "foreground_cut": cut}  # fmt: skip
    return Prepared("a", image, np.ones((1, 4, 5, 5), bool), None, geometry)


def test_a_stranger_is_told_in_words() -> None:
    known = prepared((1, 1, 3), 0.4)
    quantiles = np.quantile(known.image, (0.05, 0.25, 0.5, 0.75, 0.95)).tolist()
    trained = {"modality": "MR", "spacing": [[1, 1], [1, 1], [3, 3]], "extent": [[20, 20], [20, 20], [30, 30]],
               "quantiles": [[[q, q] for q in quantiles]]}  # fmt: skip
    assert warnings_of(known, "MR", trained) == []
    assert warnings_of(prepared((1, 1, 3), 0.4, axes="ARS"), "MR", trained) == [], "arrays name their axes in any order"
    assert warnings_of(prepared((1, 1, 3), 0.4, axes="RSA"), "MR", trained) == [
        "has voxels of 1 x 3 x 1 mm, trained on 1 x 1 x 3 mm",
        "has a field of view of 20 x 30 x 20 mm, trained on 20 x 20 x 30 mm",
    ], "thick slices of another plane"
    (coarse,) = (line for line in warnings_of(prepared((1, 1, 5), 0.4), "MR", trained) if "voxels" in line)
    assert coarse == "has voxels of 1 x 1 x 5 mm, trained on 1 x 1 x 3 mm"
    assert warnings_of(prepared((1, 1, 3), 0.4, cut=0.04), "MR", trained) == []
    assert warnings_of(prepared((1, 1, 3), 0.4, cut=0.25), "MR", trained) == [
        "is larger than the field that the model looks at: 25% of it is cut off and not translated"
    ]
    assert "is CT, trained on MR" in warnings_of(known, "CT", trained)
    (other,) = warnings_of(prepared((1, 1, 3), 0.8), "MR", trained)
    assert other.startswith("has other intensities in T1")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"to": "FLAIR"}, r"--to FLAIR: .* makes T2 or T1"),
        ({"dicom": True}, "--dicom needs DICOM input"),
        ({"burn_in": True}, "add --dicom"),
        ({"split": "val2"}, "holds no scan of split val2"),
    ],
)
def test_slips(arguments: dict[str, Any], told: str, cyclegan: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        medudl.translate(
            cyclegan / "run", cyclegan / "data" / "cohort.csv", tmp_path / "out", progress=False, **arguments
        )
    assert not (tmp_path / "out" / "translations.csv").exists()


def test_pix2pix_knows_no_way_back(tmp_path: Path) -> None:
    run = trained(tmp_path, "pix2pix", size=[32, 32], spacing=[None, 2, 2])
    cohort = tmp_path / "data" / "cohort.csv"
    with pytest.raises(UserError, match="knows no way back"):
        medudl.translate(run.path, cohort, tmp_path / "out", to="T1", progress=False)
    table = medudl.translate(run.path, cohort, tmp_path / "out", split="test", progress=False)
    assert table["cycle_error"].isna().all()
    # From 32 x 32 voxels of 2 mm back to 64 x 64 of 1 mm.
    assert nibabel.load(tmp_path / "out" / "sub-s4_ses-1_T1_synthetic-T2.nii.gz").shape == (64, 64, 6)


def test_an_unreadable_scan_keeps_its_row(cyclegan: Path, tmp_path: Path) -> None:
    cohort = pair_cohort(tmp_path / "data", test=2)
    (tmp_path / "data" / "s4_T1.nii.gz").write_bytes(b"no scan")
    table = medudl.translate(
        cyclegan / "run", cohort.root / "cohort.csv", tmp_path / "out", split="test", progress=False
    )
    assert list(table["problem"] != "") == [True, False] and not list((tmp_path / "out").glob("*s4*"))


def test_no_translator(tmp_path: Path) -> None:
    tree = {"method": {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}, "data": {"size": [32, 32]},
            "train": {"steps": 1, "batch_size": 2, "device": "cpu"}}  # fmt: skip
    run = fit(validate_config(tree, "test"), pair_cohort(tmp_path / "data"), tmp_path / "run", progress=False)
    with pytest.raises(UserError, match="autoencoder translates nothing; pix2pix and cyclegan do"):
        medudl.translate(run.path, tmp_path / "data" / "cohort.csv", tmp_path / "out", progress=False)
