"""Any format through one door."""

import subprocess
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image
from synthetic_dicom import at, save_all

from medudl.data.read import FORMATS, check_header, read_volume
from medudl.errors import UserError


@pytest.fixture
def files(tmp_path):
    """One file of each format, (4, 3) pixels of which the first is 7."""
    pixels = np.arange(7, 19, dtype=np.uint8).reshape(3, 4)
    voxels = pixels.T[..., None]
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "x.nii.gz")
    for name in ("x.nrrd", "x.mha"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels.T.copy()), str(tmp_path / name))
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.savez(tmp_path / "x.npz", train_images=pixels[None])
    slices = at([(0, 0, z) for z in range(3)])
    for ds in slices:
        ds.Rows, ds.Columns, ds.PixelData = 3, 4, pixels.astype(np.int16).tobytes()
    return {
        "dicom": save_all(slices, tmp_path),
        **{kind: [tmp_path / f"x.{kind}"] for kind in ("nrrd", "mha", "png", "npz")},
        "nifti": [tmp_path / "x.nii.gz"],
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_by_its_name(kind, files):
    volume = read_volume(files[kind], kind, fragment="train/0" if kind == "npz" else "")
    assert volume.voxels.dtype == np.float32 and volume.voxels.shape[:2] == (4, 3)
    assert volume.voxels[..., 0].T.ravel().tolist() == list(range(7, 19))
    header = check_header(files[kind][0], kind)
    assert header.shape == (4, 3, 1) and np.allclose(header.affine[:2], volume.affine[:2])


def test_unknown_formats_and_several_files_are_told(files):
    with pytest.raises(UserError, match="format 'bmp' is unknown; known: dicom, nifti"):
        read_volume(files["png"], "bmp")
    with pytest.raises(UserError, match="2 files for one png scan"):
        read_volume(files["png"] * 2, "png")
    with pytest.raises(UserError, match="no files"):
        read_volume([], "dicom")


def test_hostile_names_stay_on_one_line(tmp_path):
    path = tmp_path / "two\nlines\x1b[31m.png"
    path.write_text("no picture")
    with pytest.raises(UserError) as caught:
        read_volume([path], "png")
    assert str(caught.value).isprintable()


def test_readers_load_neither_torch_nor_monai_nor_each_others_libraries():
    code = (
        "import sys, medudl.data.read, medudl.data.guard, medudl.data.masks;"
        "heavy = ('torch', 'monai', 'SimpleITK', 'nibabel', 'pydicom', 'scipy', 'pandas');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
