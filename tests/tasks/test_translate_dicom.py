"""A CT volume in as DICOM, a synthetic one out as DICOM and NIfTI on the same grid, by the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

import medudl
from medudl.config import validate_config
from medudl.data.cohort import Cohort
from medudl.training.train import fit

LIMIT = 4 * 2**30  # bytes
NORMAL = np.array([0.0, -np.sin(0.1), np.cos(0.1)])  # an oblique stack
ROWS, COLUMNS = np.array([1.0, 0, 0]), np.array([0.0, np.cos(0.1), np.sin(0.1)])
ORIGIN = np.array([-120.3, -90.7, 40.123])


def ct_head(side: int, depth: int, seed: int) -> NDArray[np.int16]:
    """(D, H, W) HU: air, an ellipse of soft tissue with texture, a shell of bone."""
    random = np.random.default_rng(seed)
    z, y, x = np.mgrid[-1 : 1 : depth * 1j, -1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    radius = np.sqrt((x / 0.7) ** 2 + (y / 0.85) ** 2 + (z / 1.4) ** 2)
    texture = ndimage.zoom(
        random.normal(size=(8, 16, 16)).astype(np.float32), (depth / 8, side / 16, side / 16), order=1
    )
    head = np.where(radius < 0.9, 40 + 25 * texture, 900)
    return np.where(radius < 1, head, -1000).astype(np.int16)


def write_ct(folder: Path, voxels: NDArray[np.int16], spacing: float, thickness: float) -> list[Path]:
    """One CT image a slice, named and numbered at random."""
    folder.mkdir(parents=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    order = np.random.default_rng(0).permutation(len(voxels))
    files = []
    for place, number in enumerate(order):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.PatientID, one.PatientName, one.PatientBirthDate, one.PatientSex = "P1", "Canary^Bird", "19700101", "F"
        one.StudyDate, one.StudyTime, one.AccessionNumber, one.StudyID = "20200101", "120000", "", "1"
        one.ReferringPhysicianName, one.PositionReferenceIndicator = "", ""
        one.Modality, one.ImageType, one.SeriesNumber = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], 2
        one.InstanceNumber, one.SliceThickness, one.PixelSpacing = int(number) + 1, thickness, [spacing, spacing]
        one.ImageOrientationPatient = [*ROWS, *COLUMNS]
        one.ImagePositionPatient = [round(float(v), 6) for v in ORIGIN + thickness * place * NORMAL]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.Rows, one.Columns = voxels.shape[1:]
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit, one.PixelRepresentation, one.RescaleSlope, one.RescaleIntercept = 15, 0, 1, -1024
        one.PixelData = (voxels[place].astype(np.int32) + 1024).astype("<u2").tobytes()
        files.append(folder / f"{number:05d}.dcm")
        one.save_as(files[-1], enforce_file_format=True)
    return files


def run_of(folder: Path) -> Path:
    """A CycleGAN of CT and MR, two steps old, on 64 x 64 slices of 4 mm."""
    (folder / "data").mkdir()
    rows = []
    for number, split in enumerate(["train", "train", "val"]):
        for contrast, modality in (("CT", "CT"), ("T1", "MR")):
            voxels = ct_head(64, 8, number).astype(np.float32)
            voxels = voxels if contrast == "CT" else np.where(voxels > 500, 100, voxels + 1000)
            name = f"s{number}_{contrast}.nii.gz"
            affine = np.diag([-4.0, -4.0, 5.0, 1.0])
            nibabel.save(nibabel.Nifti1Image(voxels.T.astype(np.float32), affine), folder / "data" / name)
            rows.append({"subject": f"s{number}", "study": "1", "series": name, "modality": modality, "path": name,
                         "contrast": contrast, "format": "nifti", "shape": "64x64x8", "spacing": "4x4x5",
                         "orientation": "LPS", "split": split, "sha256": f"{len(rows):064x}"})  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "data" / "cohort.csv", index=False)
    tree = {
        "method": {"name": "cyclegan", "width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16},
        "data": {"channels": ["CT"], "target": ["MR"], "size": [64, 64], "spacing": [None, 4, 4],
                 "intensity": {"CT": {"kind": "window", "low": -1024, "high": 2000}, "MR": {}}},
        "train": {"steps": 2, "batch_size": 2, "validate_every": 2, "device": "cpu"},
    }  # fmt: skip
    fit(validate_config(tree, "test"), Cohort.read(folder / "data" / "cohort.csv"), folder / "run", progress=False)
    return folder / "run"


def checked(files: list[Path], series: list[Path]) -> None:
    """Each synthetic image lies where its source image lies, and none can be taken for an acquired one."""
    sources = {
        tuple(np.round(pydicom.dcmread(file, stop_before_pixels=True).ImagePositionPatient, 3)) for file in files
    }
    made = [pydicom.dcmread(file) for file in series]
    assert len(made) == len(files)
    assert {tuple(np.round(one.ImagePositionPatient, 3)) for one in made} == sources
    for one in made:
        assert one.ImageType[0] == "DERIVED" and "SYNTHETIC" in one.ImageType
        assert one.SeriesDescription.startswith("SYNTHETIC") and "not for diagnosis" in one.SeriesDescription
        assert one.PatientID == "P1" and one.Manufacturer == "medudl"


def errors_of(file: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    out = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
    return [line for line in (out.stdout + out.stderr).splitlines() if line.startswith("Error")]


def test_dicom_in_and_out(tmp_path: Path) -> None:
    files = write_ct(tmp_path / "ct", ct_head(96, 6, 9), 2.5, 5.0)
    out = tmp_path / "out"
    table = medudl.translate(run_of(tmp_path), tmp_path / "ct", out, dicom=True, burn_in=True, progress=False)
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    assert folder.name.endswith("_synthetic-MR") and len(table) == 1
    checked(files, sorted(folder.iterdir()))
    assert not errors_of(sorted(folder.iterdir())[3])
    (nifti,) = out.glob("*_synthetic-MR.nii.gz")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image, other = reader.Execute(), sitk.ReadImage(str(nifti))
    assert np.allclose(image.GetSpacing(), other.GetSpacing(), atol=1e-3)
    assert image.GetSize() == other.GetSize() == (96, 96, 6)


@pytest.mark.proof
def test_a_ct_of_139_slices_needs_little_memory(tmp_path: Path) -> None:
    """139 x 512 x 512 by the command line, both outputs, peak memory of the process below 4 GB."""
    files = write_ct(tmp_path / "ct", ct_head(512, 139, 9), 0.5, 1.25)
    run = run_of(tmp_path)
    code = (
        "import resource, sys\nfrom medudl import cli\n"
        "cli.app(sys.argv[1:], standalone_mode=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "translate",
        str(run),
        str(tmp_path / "ct"),
        "-o",
        str(tmp_path / "out"),
        "--dicom",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = int(done.stdout.splitlines()[-1])
    print(f"peak {peak / 2**30:.2f} GiB; {done.stdout.splitlines()[0]}")
    assert "translating" in done.stderr and "100%" in done.stderr
    assert peak < LIMIT
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    checked(files, sorted(folder.iterdir()))
    assert not errors_of(sorted(folder.iterdir())[0]) and not errors_of(sorted(folder.iterdir())[-1])
    (nifti,) = (tmp_path / "out").glob("*_synthetic-MR.nii.gz")
    made = nibabel.load(nifti)
    assert made.shape == (512, 512, 139)
    corner = made.affine @ [0, 0, 0, 1]
    assert np.abs(np.abs(corner[:3]) - np.abs(ORIGIN)).max() < 1e-3
