"""Folders of made scans that the viewer is tried on: each says by its voxels who and what it is."""

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medudl import api

MARKER, PLAIN = 777, 100
SHAPE, SPACING = (14, 11, 9), (1.1, 1.7, 2.6)
VOXEL = (9, 3, 6)


def write_ct(folder: Path, *, slices: int = 300, size: int = 512) -> None:
    """An uncompressed CT series of a body and a sphere, one file a slice, stored unsigned with an intercept."""
    folder.mkdir(parents=True)
    random, (study, series, frame) = np.random.default_rng(0), (generate_uid() for _ in range(3))
    y, x = np.mgrid[:size, :size] / size * 2 - 1
    for k in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.PatientName, one.PatientID, one.Modality, one.SeriesDescription = "CANARY^BIRD", "C1", "CT", "thin"
        one.Rows = one.Columns = size
        one.PixelSpacing, one.SliceThickness, one.RescaleType = [0.7, 0.7], 1, "HU"
        one.ImagePositionPatient, one.ImageOrientationPatient = [-179, -179, float(k)], [1, 0, 0, 0, 1, 0]
        one.InstanceNumber, one.SamplesPerPixel, one.PhotometricInterpretation = k + 1, 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
        one.RescaleSlope, one.RescaleIntercept = 1, -1024
        hounsfield = np.where(x**2 / 0.72 + y**2 / 0.4 < 1, 40, -1000) + random.integers(-20, 20, (size, size))
        z = k / slices * 2 - 1
        hounsfield[(x + 0.2) ** 2 + y**2 + z**2 < 0.03] += 200
        one.PixelData = (hounsfield + 1024).astype("<u2").tobytes()
        one.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)


def affines() -> dict[str, np.ndarray]:
    """The 48 ways in which voxel axes can lie along patient axes, and five oblique ones; the middle lies off zero."""
    found = {}
    for axes, signs in product(permutations(range(3)), product((-1, 1), repeat=3)):
        turn = np.zeros((3, 3))
        turn[axes, range(3)] = signs
        found["".join("RAS"[a] if s > 0 else "LPI"[a] for a, s in zip(axes, signs, strict=True))] = turn
    for number, angles in enumerate([(10, 0, 0), (0, 20, 0), (0, 0, 30), (12, -8, 20), (-25, 15, 5)]):
        turn = np.diag([-1.0, -1, 1])
        for axis, degrees in enumerate(np.radians(angles)):
            spin, (a, b) = np.eye(3), [i for i in range(3) if i != axis]
            spin[a, a] = spin[b, b] = np.cos(degrees)
            spin[a, b], spin[b, a] = -np.sin(degrees), np.sin(degrees)
            turn = spin @ turn
        found[f"oblique{number}"] = turn
    return {name: _placed(turn) for name, turn in found.items()}


def _placed(turn: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = turn * SPACING
    affine[:3, 3] = np.array([4.0, -7.0, 11.0]) - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine


def write_markers(folder: Path, names: list[str]) -> Path:
    """One volume an orientation: all voxels PLAIN, the one at VOXEL is MARKER. Returns cohort.csv."""
    folder.mkdir(parents=True)
    voxels = np.full(SHAPE, PLAIN, np.int16)
    voxels[VOXEL] = MARKER
    for name in names:
        nibabel.save(nibabel.Nifti1Image(voxels, affines()[name]), folder / f"sub-{name}_T1w.nii.gz")
    return indexed(folder)


def write_greys(folder: Path, patients: int) -> Path:
    """Patients that differ by their grey alone: every voxel of patient p is `grey(p)`. Returns cohort.csv."""
    folder.mkdir(parents=True)
    for patient in range(patients):
        voxels = np.full((48, 40, 20), grey(patient), np.int16)
        voxels[0, 0, 0], voxels[-1, -1, -1] = 0, 1000  # so that a window of its own is the same for all
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.0, -1, 2, 1])), folder / f"sub-{patient:02d}_T1w.nii.gz")
    return indexed(folder)


def grey(patient: int) -> int:
    """The value of every voxel of this patient."""
    return 50 + 90 * patient


def write_flair(folder: Path, shape: tuple[int, int, int] = (260, 320, 22)) -> Path:
    """A head-sized MR volume of thick slices with a mask beside it. Returns cohort.csv."""
    folder.mkdir(parents=True)
    random, (x, y, z) = np.random.default_rng(1), np.mgrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    head, spot = x**2 + y**2 + z**2 / 2 < 0.7, (x - 0.3) ** 2 + (y - 0.1) ** 2 + z**2 / 4 < 0.03
    voxels = (head * (300 + 40 * random.normal(size=shape)) + 250 * spot).clip(0).astype(np.int16)
    affine = np.diag([-0.6875, -0.6875, 6.5, 1])
    nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / "sub-01_FLAIR.nii.gz")
    nibabel.save(nibabel.Nifti1Image(spot.astype(np.uint8), affine), folder / "sub-01_desc-lesion_mask.nii.gz")
    return indexed(folder, masks=["sub-{subject}_desc-lesion_mask.nii.gz"])


def indexed(folder: Path, masks: list[str] | None = None) -> Path:
    """cohort.csv over all scans of `folder`, inside it."""
    api.index([folder], folder / "cohort.csv", masks=masks or ())
    return folder / "cohort.csv"


def names_in(folder: Path) -> set[str]:
    """What identifies the patient of a DICOM file: must be on no page."""
    one = pydicom.dcmread(next(folder.rglob("*.dcm")), stop_before_pixels=True)
    return {str(one.PatientName), str(one.PatientID)}
