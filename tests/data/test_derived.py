"""Derived files: NIfTI and sidecar say nothing about the patient; DICOM objects read back where they belong."""

import json
import shutil
import subprocess

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
from tiny_dicom import CANARY, write_series

from medudl.data import derived
from medudl.data.derived_dicom import Product, parametric_map, references, segmentation, write_dicom
from medudl.errors import UserError

PRODUCT = Product("denoising_autoencoder", "ANOMALY", "Anomaly map, arbitrary units", 1)


@pytest.fixture
def voxels():
    return np.random.default_rng(0).random((10, 12, 5)).astype(np.float32)


def ras_affine(volume):
    """RAS affine of (X, Y, Z) from a highdicom volume's (slice, row, column) one."""
    return (np.diag([-1.0, -1, 1, 1]) @ volume.affine)[:, [2, 1, 0, 3]]


def place(volume, affine):
    """highdicom may stack the slices from the other end: its array (X, Y, Z) in the order of `affine`."""
    array = volume.array.transpose(2, 1, 0)
    return array if np.allclose(ras_affine(volume), affine, atol=1e-3) else array[:, :, ::-1]


def test_parametric_map_reads_back_in_its_place(tmp_path, voxels):
    files, affine = write_series(tmp_path / "source")
    made = parametric_map(references(files), voxels, affine, PRODUCT)
    write_dicom(tmp_path / "map.dcm", made)
    back = hd.imread(tmp_path / "map.dcm")
    assert np.array_equal(place(back.get_volume(), affine), voxels)
    first = pydicom.dcmread(files[0])
    assert made.SeriesInstanceUID != first.SeriesInstanceUID
    assert made.StudyInstanceUID == first.StudyInstanceUID and made.PatientName == CANARY
    assert made.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert made.ImageType[0] == "DERIVED"
    assert "not for diagnosis" in made.SeriesDescription
    places = {pydicom.dcmread(f).SOPInstanceUID: pydicom.dcmread(f).ImagePositionPatient for f in files}
    frames = made.PerFrameFunctionalGroupsSequence
    refs = [frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for frame in frames]
    assert sorted(refs) == sorted(places)
    for ref, frame in zip(refs, frames, strict=True):
        assert frame.PlanePositionSequence[0].ImagePositionPatient == pytest.approx(places[ref], abs=1e-3)


@pytest.mark.parametrize("empty", [False, True])
def test_segmentation_reads_back_in_its_place(tmp_path, voxels, empty):
    files, affine = write_series(tmp_path / "source")
    mask = (voxels > 0.9) & ~empty
    write_dicom(tmp_path / "seg.dcm", segmentation(references(files), mask, affine, PRODUCT))
    back = hd.seg.segread(tmp_path / "seg.dcm")
    volume = back.get_volume(combine_segments=True)
    assert np.array_equal(place(volume, affine) > 0, mask)
    assert back.PatientName == CANARY and "not for diagnosis" in back.SeriesDescription


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is absent")
@pytest.mark.parametrize("maker", ["map", "seg", "empty"])
def test_dciodvfy_finds_no_error(tmp_path, voxels, maker):
    files, affine = write_series(tmp_path / "source", PatientSex="0000", PatientBirthDate="00000000")
    sources = references(files)
    if maker == "map":
        made = parametric_map(sources, voxels, affine, PRODUCT)
    else:
        made = segmentation(sources, voxels > (2 if maker == "empty" else 0.9), affine, PRODUCT)
    write_dicom(tmp_path / "made.dcm", made)
    told = subprocess.run(["dciodvfy", str(tmp_path / "made.dcm")], capture_output=True, text=True, check=False)
    assert "Error" not in told.stdout + told.stderr


def test_libraries_that_quote_names_are_silent(tmp_path, voxels, caplog, capsys, recwarn):
    files, affine = write_series(tmp_path / "source", PatientName="CANARY", StudyDate="20209999")
    caplog.clear()
    made = parametric_map(references(files), voxels, affine, PRODUCT)
    write_dicom(tmp_path / "map.dcm", made)
    assert made.PatientName == "CANARY"
    assert "CANARY" not in caplog.text and "CANARY" not in "".join(capsys.readouterr())
    assert len(recwarn) == 0


def test_projection_image_is_refused_in_one_line(tmp_path):
    files, _ = write_series(tmp_path / "source", FrameOfReferenceUID=None)
    with pytest.raises(UserError, match="no frame of reference.*leave out --dicom"):
        references(files)


def test_text_file_is_refused(tmp_path):
    (tmp_path / "a.dcm").write_text("no DICOM")
    with pytest.raises(UserError, match="not readable as DICOM"):
        references([tmp_path / "a.dcm"])


def test_nifti_keeps_voxels_and_place_and_is_bit_equal(tmp_path, voxels):
    affine = np.array([[-0.7, 0, 0.1, 3], [0, 0.9, 0, -4], [0.1, 0, 4, 5], [0, 0, 0, 1.0]])
    derived.write_nifti(tmp_path / ".a.tmp", voxels, affine, "Anomaly map")
    derived.write_nifti(tmp_path / "b.nii.gz", voxels, affine, "Anomaly map")
    assert (tmp_path / ".a.tmp").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    back = nibabel.load(tmp_path / "b.nii.gz")
    assert np.array_equal(back.get_fdata(dtype=np.float32), voxels)
    assert np.allclose(back.affine, affine, atol=1e-5) and back.get_data_dtype() == np.float32
    derived.write_nifti(tmp_path / "c.nii.gz", voxels > 0.5, affine, "Unusual areas")
    assert nibabel.load(tmp_path / "c.nii.gz").get_data_dtype() == np.uint8


def test_sidecar_names_units_software_and_sources():
    sources = [{"series": "v1", "sha256": "ab"}]
    tree = json.loads(derived.sidecar("anomaly", "Anomaly map", "arbitrary", sources, {"VoxelThreshold": 0.2}))
    assert tree["GeneratedBy"][0]["Name"] == "medudl" and tree["GeneratedBy"][0]["Version"]
    assert tree["Sources"] == ["bids:cohort:v1"] and tree["SourceSHA256"] == {"v1": "ab"}
    assert tree["Units"] == "arbitrary" and tree["VoxelThreshold"] == 0.2
    assert "not for diagnosis" in tree["Description"]
    assert json.loads(derived.dataset_description("maps"))["DatasetType"] == "derivative"
