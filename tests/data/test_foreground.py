import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from synthetic_cohort import head

from medudl.data import foreground
from medudl.data.foreground import body, brain, otsu, rim, solid
from medudl.data.volume import Volume
from medudl.errors import UserError

GRID = np.meshgrid(*[np.linspace(-1, 1, n) for n in (96, 96, 6)], indexing="ij")


def ball(radius: float) -> np.ndarray:
    return GRID[0] ** 2 + GRID[1] ** 2 < radius**2


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def volume(voxels: np.ndarray, unit: str = "arbitrary") -> Volume:
    return Volume(voxels.astype(np.float32), np.eye(4), unit)


def test_head_mr_dark_brain_below_bright_scalp_and_dark_skull() -> None:
    noise = np.abs(np.random.default_rng(0).normal(0, 12, GRID[0].shape))
    voxels = noise + 1500 * ball(0.8) - 1400 * ball(0.7) + 250 * ball(0.65)  # scalp, skull (100), brain (350)
    assert dice(body(volume(voxels), "MR"), ball(0.8)) > 0.95


def test_head_ct_without_its_table_and_with_its_airways() -> None:
    voxels = -1000 + 1040 * ball(0.7) - 1000 * ball(0.2)
    voxels[:, 90:93] = 100  # the table
    voxels[45:48, 80:90] = 60  # a thin pad between head and table
    for unit, modality in (("HU", "CT"), ("arbitrary", "CT")):  # a NIfTI file does not say that it holds HU
        found = body(volume(voxels, unit), modality)
        assert dice(found, ball(0.7)) > 0.97
        assert found[ball(0.2)].all() and not found[:, 91].any()


def test_films_are_foreground_from_edge_to_edge() -> None:
    film = volume(head((64, 64, 1)))
    assert body(film, "DX").all() and not body(film, "MR").all()
    bright = np.full((64, 64, 1), 200.0)
    bright[20:40, 20:40] = 50
    assert body(volume(bright), "").all()  # runs into its rim, so it is a film whatever the file says


def test_otsu_parts_two_classes_and_stands_a_constant() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(10, 2, 900), random.normal(100, 5, 500), [1e5]]).astype(np.float32)
    assert 15 < otsu(values) < 90
    assert otsu(np.full(10, 3, np.float32)) == 3


def test_solid_and_rim() -> None:
    mask = ball(0.5) & ~ball(0.2)
    mask[2:5, 2:5] = True
    np.testing.assert_array_equal(solid(mask, 0.0), ball(0.5))
    square = np.zeros((4, 4), dtype=bool)
    square[0] = True
    assert rim(square) == pytest.approx(4 / 12)


def test_a_constant_scan_has_no_foreground() -> None:
    assert not body(volume(np.zeros((70, 70, 3))), "MR").any()


def test_brain_without_deepbet_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepbet", None)
    foreground._deepbet.cache_clear()
    with pytest.raises(UserError, match=r'pip install "medudl\[brain\]"') as caught:
        brain(volume(head()))
    assert "\n" not in str(caught.value)


def test_brain_where_there_is_none_is_told() -> None:
    pytest.importorskip("deepbet")
    with pytest.raises(UserError, match="no brain was found"):
        brain(volume(np.zeros((8, 8, 8))))


def test_real_heads_and_films(real_data: Path) -> None:
    """A head is one piece without holes, off the corners of the image; films are whole."""
    for path in sorted((real_data / "pgbm").glob("*/*/FLAIR.nii.gz"))[:2]:
        image = nib.load(path)
        voxels = image.get_fdata(dtype=np.float32)
        found = body(Volume(voxels, image.affine), "MR")
        middle = found[..., found.shape[2] // 2]
        assert ndimage.label(middle)[1] == 1 and ndimage.binary_fill_holes(middle).sum() == middle.sum()
        assert not found[:4, :4].any() and 0.3 < middle.mean() < 0.8
    films = sorted((real_data / "chest_xray_224" / "train" / "BACTERIA").iterdir())[::100]
    whole = 0
    for path in films:
        with Image.open(path) as picture:
            whole += body(volume(np.asarray(picture.convert("L")).T[..., None])).all()
    assert whole >= 0.9 * len(films)  # without their modality, which an index of DICOM films knows


def test_real_brain_is_inside_the_head(real_data: Path) -> None:
    pytest.importorskip("deepbet")
    image = nib.load(sorted((real_data / "pgbm").glob("*/*/T1.nii.gz"))[0])
    scan = Volume(image.get_fdata(dtype=np.float32), image.affine)
    found = brain(scan)
    litres = found.sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1e6
    assert found.shape == scan.voxels.shape and 0.9 < litres < 2.0
    assert (found & ~body(scan, "MR")).sum() < 0.01 * found.sum()
