"""A small oblique MR series, with a patient whose name must not be found anywhere else."""

import warnings

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CANARY = "CANARY^BIRD"


def write_series(folder, *, slices=5, rows=12, columns=10, tilt=0.2, **changes):
    """A small oblique MR series; returns its files in the order along the normal and the RAS affine."""
    folder.mkdir(parents=True, exist_ok=True)
    across, down = np.array([1.0, 0, 0]), np.array([0, np.cos(tilt), np.sin(tilt)])
    normal, origin = np.cross(across, down), np.array([-50.0, -40, 30])
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    files = []
    for number in range(slices):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = CANARY, "C1", "19700101", "F"
        one.StudyDate, one.StudyTime, one.AccessionNumber, one.StudyID = "20200101", "120000", "A1", "S1"
        one.ReferringPhysicianName, one.Modality, one.PositionReferenceIndicator = "", "MR", ""
        one.Rows, one.Columns, one.SamplesPerPixel, one.BitsAllocated = rows, columns, 1, 16
        one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 15, 0
        one.PhotometricInterpretation, one.PixelSpacing, one.SliceThickness = "MONOCHROME2", [0.9, 0.7], 4
        one.ImageOrientationPatient = [*across, *down]
        one.ImagePositionPatient = [float(x) for x in origin + 4.0 * number * normal]
        one.InstanceNumber, one.PixelData = number + 1, np.full((rows, columns), number, np.uint16).tobytes()
        for name, value in changes.items():
            if value is None:
                delattr(one, name)
            else:
                with warnings.catch_warnings(action="ignore"):
                    setattr(one, name, value)
        files.append(folder / f"{number}.dcm")
        with warnings.catch_warnings(action="ignore"):  # some of these values are broken on purpose
            one.save_as(files[-1], enforce_file_format=True)
    lps = np.eye(4)
    lps[:3] = np.stack([0.7 * across, 0.9 * down, 4.0 * normal, origin], axis=1)
    return files, np.diag([-1.0, -1, 1, 1]) @ lps
