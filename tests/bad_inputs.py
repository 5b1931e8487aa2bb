"""Folders and files that a command must refuse in one line; made here, shared by the test and the benchmark."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

CANARY = "CANARY^PATIENT"
Sampling = tuple[list[str | Path], str]  # what is called, and a part of the line that it must say
HOSTILE = [
    "../../escape", "..\\..\\escape", "/etc/passwd", "~root", "a/b/c", ".", "..", "", " ", "CON", "NUL", "aux.txt",
    "x" * 64, "line\nbreak", "tab\there", "semi;rm -rf .", "$(touch pwned)", "`touch pwned`", "a|b", "a>b", "%2e%2e%2f",
    "\u202egnp.exe", "\u0000null", "é" * 20, "*?[x]", "-rf", "--help", "{subject}", "'; DROP TABLE x;--", "<script>",
]  # fmt: skip


def ct_slice(
    index: int, *, patient: str = "P1", rows: int = 16, series: str = "1.2.3.4", study: str = "1.2.3"
) -> FileDataset:
    """One valid CT slice, 1 mm apart from the next, with the canary name in every tag that takes free text."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(index)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_ = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    slice_.SpecificCharacterSet = "ISO_IR 192"
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    slice_.PatientID, slice_.StudyInstanceUID, slice_.SeriesInstanceUID = patient, study, series
    slice_.FrameOfReferenceUID, slice_.Modality = "1.2.3.9", "CT"
    slice_.InstanceNumber, slice_.ImageType = index + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
    slice_.Rows = slice_.Columns = rows
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation = 15, 1
    slice_.PixelSpacing, slice_.SliceThickness = [1, 1], 1
    slice_.ImageOrientationPatient, slice_.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, index]
    slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024
    pixels = np.random.default_rng(index).integers(0, 2000, (rows, rows), dtype=np.int16)
    slice_.PixelData = pixels.tobytes()
    return slice_


def plant_canary(slice_: Dataset) -> None:
    """A patient's name in 20 tags."""
    for keyword in (
        "PatientName",
        "OtherPatientNames",
        "ReferringPhysicianName",
        "PerformingPhysicianName",
        "OperatorsName",
    ):
        setattr(slice_, keyword, CANARY)
    for keyword in (
        "PatientComments", "InstitutionName", "StationName", "AccessionNumber", "StudyID", "StudyDescription",
        "InstitutionAddress", "ImageComments", "AdditionalPatientHistory", "RequestedProcedureDescription",
        "DeviceSerialNumber", "PatientAddress", "MilitaryRank", "Occupation", "OtherPatientIDs",
    ):  # fmt: skip
        setattr(slice_, keyword, CANARY[:16])


def save(slice_: FileDataset, path: Path) -> None:
    """Write a slice, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    slice_.save_as(path, enforce_file_format=True)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _text_as_dicom(folder: Path) -> Path:
    folder.mkdir()
    (folder / "notes.dcm").write_text("this is no scan\n")
    return folder


def _truncated_dicom(folder: Path) -> Path:
    save(ct_slice(0, rows=64), folder / "a.dcm")
    data = (folder / "a.dcm").read_bytes()
    (folder / "a.dcm").write_bytes(data[: len(data) // 2])
    return folder


def _truncated_nifti(folder: Path) -> Path:
    folder.mkdir()
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32), np.eye(4))
    nib.save(image, folder / "whole.nii")
    data = (folder / "whole.nii").read_bytes()
    (folder / "whole.nii").unlink()
    (folder / "half.nii").write_bytes(data[: len(data) // 2])
    return folder


def _deflated_bomb(folder: Path) -> Path:
    """65 KB that inflate to 64 MB of one-byte elements, of which pydicom makes an object each."""
    folder.mkdir()
    slice_ = ct_slice(0)
    slice_.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    slice_.file_meta.MediaStorageSOPInstanceUID = "1.2"
    save(slice_, folder / "bomb.dcm")
    data = (folder / "bomb.dcm").read_bytes()
    head = data[: 132 + 12 + struct.unpack("<L", data[140:144])[0]]
    element = struct.pack("<HH2sH", 0x0009, 0x1001, b"LO", 0)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(element * (8 * 2**20)) + deflate.flush()
    (folder / "bomb.dcm").write_bytes(head + body)
    return folder


def _nested_sequences(folder: Path) -> Path:
    slice_ = ct_slice(0)
    save(slice_, folder / "nested.dcm")
    data = (folder / "nested.dcm").read_bytes()
    opened = struct.pack("<HH2s2xL", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    head = data[: 132 + 12 + struct.unpack("<L", data[140:144])[0]]
    (folder / "nested.dcm").write_bytes(head + opened * 1000)
    return folder


def _huge_nifti(folder: Path) -> Path:
    folder.mkdir()
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((16384, 16384, 4096))
    header["vox_offset"] = 352
    (folder / "huge.nii").write_bytes(header.binaryblock + b"\0" * 4)
    return folder


def _nan_nifti(folder: Path) -> Path:
    folder.mkdir()
    voxels = np.ones((8, 8, 8), np.float32)
    voxels[4] = np.nan
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "nan.nii.gz")
    return folder


def _one_voxel(folder: Path) -> Path:
    folder.mkdir()
    nib.save(nib.Nifti1Image(np.ones((1, 1, 1), np.float32), np.eye(4)), folder / "one.nii.gz")
    return folder


FOLDERS: dict[str, Callable[[Path], Path]] = {
    "empty folder": _empty,
    "text file named .dcm": _text_as_dicom,
    "truncated DICOM": _truncated_dicom,
    "truncated NIfTI": _truncated_nifti,
    "deflated bomb": _deflated_bomb,
    "1,000 nested sequences": _nested_sequences,
    "NIfTI header of 2^40 voxels": _huge_nifti,
    "NaN voxels": _nan_nifti,
    "one-voxel volume": _one_voxel,
}


def _tiny(folder: Path, method: dict[str, object] | None = None) -> Path:
    """A run folder that can be sampled from, unless `method` is another one."""
    from tiny_run import make_cohort, make_run, tiny_config

    config = tiny_config().model_copy(update={"method": method or {"name": "variational_autoencoder", "latent": 3,
                                                                   "network": "dense", "hidden": [8]}})  # fmt: skip
    return make_run(folder / "run", make_cohort(folder / "scans", train=1, val=1, healthy=1, sick=1), config).path


def _none_at_all(folder: Path) -> Sampling:
    return ["sample", _tiny(folder), "-n", "0", "-o", folder / "out"], "-n 0"


def _no_verb(folder: Path) -> Sampling:
    plain: dict[str, object] = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}
    return ["sample", _tiny(folder, plain), "-o", folder / "out"], "draws no new images"


def _no_run(folder: Path) -> Sampling:
    return ["sample", folder / "run", "-o", folder / "out"], "no such run"


def _no_weights(folder: Path) -> Sampling:
    run = _tiny(folder)
    (run / "weights.safetensors").unlink()
    return ["sample", run, "-o", folder / "out"], "no weights yet"


def _damaged_weights(folder: Path) -> Sampling:
    run = _tiny(folder)
    data = (run / "weights.safetensors").read_bytes()
    (run / "weights.safetensors").write_bytes(data[: len(data) // 2])
    return ["sample", run, "-o", folder / "out"], "weights.safetensors"


def _something_else(folder: Path) -> Sampling:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.txt").write_text("mine")
    return ["sample", _tiny(folder), "-o", folder / "out"], "not a folder of samples"


def _no_such_features(folder: Path) -> Sampling:
    return ["sample", _tiny(folder), "-o", folder / "out", "--features", "vgg"], "--features vgg"


def _features_that_are_none(folder: Path) -> Sampling:
    (folder / "net.onnx").write_bytes(b"no network")
    return ["sample", _tiny(folder), "-o", folder / "out", "--features", folder / "net.onnx"], "net.onnx"


def _no_generator_to_evaluate(folder: Path) -> Sampling:
    plain: dict[str, object] = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}
    return ["evaluate", _tiny(folder, plain), "--generator", "-o", folder / "out"], "draws no new images"


BAD_SAMPLING: dict[str, Callable[[Path], Sampling]] = {
    "no sample wanted": _none_at_all,
    "a method that draws nothing": _no_verb,
    "no run": _no_run,
    "no weights": _no_weights,
    "damaged weights": _damaged_weights,
    "OUT holds something else": _something_else,
    "unknown features": _no_such_features,
    "a file that is no network": _features_that_are_none,
    "a report on a method that draws nothing": _no_generator_to_evaluate,
}
