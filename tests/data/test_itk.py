"""NRRD and MetaImage."""

import numpy as np
import pytest
import SimpleITK
from synthetic_dicom import oblique

from medudl.data.geometry import lps_to_ras
from medudl.data.itk import check_itk, read_itk
from medudl.errors import UserError

RANDOM = np.random.default_rng(4)


def write(path, voxels, matrix=None, packed=True):
    image = SimpleITK.GetImageFromArray(voxels.T)
    image.SetSpacing((0.7, 1.3, 4.1)[: voxels.ndim])
    image.SetOrigin((5, -7, 9)[: voxels.ndim])
    if matrix is not None:
        image.SetDirection(matrix.ravel())
    SimpleITK.WriteImage(image, str(path), packed)
    return path


@pytest.mark.parametrize("name", ["x.nrrd", "x.nhdr", "x.mha", "x.mhd"])
@pytest.mark.parametrize("packed", [True, False])
def test_voxels_and_place(name, packed, tmp_path):
    voxels, matrix = RANDOM.integers(-99, 99, (4, 5, 6)).astype(np.int16), next(oblique())
    path = write(tmp_path / name, voxels, matrix, packed)
    truth = np.eye(4)
    truth[:3, :3], truth[:3, 3] = matrix * [0.7, 1.3, 4.1], (5, -7, 9)
    volume = read_itk(path)
    assert np.array_equal(volume.voxels, voxels)
    assert np.abs(volume.affine - lps_to_ras(truth)).max() < 1e-4
    assert check_itk(path).shape == (4, 5, 6)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["x.nrrd", "x.mha"])
def test_number_types(kind, name, tmp_path):
    voxels = (RANDOM.random((3, 4)) * 90).astype(kind)
    assert np.array_equal(read_itk(write(tmp_path / name, voxels)).voxels[..., 0], voxels.astype(np.float32))


@pytest.mark.parametrize("name", ["x.nrrd", "x.mha"])
def test_claims_beyond_the_file_and_truncation(name, tmp_path):
    path = write(tmp_path / name, RANDOM.integers(0, 99, (9, 9, 9)).astype(np.int16), packed=False)
    whole = path.read_bytes()
    for old, new, words in (
        (b"9 9 9", b"9 9 99", "truncated"),
        (b"9 9 9", b"99999 99999 99999", "more than can be read"),
    ):
        path.write_bytes(whole.replace(old, new, 1))
        with pytest.raises(UserError, match=words):
            check_itk(path)
    for length in (0, 20, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=name):
            read_itk(path)


def test_voxels_elsewhere_on_the_machine_are_not_read(tmp_path):
    path = write(tmp_path / "x.mhd", np.ones((3, 3, 3), np.int16), packed=False)
    path.write_text(path.read_text().replace("x.raw", "/etc/passwd"))
    with pytest.raises(UserError, match="not beside it"):
        check_itk(path)
    path = write(tmp_path / "x.nhdr", np.ones((3, 3, 3), np.int16), packed=False)
    path.write_text(path.read_text().replace("x.raw", "../secret.raw"))
    with pytest.raises(UserError, match="not beside it"):
        check_itk(path)


@pytest.mark.parametrize("name", ["x.nrrd", "x.mha"])
def test_colour_series_nan_and_other_files(name, tmp_path):
    colour = SimpleITK.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(colour, str(tmp_path / name))
    with pytest.raises(UserError, match="several values a voxel|4-D"):
        check_itk(tmp_path / name)
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(np.zeros((2, 3, 4, 5), np.uint8), isVector=False), str(tmp_path / name)
    )
    with pytest.raises(UserError, match="4-D"):
        check_itk(tmp_path / name)
    with pytest.raises(UserError, match="no number"):
        read_itk(write(tmp_path / name, np.full((3, 3, 3), np.nan, np.float32)))
    (tmp_path / name).write_bytes(b"text")
    with pytest.raises(UserError, match="not a NRRD or MetaImage"):
        check_itk(tmp_path / name)
