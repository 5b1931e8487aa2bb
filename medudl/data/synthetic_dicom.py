"""A synthetic volume as a derived DICOM series, in its source's study, that no viewer can take for an acquired scan.

One CT or MR image a slice. What the source's scanner did (tube, coil, sequence, kernel, agent) is not repeated:
nothing of it made this image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from medudl.data.burned_words import burn, stencil
from medudl.data.contrast import MODEL_OUTPUT
from medudl.data.derived import NOTICE
from medudl.data.derived_dicom import FIRST_SERIES, headers
from medudl.data.dicom_parse import read_header
from medudl.data.synthetic_pixels import Pixels, decimal, pixels_of
from medudl.data.synthetic_place import Place, place_of
from medudl.data.synthetic_study import READ, identify
from medudl.version import VERSION

_READ = (*READ, "WindowCenter", "WindowWidth")
_DIGITS = 5  # of a file name


@dataclass(frozen=True)
class Synthetic:
    """What the volume is.

    name: what stands for it on the screen ("CT", "T2"). unit: "HU" of a CT, "arbitrary". model: the method or run that
    made it. number: 1, 2, ...: the place among the products of a source series. warnings: sentences for the images'
    comments, without patient data. burn_in: write "SYNTHETIC - NOT FOR DIAGNOSIS" into the pixels of every slice.
    """

    name: str
    modality: Literal["CT", "MR"]
    unit: str
    model: str
    number: int
    warnings: tuple[str, ...] = ()
    burn_in: bool = False

    def __post_init__(self) -> None:
        if self.unit == "HU" and self.modality != "CT":
            raise ValueError("only CT has Hounsfield units")


def synthetic_series(
    sources: Sequence[Path], voxels: NDArray[np.float32], affine: NDArray[np.float64], about: Synthetic
) -> Iterator[tuple[str, pydicom.Dataset]]:
    """File names and images of the series, slice by slice, each made when it is asked for.

    sources: the files of the source series, one image a file or one enhanced file, in any order. voxels: (X, Y, Z) on
    the grid that reading the source gives; affine: voxel -> patient mm in RAS, of the same reading. Where that grid is
    the source's own, the slices have the positions of its images; where it was resampled (`repair`), those of affine.
    HU are stored as whole numbers; other units, too, where they span 250 or more, else with slope and intercept.
    Raises UserError, before the first slice: a source that cannot be read or has no place, a volume that lies
    elsewhere, voxels that cannot be stored, an image too small for burned-in words.
    """
    place = place_of([read_header(path) for path in sources], voxels.shape, affine)
    found = headers(sources, _READ)
    pixels = pixels_of(voxels, about.unit, _hounsfield_window(found[0]))
    if about.burn_in:
        stencil(voxels.shape[1], voxels.shape[0])
    common = _series(found, place, pixels, about)
    return _slices(common, found, place, (pixels, voxels, about.burn_in))


def _slices(
    common: Dataset, sources: Sequence[Dataset], place: Place, content: tuple[Pixels, NDArray[np.float32], bool]
) -> Iterator[tuple[str, Dataset]]:
    pixels, voxels, burn_in = content
    for number, position in enumerate(place.positions):
        stored = pixels.stored(voxels[:, :, number].T)
        if burn_in:
            burn(stored, pixels.dark, pixels.light)
        made = _twin(common)
        made.Rows, made.Columns = stored.shape
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
        made.InstanceNumber = number + 1
        made.ImagePositionPatient = [decimal(x) for x in position]
        _refer(made, sources, place.origins[number], resampled=place.resampled)
        made.add_new("PixelData", "OW", stored.tobytes())
        yield f"{number + 1:0{_DIGITS}d}.dcm", made


def _series(sources: Sequence[Dataset], place: Place, pixels: Pixels, about: Synthetic) -> Dataset:
    """What all slices share."""
    made = Dataset()
    identify(made, sources)
    _describe(made, about, place, has_frame="FrameOfReferenceUID" in sources[0])
    _image(made, place, pixels)
    if about.modality == "CT":
        made.SOPClassUID, made.KVP, made.AcquisitionNumber = CTImageStorage, None, None
        made.RescaleSlope, made.RescaleIntercept, made.RescaleType = pixels.slope, pixels.intercept, pixels.kind
    else:
        made.SOPClassUID, made.ScanningSequence, made.SequenceVariant = MRImageStorage, "RM", "NONE"
        for name in ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"):
            setattr(made, name, None)
        if not pixels.whole:  # not of the MR Image IOD, but no other way keeps what whole numbers would lose
            made.RescaleSlope, made.RescaleIntercept, made.RescaleType = pixels.slope, pixels.intercept, pixels.kind
    made.BurnedInAnnotation = "YES" if about.burn_in else "NO"
    return made


def _describe(made: Dataset, about: Synthetic, place: Place, *, has_frame: bool) -> None:
    """The words that say what this is, wherever a viewer may look for them."""
    name, model = _ascii(about.name, 20), _ascii(about.model, 64)
    made.Modality, made.SeriesNumber = about.modality, FIRST_SERIES + about.number
    plane = "AXIAL" if about.modality == "CT" else "OTHER"
    made.ImageType = ["DERIVED", "SECONDARY", plane, "SYNTHETIC", MODEL_OUTPUT]
    # SyntheticData (0008,001C) would say it, too; validators that are older than the attribute call it an error.
    made.SeriesDescription = f"SYNTHETIC {name} (model output, not for diagnosis)"
    made.Manufacturer, made.ManufacturerModelName, made.SoftwareVersions = "medudl", model, VERSION
    made.DeviceSerialNumber = "none"
    told = [f"Synthetic {name}: {NOTICE}.", f"Made by the model {model} (medudl {VERSION}) from the source images."]
    told += ["Its slices lie on a grid that was resampled from the source's."] if place.resampled else []
    told += [] if has_frame else ["The source names no frame of reference: this one is new."]
    told += [_ascii(warning, 1024) for warning in about.warnings]
    made.DerivationDescription, made.ImageComments = " ".join(told)[:1024], " ".join(told)[:10240]
    now = datetime.now()
    for moment in ("InstanceCreation", "Series", "Content"):
        setattr(made, f"{moment}Date", now.strftime("%Y%m%d"))
        setattr(made, f"{moment}Time", now.strftime("%H%M%S"))


def _image(made: Dataset, place: Place, pixels: Pixels) -> None:
    """Size, place and meaning of the pixels, but for each slice's own position."""
    made.ImageOrientationPatient = [decimal(x) for x in place.orientation]
    made.PixelSpacing = [decimal(x) for x in place.pixels]
    made.SliceThickness = None if place.thickness is None else decimal(place.thickness)
    if place.step is not None:
        made.SpacingBetweenSlices = decimal(place.step)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = int(pixels.signed)
    made.WindowCenter, made.WindowWidth = pixels.window
    made.VOILUTFunction = "LINEAR_EXACT"  # LINEAR would forbid a window narrower than 1


def _refer(made: Dataset, sources: Sequence[Dataset], origins: Sequence[tuple[int, int]], *, resampled: bool) -> None:
    """Name the images a slice comes from."""
    purpose = _code(codes.DCM.SourceImageForImageProcessingOperation)
    made.SourceImageSequence = []
    instances: list[Dataset] = []
    for file, frame in origins:
        instance = Dataset()
        instance.ReferencedSOPClassUID = sources[file].SOPClassUID
        instance.ReferencedSOPInstanceUID = sources[file].SOPInstanceUID
        if not any(one.ReferencedSOPInstanceUID == instance.ReferencedSOPInstanceUID for one in instances):
            instances.append(instance)
        image = _twin(instance)
        if sources[file].get("NumberOfFrames", 1) > 1:
            image.ReferencedFrameNumber = frame + 1
        image.SpatialLocationsPreserved = "NO" if resampled else "YES"
        image.PurposeOfReferenceCodeSequence = [purpose]
        made.SourceImageSequence.append(image)
    series = Dataset()
    series.SeriesInstanceUID = sources[origins[0][0]].SeriesInstanceUID
    series.ReferencedInstanceSequence = instances
    made.ReferencedSeriesSequence = [series]


def _twin(source: Dataset) -> Dataset:
    """A dataset with the same elements; `copy` would give one whose additions appear in the source, too."""
    made = Dataset()
    made.update(source)
    return made


def _code(code: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _hounsfield_window(source: Dataset) -> tuple[float, float] | None:
    """The source's first window, if it is a CT and the window makes sense."""
    if source.get("Modality") != "CT":
        return None
    try:
        centre, width = (np.atleast_1d(source[name].value)[0] for name in ("WindowCenter", "WindowWidth"))
        return (decimal(centre), decimal(width)) if width >= 1 else None
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _ascii(text: str, length: int) -> str:
    """Text that any character set can show, in one value (a backslash would begin another)."""
    plain = "".join(letter if " " <= letter <= "~" and letter != "\\" else "?" for letter in text)
    return plain[:length].strip()
