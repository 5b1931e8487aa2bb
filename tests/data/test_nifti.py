"""NIfTI files: place and values as nibabel gives them, and what stands against reading them."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
from synthetic_dicom import all_orientations, oblique

from medudl.data.nifti import check_nifti, read_nifti
from medudl.errors import UserError

RANDOM = np.random.default_rng(1)


def write(path, data, affine=None, kind=nibabel.Nifti1Image):
    nibabel.save(kind(data, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize("matrix", [*all_orientations(), *oblique()])
def test_every_voxel_comes_back_where_it_was(matrix, tmp_path):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix * [0.7, 1.3, 4.1], (-31, 17, 250)
    data = RANDOM.integers(-9, 999, (4, 5, 6)).astype(np.int16)
    volume = read_nifti(write(tmp_path / "x.nii", data, affine))
    assert np.array_equal(volume.voxels, data)
    assert np.abs(volume.affine - affine).max() < 1e-4
    assert volume.voxels.dtype == np.float32 and volume.unit == "arbitrary"


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("image", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_number_types_versions_and_compression(kind, image, name, tmp_path):
    data = (RANDOM.random((3, 4, 5)) * 100).astype(kind)
    assert np.array_equal(read_nifti(write(tmp_path / name, data, kind=image)).voxels, data.astype(np.float32))


def test_slope_and_intercept(tmp_path):
    image = nibabel.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    path = tmp_path / "x.nii"
    image.to_filename(path)
    stored = np.frombuffer(path.read_bytes()[352:], "<i2").reshape(2, 2, 2, order="F")
    volume = read_nifti(path)
    assert np.allclose(volume.voxels, nibabel.load(path).get_fdata())
    assert np.allclose(volume.voxels, stored * 0.5 - 3)


def test_the_s_form_goes_before_the_q_form(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4))
    image.set_qform(np.diag([2, 2, 2, 1]), 1)
    image.set_sform(np.diag([3, 3, 3, 1]), 2)
    image.to_filename(tmp_path / "s.nii")
    assert check_nifti(tmp_path / "s.nii").spacing == (3, 3, 3)
    image.set_sform(None, 0)
    image.to_filename(tmp_path / "q.nii")
    assert check_nifti(tmp_path / "q.nii").spacing == (2, 2, 2)


def test_big_endian(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    data = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    nibabel.Nifti1Image(data, np.eye(4), header).to_filename(tmp_path / "x.nii")
    assert (tmp_path / "x.nii").read_bytes()[:4] == struct.pack(">i", 348)
    assert np.array_equal(read_nifti(tmp_path / "x.nii").voxels, data)


def test_two_dimensions_and_a_single_volume_in_four(tmp_path):
    assert read_nifti(write(tmp_path / "a.nii", np.ones((4, 5), np.int16))).voxels.shape == (4, 5, 1)
    assert read_nifti(write(tmp_path / "b.nii", np.ones((4, 5, 6, 1), np.int16))).voxels.shape == (4, 5, 6)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((3, 3, 3, 7), np.int16), r"4-D \(3x3x3x7\): several volumes"),
        (np.zeros((1, 1, 1), np.int16), "a single voxel is no image"),
        (np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "colour"),
        (np.zeros((3, 3, 3), np.complex64), "complex64 are not supported"),
    ],
)
def test_what_is_no_grey_volume_is_told_from_the_header(data, words, tmp_path):
    with pytest.raises(UserError, match=words):
        check_nifti(write(tmp_path / "x.nii.gz", data))


def test_voxels_that_are_no_number(tmp_path):
    data = np.zeros((3, 3, 3), np.float32)
    data[0, 0, :2] = np.nan, np.inf
    with pytest.raises(UserError, match="2 voxels are no number"):
        read_nifti(write(tmp_path / "x.nii", data))


def test_an_affine_without_a_place(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), None)
    image.header["sform_code"] = 1
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]
    nibabel.Nifti1Image(image.dataobj, None, image.header).to_filename(tmp_path / "x.nii")
    with pytest.raises(UserError, match="no place in space"):
        check_nifti(tmp_path / "x.nii")


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_a_header_that_claims_a_trillion_voxels(name, tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header["dim"][:4] = [3, 2**14, 2**14, 2**12]
    raw = header.binaryblock + bytes(4)
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    with pytest.raises(UserError, match="claims 1,099,511,627,776 voxels"):
        check_nifti(tmp_path / name)


def test_more_than_deflate_can_hold_is_told_before_it_is_inflated(tmp_path):
    header = nibabel.Nifti1Header()
    header["dim"][:4], header["datatype"], header["bitpix"] = [3, 500, 500, 500], 4, 16
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(4)))
    with pytest.raises(UserError, match="truncated, or a bomb"):
        check_nifti(tmp_path / "x.nii.gz")


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_truncated_files(name, tmp_path):
    whole = write(tmp_path / name, RANDOM.integers(0, 999, (9, 9, 9)).astype(np.int16)).read_bytes()
    for length in [1, 100, 347, 360, len(whole) // 2, len(whole) - 9]:
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(UserError, match="truncated|not a NIfTI"):
            read_nifti(tmp_path / name)


def test_other_files(tmp_path):
    for content in (b"", b"text" * 200, gzip.compress(b"text" * 200), b"\x1f\x8b" + b"text" * 200):
        (tmp_path / "x.nii.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"x\.nii\.gz"):
            check_nifti(tmp_path / "x.nii.gz")
    with pytest.raises(UserError, match="not a file"):
        check_nifti(tmp_path / "absent.nii")


def test_damaged_headers_give_a_volume_or_one_line(tmp_path):
    whole = write(tmp_path / "x.nii", RANDOM.integers(0, 999, (3, 4, 5)).astype(np.int16)).read_bytes()
    for _ in range(600):
        broken = bytearray(whole)
        for place in RANDOM.integers(0, 352, RANDOM.integers(1, 12)):
            broken[place] = RANDOM.integers(0, 256)
        (tmp_path / "x.nii").write_bytes(broken)
        try:
            assert np.isfinite(read_nifti(tmp_path / "x.nii").voxels).all()
        except UserError as error:
            assert "\n" not in str(error)
