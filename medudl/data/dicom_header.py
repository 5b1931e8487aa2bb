"""One DICOM file's header: what identifies it, how it was made, and where its frames lie."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medudl.data.fault import unusable

SEG, RTSTRUCT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"  # the segmentation that stores one label a voxel
# What `Frame.kind` holds, in words for the user. A differing image type alone does not forbid stacking.
KINDS = ("image type", "component", "echo time", "inversion time", "b-value", "stack", "time point")


@dataclass(frozen=True)
class Frame:
    """One slice of a file. Frames of different `kind` (see KINDS) cannot stack together."""

    position: tuple[float, ...] = ()  # LPS mm, centre of the first voxel; empty where the file gives none
    orientation: tuple[float, ...] = ()  # cosines of a row, then of a column; empty where the file gives none
    pixel_spacing: tuple[float, float] | None = None  # mm between rows, mm between columns
    slope: float = 1.0
    intercept: float = 0.0
    kind: tuple[Any, ...] = ()
    segment: int = 0  # of a segmentation


@dataclass(frozen=True)
class DicomHeader:
    """A file's header. Times in ms, lengths in mm, field strength in tesla; None, "" or 0 where the file says nothing.

    Holds PatientID and UIDs as they are: they leave memory only as keyed hashes.
    """

    path: Path
    patient_id: str = ""
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""
    sop_class: str = ""
    modality: str = ""
    transfer_syntax: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 1
    frame_list: tuple[Frame, ...] = field(default=(), repr=False)
    samples_per_pixel: int = 1
    photometric: str = ""
    planar: int = 0
    bits_allocated: int = 0
    bits_stored: int = 0
    high_bit: int = 0
    signed: bool = False
    padding: int | None = None  # the stored value outside the field of view
    rescale_type: str = ""
    lookup_table: bool = False  # values go through a table, not through slope and intercept
    thickness: float | None = None
    image_type: tuple[str, ...] = ()
    series_description: str = ""
    protocol_name: str = ""
    body_part: str = ""
    view: str = ""
    sequence_name: str = ""
    scanning_sequence: tuple[str, ...] = ()
    sequence_variant: tuple[str, ...] = ()
    acquisition_type: str = ""
    acquisition_contrast: str = ""
    complex_component: str = ""
    repetition_time: float | None = None
    echo_time: float | None = None
    inversion_time: float | None = None
    echo_number: int | None = None
    flip_angle: float | None = None
    b_value: float | None = None
    contrast_agent: str = ""
    kernel: str = ""
    manufacturer: str = ""
    model: str = ""
    field_strength: float | None = None
    age: str = ""
    sex: str = ""
    series_number: int | None = None
    acquisition_number: int | None = None
    instance_number: int | None = None
    temporal_position: int | None = None
    trigger_time: float | None = None
    frame_of_reference: str = ""
    referenced_series: tuple[str, ...] = ()  # of a segmentation or structure set
    segmentation_type: str = ""
    max_fraction: int = 1  # of a fractional segmentation: the value that means "all of it"
    pixel_keyword: str = ""  # PixelData, FloatPixelData, DoubleFloatPixelData; "" for what is no image
    pixel_offset: int = 0
    pixel_length: int | None = None  # None: encapsulated (compressed)

    @property
    def position(self) -> tuple[float, ...]:
        """Position of the first frame, LPS mm; empty if there is none."""
        return self.frame_list[0].position if self.frame_list else ()

    @property
    def orientation(self) -> tuple[float, ...]:
        """Direction cosines of the first frame; empty if there are none."""
        return self.frame_list[0].orientation if self.frame_list else ()

    @property
    def pixel_spacing(self) -> tuple[float, float] | None:
        """Of the first frame: mm between rows, mm between columns."""
        return self.frame_list[0].pixel_spacing if self.frame_list else None

    @property
    def is_image(self) -> bool:
        """Pixels to be looked at: no segmentation, structure set, report or presentation state."""
        return bool(self.pixel_keyword) and self.sop_class not in (SEG, LABEL_MAP)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file's bytes, mapped: only what is looked at is read. UserError where that cannot be done."""
    try:
        with open(path, "rb", buffering=0, opener=_open) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise unusable(path, "not a regular file", "name a file")
            if info.st_size == 0:
                raise unusable(path, "an empty file", "copy it again, or leave it out")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield mapped
    except OSError as error:
        raise unusable(path, f"cannot be read ({error.strerror})", "check the file and its permissions") from None


def _open(path: str, flags: int) -> int:
    # A named pipe must not block its reader.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
