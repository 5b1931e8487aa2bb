"""DICOM files made for tests: every pixel, position and tag is known."""

import itertools
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

EnhancedMR = "1.2.840.10008.5.1.4.1.1.4.1"


def image(path, pixels, *, position=None, orientation=(1, 0, 0, 0, 1, 0), spacing=(1, 1), modality="MR", **tags):
    """One dataset of one slice (rows, columns), integer or float, not yet written."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.PatientID, ds.StudyInstanceUID = modality, "phantom", "1.2.3"
    ds.SeriesInstanceUID = "1.2.3.4"
    if position is not None:
        ds.ImagePositionPatient = [float(f"{x:.9g}") for x in position]
        ds.ImageOrientationPatient = [float(f"{x:.9g}") for x in orientation]
    ds.PixelSpacing = list(spacing)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    if pixels.dtype.kind == "f":
        ds.FloatPixelData = pixels.astype("<f4").tobytes()
    else:
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = int(pixels.dtype.kind == "i")
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(ds, name, value)
    return ds


def save(ds, path):
    ds.save_as(path, enforce_file_format=True)
    return Path(path)


def series(folder, voxels, affine_lps, *, seed=0, **tags):
    """Write a stack (X, Y, Z) with an LPS affine as slices; shuffled names and instance numbers."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    size = np.linalg.norm(affine_lps[:3, :3], axis=0)
    orientation = np.concatenate([affine_lps[:3, 0] / size[0], affine_lps[:3, 1] / size[1]])
    numbers = np.random.default_rng(seed).permutation(voxels.shape[2])
    paths = []
    for k, number in enumerate(numbers):
        ds = image(
            "", np.ascontiguousarray(voxels[..., k].T), position=affine_lps[:3] @ [0, 0, k, 1],
            orientation=orientation, spacing=(size[1], size[0]), **tags,
        )  # fmt: skip
        ds.InstanceNumber, ds.SliceLocation, ds.SliceThickness = int(number), float(-number), 99
        paths.append(save(ds, folder / f"{number:03d}.dcm"))
    return sorted(paths)


def at(positions, **tags):
    """Slices (4 rows, 5 columns) at given positions, their own number in every pixel; datasets."""
    return [image("", np.full((4, 5), k, np.int16), position=p, **tags) for k, p in enumerate(positions)]


def save_all(datasets, folder):
    return [save(ds, Path(folder) / f"{k:03d}.dcm") for k, ds in enumerate(datasets)]


def enhanced(path, pixels, positions, *, slopes=None, orientation=(1, 0, 0, 0, 1, 0), echoes=None):
    """An enhanced multi-frame object: (frames, rows, columns), one functional group a frame."""
    ds = image(path, pixels)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMR
    del ds.PixelSpacing
    ds.NumberOfFrames = len(pixels)
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [2, 3], 4
    plane.ImageOrientationPatient = list(orientation)
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for k, position in enumerate(positions):
        place, values, echo, group = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = list(position)
        values.RescaleSlope, values.RescaleIntercept = (slopes[k] if slopes else 1), 10 * k if slopes else 0
        values.RescaleType = "US"
        group.PlanePositionSequence = Sequence([place])
        group.PixelValueTransformationSequence = Sequence([values])
        if echoes:
            echo.EffectiveEchoTime = echoes[k]
            group.MREchoSequence = Sequence([echo])
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return save(ds, path)


def all_orientations():
    """The 48 ways in which array axes can lie along patient axes, as (3, 3) matrices."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[list(order), range(3)] = signs
            yield matrix


def oblique(count=5):
    """Random rotations."""
    random = np.random.default_rng(3)
    for _ in range(count):
        q, r = np.linalg.qr(random.normal(size=(3, 3)))
        yield q * np.sign(np.diag(r))
