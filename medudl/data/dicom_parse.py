"""From raw elements to a DicomHeader, with the checks that come before any pixel is read."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medudl.data.dicom_header import DicomHeader, Frame, opened
from medudl.data.dicom_scan import UNDEFINED, Scan, ScanError, fragments, scan
from medudl.data.dicom_tags import (
    CHARSET,
    FIELDS,
    FRAME_FIELDS,
    LOOKUP_TABLE,
    PER_FRAME,
    REFERENCED_SERIES,
    RT_FRAMES,
    RT_SERIES,
    RT_STUDIES,
    SERIES_UID,
    SHARED,
    TEXTS,
    WANTED,
    Fields,
)
from medudl.data.fault import unusable

MAX_FRAMES = 65_536
MAX_SAMPLES = 2**30  # voxels of one file: 4 GB as float32
_PER_FILE = {
    "position", "orientation", "pixel_spacing", "imager_spacing", "nominal_spacing", "slope", "intercept",
}  # fmt: skip
_FROM_FRAME = ("repetition_time", "echo_time", "inversion_time", "b_value", "complex_component")
# Classes that always have pixels: film, CT, MR, ultrasound, secondary capture, angiography, nuclear, PET, segmentation.
_IMAGES = {
    f"1.2.840.10008.5.1.4.1.1.{number}"
    for number in (
        "1", "1.1", "1.1.1", "1.2", "1.2.1", "2", "2.1", "2.2", "3.1", "4", "4.1", "4.4", "6.1", "7", "12.1", "12.2",
        "20", "66.4", "66.7", "128", "128.1", "130",
    )
}  # fmt: skip
# Words of an image type that tell magnitude from phase, water from fat.
_COMPONENTS = {
    "M", "MAGNITUDE", "P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY",
    "W", "WATER", "F", "FAT", "IP", "IN_PHASE", "OP", "OUT_PHASE", "OPP_PHASE",
}  # fmt: skip
_Values = dict[str, Any]


def read_header(path: str | Path) -> DicomHeader:
    """Read one header without touching the pixels, but for their declared and their real size.

    Raises UserError: not DICOM, truncated, broken, or made to exhaust its reader.
    """
    path = Path(path)
    with opened(path) as buffer:
        try:
            found = scan(buffer, WANTED)
            if not found.values:
                raise ScanError("truncated, or no DICOM object: it holds nothing")
            header = _header(path, found)
            if header.pixel_keyword or header.rows or header.sop_class in _IMAGES:
                _check_pixels(header, found)
        except ScanError as error:
            raise unusable(path, str(error), "copy it again, or leave it out") from None
    return header


def _header(path: Path, found: Scan) -> DicomHeader:
    values = _decoded(found.values, FIELDS, found.endian)
    _redecode(values, found.values)
    frames = values.pop("frames", 1)
    if not 1 <= frames <= MAX_FRAMES:
        raise ScanError(f"broken: it claims {frames} frames")
    own = {name: values.pop(name) for name in _PER_FILE if name in values}
    groups = _groups(found, frames)
    listed = tuple(_frame({**own, **values, **group}) for group in groups)
    for name in (*_FROM_FRAME, "acquisition_contrast", "rescale_type", "thickness"):
        if name in groups[0]:
            values.setdefault(name, groups[0][name])
    values.setdefault("bits_stored", values.get("bits_allocated", 0))
    values.setdefault("high_bit", values["bits_stored"] - 1)
    values["signed"] = bool(values.get("signed", 0))
    values["padding"] = _padding(values.pop("padding", b""), values["signed"], found.endian)
    return DicomHeader(
        path=path,
        transfer_syntax=found.transfer_syntax,
        frames=frames,
        # A thousand frames without a functional group are one object a thousand times.
        frame_list=listed * frames if len(listed) == 1 else listed,
        lookup_table=bool(found.values.get(LOOKUP_TABLE)),
        referenced_series=_referenced(found.values),
        pixel_keyword=found.pixel_keyword,
        pixel_offset=found.pixel_offset,
        pixel_length=None if found.pixel_length == UNDEFINED else found.pixel_length,
        **values,
    )


def _decoded(raw: Mapping[int, Any], fields: Fields, endian: str) -> _Values:
    decoded = {fields[tag][0]: fields[tag][1](value, endian) for tag, value in raw.items() if tag in fields}
    return {name: value for name, value in decoded.items() if value is not None}


def _redecode(values: _Values, raw: Mapping[int, Any]) -> None:
    """Texts in the file's own character set, where it names one and they need one."""
    stated = raw.get(CHARSET, b"").decode("ascii", "replace").strip("\0 ").split("\\")
    foreign = [tag for tag in TEXTS if not raw.get(tag, b"").isascii()]
    if not any(stated) or not foreign:
        return
    from pydicom.charset import convert_encodings, decode_bytes

    encodings = convert_encodings([part.strip() for part in stated])
    for tag in foreign:
        values[FIELDS[tag][0]] = decode_bytes(raw[tag], encodings, {"\\"}).strip("\0 ")


def _groups(found: Scan, frames: int) -> list[_Values]:
    """What the functional groups say of each frame; one empty mapping where there are none."""
    shared: _Values = {}
    for item in found.values.get(SHARED, [])[:1]:
        shared = _group(item, found.endian)
    per_frame = found.values.get(PER_FRAME, [])
    if not per_frame:
        return [shared]
    if len(per_frame) < frames:
        raise ScanError(f"broken: it claims {frames} frames and describes {len(per_frame)}")
    return [{**shared, **_group(item, found.endian)} for item in per_frame[:frames]]


def _group(item: Mapping[int, Any], endian: str) -> _Values:
    values: _Values = {}
    for sequence, fields in FRAME_FIELDS.items():
        for content in item.get(sequence, [])[:1]:
            values.update(_decoded(content, fields, endian))
    return values


def _frame(values: _Values) -> Frame:
    image_type = tuple(values.get("frame_type") or values.get("image_type", ()))[2:]
    return Frame(
        position=_exactly(3, values.get("position", ())),
        orientation=_exactly(6, values.get("orientation", ())),
        pixel_spacing=_spacing(values),
        slope=values.get("slope", 1.0),
        intercept=values.get("intercept", 0.0),
        kind=(
            image_type,
            values.get("complex_component") or " ".join(word for word in image_type if word in _COMPONENTS),
            _rounded(values.get("echo_time")),
            _rounded(values.get("inversion_time")),
            _rounded(values.get("b_value")),
            values.get("stack_id", ""),
            values.get("time_point"),
        ),
        segment=values.get("segment", 0),
    )


def _exactly(count: int, values: tuple[float, ...]) -> tuple[float, ...]:
    return values if len(values) == count else ()


def _spacing(values: _Values) -> tuple[float, float] | None:
    # Projection films give the size at the detector, scanned films a nominal one.
    for name in ("pixel_spacing", "imager_spacing", "nominal_spacing"):
        if len(values.get(name, ())) == 2:
            return values[name][0], values[name][1]
    return None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _padding(raw: bytes, signed: bool, endian: str) -> int | None:
    if len(raw) < 2:
        return None
    return int(struct.unpack_from(endian + ("h" if signed else "H"), raw)[0])


def _referenced(values: Mapping[int, Any]) -> tuple[str, ...]:
    """Series that a segmentation or a structure set was drawn on."""
    series = list(values.get(REFERENCED_SERIES, []))
    for frame in values.get(RT_FRAMES, []):
        for study in frame.get(RT_STUDIES, []):
            series += study.get(RT_SERIES, [])
    uids = [item.get(SERIES_UID, b"").decode("ascii", "replace").strip("\0 ") for item in series]
    return tuple(dict.fromkeys(uid for uid in uids if uid))


def _check_pixels(header: DicomHeader, found: Scan) -> None:
    """Declared against real size, before anything is allocated."""
    if not header.pixel_keyword:
        raise ScanError("truncated, or no image: it has no pixel data")
    samples = header.rows * header.columns * header.frames * header.samples_per_pixel
    if samples == 0 or header.bits_allocated not in (1, 8, 16, 32, 64):
        raise ScanError("broken: rows, columns or bits of its pixels make no sense")
    if samples > MAX_SAMPLES:
        raise ScanError(f"claims {samples:,} pixel values, more than can be read ({MAX_SAMPLES:,})")
    if header.pixel_length is None:
        count = fragments(found)
        if count < header.frames:
            raise ScanError(f"truncated: it holds {count} of {header.frames} compressed frames")
        return
    needed = (samples * header.bits_allocated + 7) // 8
    if header.photometric == "YBR_FULL_422":
        needed = needed * 2 // 3
    present = header.pixel_length
    if not found.cut:
        present = min(present, len(found.buffer) - header.pixel_offset)
    if present < needed:
        raise ScanError(f"truncated: {present:,} of {needed:,} bytes of its pixels are there")
