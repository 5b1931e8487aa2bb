"""Derived DICOM: a Parametric Map of the anomaly score and a Segmentation of unusual areas, in the source's study.

Both refer to the source instances, keep its patient, study and frame of reference, and get series of their own.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, TM, PersonName

from medudl.data.derived import NOTICE
from medudl.errors import UserError
from medudl.version import VERSION

_IDENTITY = ("PatientName", "PatientID", "AccessionNumber", "StudyID", "ReferringPhysicianName", "SpecificCharacterSet")
_DATES = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
_PLACE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID",
          "PositionReferenceIndicator", "Rows", "Columns", "NumberOfFrames", "ImagePositionPatient",
          "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SharedFunctionalGroupsSequence",
          "PerFrameFunctionalGroupsSequence", "DimensionOrganizationSequence", "DimensionIndexSequence", "Modality",
          "ImageType", "SamplesPerPixel")  # fmt: skip
FIRST_SERIES = 9000  # series numbers far above a scanner's own


@dataclass(frozen=True)
class Product:
    """What was computed: `model` names the method, `label` is a CS-like word, `description` goes on the screen."""

    model: str
    label: str
    description: str
    number: int  # 1, 2, ...: the place among the products of a source series


def references(files: Sequence[Path]) -> list[Dataset]:
    """Headers of the source instances, reduced to what a derived object repeats; a value that breaks DICOM is blanked.

    Raises UserError where a file cannot be read or has no frame of reference.
    """
    sources = headers(files)
    if any("FrameOfReferenceUID" not in source for source in sources):
        raise UserError(f"{Path(files[0]).parent}: this series has no frame of reference (a projection image?);"
                        " leave out --dicom and use the NIfTI files")  # fmt: skip
    return sources


def headers(files: Sequence[Path], also: Sequence[str] = ()) -> list[Dataset]:
    """As `references`, whether or not there is a frame of reference; `also`: further attributes to keep.

    Raises UserError where a file cannot be read.
    """
    sources = []
    for file in files:
        try:
            with quiet():
                sources.append(_reduced(pydicom.dcmread(file, stop_before_pixels=True, force=True), also))
        except (OSError, ValueError, KeyError, AttributeError, EOFError) as error:
            raise UserError(f"{file}: not readable as DICOM ({type(error).__name__}); copy it again") from None
    return sources


def parametric_map(
    sources: Sequence[Dataset], voxels: NDArray[np.float32], affine: NDArray[np.float64], product: Product
) -> Dataset:
    """Float32 Parametric Map of one volume. voxels: (X, Y, Z); affine: voxel -> mm in RAS. Units: none."""
    top = float(voxels.max(initial=0)) or 1.0
    mapping = hd.pm.RealWorldValueMapping(
        lut_label=product.label, lut_explanation=product.description, unit=codes.UCUM.NoUnits,
        value_range=(float(voxels.min(initial=0)), top), slope=1.0, intercept=0.0,
    )  # fmt: skip
    with quiet():
        made = hd.pm.ParametricMap(
            sources, _frames(voxels), real_world_value_mappings=[mapping],
            # LINEAR would forbid a window narrower than 1
            voi_lut_transformations=[hd.VOILUTTransformation(top / 2, top, voi_lut_function="LINEAR_EXACT")],
            contains_recognizable_visual_features=False, content_qualification="RESEARCH", **_common(product),
            **_geometry(affine, voxels.shape),
        )  # fmt: skip
    made.Laterality = ""  # type 2C: it must be there, empty where nobody knows
    return made


def segmentation(
    sources: Sequence[Dataset], mask: NDArray[np.bool_], affine: NDArray[np.float64], product: Product,
    *, manual: bool = False,
) -> Dataset:  # fmt: skip
    """Binary Segmentation with one segment, "unusual area". mask: (X, Y, Z); affine: voxel -> mm in RAS.

    manual: a person drew it, and no algorithm is named. An empty mask gives a Segmentation whose frames are all empty:
    "nothing unusual" is a result too.
    """
    segment = hd.seg.SegmentDescription(
        1, product.label, codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.MorphologicallyAbnormalStructure,
        "MANUAL" if manual else "AUTOMATIC",
        None if manual else hd.AlgorithmIdentificationSequence(
            name=product.model, family=codes.DCM.ArtificialIntelligence, version=VERSION
        ),
    )  # fmt: skip
    with quiet():
        made = hd.seg.Segmentation(
            sources, _frames(mask).astype(np.uint8), "BINARY", [segment], omit_empty_frames=bool(mask.any()),
            **_common(product), **_geometry(affine, mask.shape),
        )  # fmt: skip
    return made


def write_dicom(path: Path, made: Dataset) -> None:
    """Write to exactly `path`. Raises OSError (disk full, no permission)."""
    with quiet():
        made.save_as(path, enforce_file_format=True)


def _common(product: Product) -> dict[str, Any]:
    return {
        "series_instance_uid": hd.UID(),
        "sop_instance_uid": hd.UID(),
        "series_number": FIRST_SERIES + product.number,
        "instance_number": 1,
        "manufacturer": "medudl",
        "manufacturer_model_name": product.model[:64],
        "software_versions": VERSION,
        "device_serial_number": "none",
        "content_label": product.label.upper().replace(" ", "_")[:16],
        "content_description": product.description[:64],
        "series_description": f"{product.label}: {NOTICE}"[:64],
    }


def _frames(voxels: NDArray[Any]) -> NDArray[Any]:
    """(X, Y, Z) -> (frames, rows, columns)."""
    return np.ascontiguousarray(voxels.transpose(2, 1, 0))


def _geometry(affine: NDArray[np.float64], shape: tuple[int, ...]) -> dict[str, Any]:
    """Position of every frame, from the affine. Given frame by frame, so that a tiny shear cannot matter."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    across, down, step = (lps[:3, axis] for axis in range(3))
    width, height, gap = (float(np.linalg.norm(axis)) for axis in (across, down, step))
    positions = [lps[:3, 3] + frame * step for frame in range(shape[2])]
    return {
        "plane_positions": [
            hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, [float(f"{x:.8g}") for x in position])
            for position in positions
        ],
        "plane_orientation": hd.PlaneOrientationSequence(
            hd.CoordinateSystemNames.PATIENT, [float(f"{x:.8g}") for x in (*(across / width), *(down / height))]
        ),
        "pixel_measures": hd.PixelMeasuresSequence(
            [float(f"{height:.8g}"), float(f"{width:.8g}")], float(f"{gap:.8g}"), float(f"{gap:.8g}")
        ),
    }


def _reduced(source: Dataset, also: Sequence[str]) -> Dataset:
    if "SOPInstanceUID" not in source or "StudyInstanceUID" not in source:
        raise ValueError("no DICOM instance")
    kept = Dataset()
    for name in (*_PLACE, *also):
        if name in source:
            kept[name] = source[name]
    for name in _IDENTITY:
        setattr(kept, name, source.get(name, "" if name != "SpecificCharacterSet" else None))
    if kept.SpecificCharacterSet is None:
        del kept.SpecificCharacterSet
    for name, kind in _DATES.items():
        setattr(kept, name, _valid(source.get(name), kind))
    kept.PatientSex = source.get("PatientSex") if source.get("PatientSex") in ("M", "F", "O") else ""
    kept.PatientName = PersonName(str(kept.PatientName))
    kept.file_meta = source.file_meta
    return kept


def _valid(value: Any, kind: type[DA] | type[TM]) -> Any:
    try:
        return kind(value) if value else ""
    except (ValueError, TypeError):
        return ""


@contextmanager
def quiet() -> Iterator[None]:
    """The libraries quote a patient's name in warnings and log lines: neither may reach a screen or a file."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom", "highdicom.base")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
