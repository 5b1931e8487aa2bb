"""Phantoms as files with the same bytes each time: NIfTI (gzip without a date), DICOM with UIDs from the seed."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

from medudl.data.phantom_shapes import Array
from medudl.data.phantom_subject import Subject
from medudl.data.volume import Volume

OFFSET = 1024  # HU are stored as unsigned numbers, as scanners do
DATE, TIME = "20000101", "120000"  # no scan was made on it
TOLD = "synthetic phantom, not a scan"
_NAMESPACE = uuid.UUID("6d656475-646c-5068-8e74-6f6d2d757569")


def uid(*parts: object) -> str:
    """A DICOM UID below 2.25 that is the same for the same parts (PS3.5 B.2: 2.25 and a UUID as a number)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '|'.join(map(str, parts))).int}"


def write_nifti(path: Path, voxels: NDArray[np.int16] | NDArray[np.uint8], affine: Array) -> None:
    """Write .nii.gz in patient mm (RAS); the same voxels and affine give the same bytes."""
    image = nibabel.Nifti1Image(voxels, affine)
    image.header["descrip"] = TOLD.encode()
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=6, mtime=0) as stream:
        stream.write(image.to_bytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed.getvalue())


def write_mr(folder: Path, name: str, subject: Subject) -> None:
    """Write T1, T2 and FLAIR as NIfTI, named as in BIDS, each with the sequence's parameters beside it (JSON, s)."""
    for contrast, suffix in (("T1", "T1w"), ("T2", "T2w"), ("FLAIR", "FLAIR")):
        volume, protocol = subject.contrasts[contrast], subject.scanner.protocols[contrast]
        write_nifti(folder / "anat" / f"sub-{name}_{suffix}.nii.gz", volume.voxels.astype(np.int16), volume.affine)
        facts = {
            "Manufacturer": TOLD,
            "MagneticFieldStrength": subject.scanner.field,
            "ScanningSequence": "SE" if protocol.ti is None else "IR",
            "RepetitionTime": round(protocol.tr / 1000, 6),
            "EchoTime": round(protocol.te / 1000, 6),
            **({} if protocol.ti is None else {"InversionTime": round(protocol.ti / 1000, 6)}),
        }
        text = json.dumps(facts, indent=2) + "\n"
        (folder / "anat" / f"sub-{name}_{suffix}.json").write_text(text, encoding="utf-8")


def write_masks(folder: Path, name: str, subject: Subject) -> None:
    """Write the brain mask and, for a patient, the lesion mask."""
    affine = subject.contrasts["T1"].affine
    masks = {"brain": subject.brain} | ({} if subject.kind == "healthy" else {"lesion": subject.mask})
    for kind, mask in masks.items():
        write_nifti(folder / "anat" / f"sub-{name}_desc-{kind}_mask.nii.gz", mask.astype(np.uint8), affine)


def write_ct_nifti(folder: Path, name: str, volume: Volume) -> None:
    """Write CT in HU as NIfTI."""
    write_nifti(folder / "ct" / f"sub-{name}_ct.nii.gz", volume.voxels.astype(np.int16), volume.affine)


def write_ct_dicom(folder: Path, name: str, subject: Subject, seed: str) -> None:
    """Write CT as a DICOM series (CT Image Storage, RLE), one file a slice, in the frame of the NIfTI files.

    seed: names the phantom; all UIDs follow from it.
    """
    volume = subject.contrasts["CT"]
    (folder / "ct").mkdir(parents=True, exist_ok=True)
    for index in range(volume.voxels.shape[2]):
        stored = (volume.voxels[:, :, index].T + OFFSET).astype(np.uint16)  # rows run along Y
        dataset = _patient(name, subject, seed)
        dataset.update(_slice(volume, index, seed))
        dataset.Rows, dataset.Columns = stored.shape
        dataset.PixelData = stored.astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.compress(RLELossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        packed = io.BytesIO()
        pydicom.dcmwrite(packed, dataset, enforce_file_format=True)
        (folder / "ct" / f"slice-{index + 1:03d}.dcm").write_bytes(packed.getvalue())


def _patient(name: str, subject: Subject, seed: str) -> Dataset:
    """Patient, study, series, equipment, and what all slices share."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = CTImageStorage
    d.file_meta.ImplementationClassUID = uid("implementation")
    d.file_meta.ImplementationVersionName = "MEDUDL_PHANTOM"
    d.ImageType = ["DERIVED", "SECONDARY", "AXIAL", "SYNTHETIC"]
    d.DerivationDescription = TOLD
    d.StudyDate = d.SeriesDate = d.ContentDate = d.AcquisitionDate = DATE
    d.StudyTime = d.SeriesTime = d.ContentTime = d.AcquisitionTime = TIME
    d.AccessionNumber = d.ReferringPhysicianName = d.PatientBirthDate = d.PositionReferenceIndicator = ""
    d.BodyPartExamined = "HEAD"
    d.Modality, d.Manufacturer, d.ManufacturerModelName = "CT", "medudl", TOLD
    d.StudyDescription = d.SeriesDescription = f"CT head, {TOLD}"
    d.PatientName, d.PatientID = f"Phantom^{name}", name
    d.PatientSex, d.PatientAge = subject.anatomy.sex, f"{int(subject.anatomy.age):03d}Y"
    d.StudyInstanceUID, d.SeriesInstanceUID = uid(seed, "study"), uid(seed, "ct")
    d.FrameOfReferenceUID = uid(seed, "frame")
    d.StudyID, d.SeriesNumber, d.AcquisitionNumber, d.PatientPosition = "1", 1, 1, "HFS"
    d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", 0
    d.BitsAllocated, d.BitsStored, d.HighBit = 16, 12, 11
    d.RescaleIntercept, d.RescaleSlope, d.RescaleType, d.KVP = -OFFSET, 1, "HU", 120
    d.WindowCenter, d.WindowWidth, d.BurnedInAnnotation = 40, 80, "NO"
    return d


def _slice(volume: Volume, index: int, seed: str) -> Dataset:
    """What differs from slice to slice: number, UID and place; DICOM is LPS, the affine RAS."""
    lps = np.diag((-1.0, -1.0, 1.0))
    spacing = volume.spacing
    directions = lps @ volume.affine[:3, :2] / spacing[:2]
    place = lps @ (volume.affine @ (0, 0, index, 1))[:3]
    d = Dataset()
    d.SOPInstanceUID, d.InstanceNumber = uid(seed, "ct", index), index + 1
    d.ImageOrientationPatient = [f"{x:.6g}" for x in directions.T.ravel()]
    d.ImagePositionPatient = [f"{x:.8g}" for x in place]
    d.PixelSpacing = [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"]
    d.SliceThickness = d.SpacingBetweenSlices = f"{spacing[2]:.8g}"
    return d
