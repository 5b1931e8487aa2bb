"""Which elements are read, and as what. Names, dates and accession numbers are not among them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

Decode = Callable[[bytes, str], Any]  # raw value, byte order ("<" or ">") -> value
Fields = Mapping[int, tuple[str, Decode]]  # tag -> field of DicomHeader, how to read it


def _text(raw: bytes, _: str) -> str:
    return raw.decode("latin-1").strip("\0 ")


def _texts(raw: bytes, _: str) -> tuple[str, ...]:
    return tuple(part.strip("\0 ") for part in raw.decode("latin-1").split("\\"))


def _decimals(raw: bytes, _: str) -> tuple[float, ...]:
    return tuple(_number(part) for part in raw.split(b"\\") if part.strip(b"\0 "))


def _decimal(raw: bytes, _: str) -> float | None:
    first = raw.split(b"\\")[0].strip(b"\0 ")
    return _number(first) if first else None


def _number(raw: bytes) -> float:
    try:
        return float(raw.strip(b"\0 ").replace(b",", b"."))
    except ValueError:
        return float("nan")


def _integer(raw: bytes, _: str) -> int | None:
    first = raw.split(b"\\")[0].strip(b"\0 ")
    try:
        return int(float(first)) if first else None
    except (ValueError, OverflowError):
        return None


def _short(raw: bytes, endian: str) -> int | None:
    return struct.unpack_from(endian + "H", raw)[0] if len(raw) >= 2 else None


def _long(raw: bytes, endian: str) -> int | None:
    return struct.unpack_from(endian + "I", raw)[0] if len(raw) >= 4 else None


def _double(raw: bytes, endian: str) -> float | None:
    return struct.unpack_from(endian + "d", raw)[0] if len(raw) >= 8 else None


def _raw(raw: bytes, _: str) -> bytes:
    return raw


# The header's fields. A text in another character set than Latin-1 is decoded again in dicom_header.
FIELDS: Fields = {
    0x00080008: ("image_type", _texts),
    0x00080016: ("sop_class", _text),
    0x00080018: ("sop_uid", _text),
    0x00080060: ("modality", _text),
    0x00080070: ("manufacturer", _text),
    0x0008103E: ("series_description", _text),
    0x00081090: ("model", _text),
    0x00089208: ("complex_component", _text),
    0x00089209: ("acquisition_contrast", _text),
    0x00100020: ("patient_id", _text),
    0x00100040: ("sex", _text),
    0x00101010: ("age", _text),
    0x00180010: ("contrast_agent", _text),
    0x00180015: ("body_part", _text),
    0x00180020: ("scanning_sequence", _texts),
    0x00180021: ("sequence_variant", _texts),
    0x00180023: ("acquisition_type", _text),
    0x00180024: ("sequence_name", _text),
    0x00180050: ("thickness", _decimal),
    0x00180080: ("repetition_time", _decimal),
    0x00180081: ("echo_time", _decimal),
    0x00180082: ("inversion_time", _decimal),
    0x00180086: ("echo_number", _integer),
    0x00180087: ("field_strength", _decimal),
    0x00181030: ("protocol_name", _text),
    0x00181060: ("trigger_time", _decimal),
    0x00181164: ("imager_spacing", _decimals),
    0x00181210: ("kernel", _text),
    0x00181314: ("flip_angle", _decimal),
    0x00182010: ("nominal_spacing", _decimals),
    0x00185101: ("view", _text),
    0x00189087: ("b_value", _double),
    0x0020000D: ("study_uid", _text),
    0x0020000E: ("series_uid", _text),
    0x00200011: ("series_number", _integer),
    0x00200012: ("acquisition_number", _integer),
    0x00200013: ("instance_number", _integer),
    0x00200032: ("position", _decimals),
    0x00200037: ("orientation", _decimals),
    0x00200052: ("frame_of_reference", _text),
    0x00200100: ("temporal_position", _integer),
    0x00280002: ("samples_per_pixel", _short),
    0x00280004: ("photometric", _text),
    0x00280006: ("planar", _short),
    0x00280008: ("frames", _integer),
    0x00280010: ("rows", _short),
    0x00280011: ("columns", _short),
    0x00280030: ("pixel_spacing", _decimals),
    0x00280100: ("bits_allocated", _short),
    0x00280101: ("bits_stored", _short),
    0x00280102: ("high_bit", _short),
    0x00280103: ("signed", _short),
    0x00280120: ("padding", _raw),
    0x00281052: ("intercept", _decimal),
    0x00281053: ("slope", _decimal),
    0x00281054: ("rescale_type", _text),
    0x00620001: ("segmentation_type", _text),
    0x0062000E: ("max_fraction", _short),
}
CHARSET = 0x00080005
TEXTS = (0x00080070, 0x0008103E, 0x00081090, 0x00100020, 0x00180010, 0x00181030)

# What a frame of an enhanced object may say, shared or its own: group sequence -> elements.
FRAME_FIELDS: Mapping[int, Fields] = {
    0x00189112: {0x00180080: ("repetition_time", _decimal)},
    0x00189114: {0x00189082: ("echo_time", _double)},
    0x00189115: {0x00189079: ("inversion_time", _double)},
    0x00189117: {0x00189087: ("b_value", _double)},
    0x00189226: {
        0x00089007: ("frame_type", _texts),
        0x00089208: ("complex_component", _text),
        0x00089209: ("acquisition_contrast", _text),
    },
    0x00189329: {0x00089007: ("frame_type", _texts)},
    0x00209111: {0x00209056: ("stack_id", _text), 0x00209128: ("time_point", _long)},
    0x00209113: {0x00200032: ("position", _decimals)},
    0x00209116: {0x00200037: ("orientation", _decimals)},
    0x00289110: {0x00280030: ("pixel_spacing", _decimals), 0x00180050: ("thickness", _decimal)},
    0x00289145: {
        0x00281052: ("intercept", _decimal),
        0x00281053: ("slope", _decimal),
        0x00281054: ("rescale_type", _text),
    },
    0x0062000A: {0x0062000B: ("segment", _short)},
}
SHARED, PER_FRAME = 0x52009229, 0x52009230
LOOKUP_TABLE = 0x00283000  # modality look-up table: values that no slope and intercept can give
REFERENCED_SERIES = 0x00081115  # of a segmentation
# RT structure set: frame of reference > study > series.
RT_FRAMES, RT_STUDIES, RT_SERIES = 0x30060010, 0x30060012, 0x30060014
SERIES_UID = 0x0020000E

_FRAME: Mapping[int, Any] = {group: dict.fromkeys(fields) for group, fields in FRAME_FIELDS.items()}
WANTED: Mapping[int, Any] = {
    CHARSET: None,
    **dict.fromkeys(FIELDS),
    SHARED: _FRAME,
    PER_FRAME: _FRAME,
    LOOKUP_TABLE: {0x00283002: None},
    REFERENCED_SERIES: {SERIES_UID: None},
    RT_FRAMES: {RT_STUDIES: {RT_SERIES: {SERIES_UID: None}}},
}
