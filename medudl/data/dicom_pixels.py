"""Pixels of one DICOM file, decoded and rescaled."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.data.dicom_header import DicomHeader, opened
from medudl.data.dicom_scan import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, Scan, ScanError, scan
from medudl.data.fault import unusable

_FLOATS = {"FloatPixelData": "f4", "DoubleFloatPixelData": "f8"}
_NATIVE = {IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN}


def read_frames(header: DicomHeader) -> NDArray[np.float32]:
    """All frames of one grey file: (frames, rows, columns) float32, after slope and intercept.

    value = slope * stored + intercept, frame by frame. MONOCHROME1 (0 is white) is mirrored within its stored range,
    so that bright is bright. Raises UserError: compressed in a way that cannot be decoded, or broken pixels.
    """
    with opened(header.path) as buffer:
        stored = _stored(header, buffer)
    result = np.empty(stored.shape, dtype=np.float32)
    for frame, values, target in zip(header.frame_list, stored, result, strict=True):
        target[...] = values if _plain(frame.slope, frame.intercept) else values * frame.slope + frame.intercept
        if header.photometric == "MONOCHROME1":
            low, high = (frame.slope * end + frame.intercept for end in stored_range(header, values))
            target[...] = np.float32(low + high) - target
    return result


def stored_range(header: DicomHeader, values: NDArray[Any]) -> tuple[float, float]:
    """Lowest and highest value the stored bits can hold; of floats, the lowest and highest present."""
    if header.pixel_keyword in _FLOATS:
        return float(values.min()), float(values.max())
    span = 2**header.bits_stored
    return (-span / 2, span / 2 - 1) if header.signed else (0, span - 1)


def _plain(slope: float, intercept: float) -> bool:
    return slope == 1.0 and intercept == 0.0


def _stored(header: DicomHeader, buffer: Any) -> NDArray[Any]:
    """(frames, rows, columns) as stored, overlay bits removed."""
    if header.transfer_syntax == DEFLATED:
        buffer = _inflated(header, buffer)
    if header.transfer_syntax in _NATIVE:
        return _native(header, buffer)
    return _decompressed(header, buffer)


def _inflated(header: DicomHeader, buffer: Any) -> bytes:
    needed = header.pixel_offset + (header.pixel_length or 0)
    found: Scan
    try:
        found = scan(buffer, {}, inflate_to=needed)
    except (ScanError, zlib.error):
        raise unusable(header.path, "its deflated data is broken") from None
    return bytes(found.buffer)


def _native(header: DicomHeader, buffer: Any) -> NDArray[Any]:
    shape = (header.frames, header.rows, header.columns)
    count = int(np.prod(shape))
    order = ">" if header.transfer_syntax == BIG_ENDIAN else "<"
    if header.pixel_keyword in _FLOATS:
        kind = np.dtype(order + _FLOATS[header.pixel_keyword])
        return np.frombuffer(buffer, kind, count, header.pixel_offset).reshape(shape).astype(kind.newbyteorder("="))
    if header.bits_allocated == 1:
        raw = np.frombuffer(buffer, np.uint8, (count + 7) // 8, header.pixel_offset)
        return np.unpackbits(raw, bitorder="little")[:count].reshape(shape)
    kind = np.dtype(f"{order}{'i' if header.signed else 'u'}{header.bits_allocated // 8}")
    values = np.frombuffer(buffer, kind, count, header.pixel_offset).reshape(shape).astype(kind.newbyteorder("="))
    # Shifted up and down again: bits above the stored ones (overlays) go, and the sign is spread.
    above = header.bits_allocated - 1 - header.high_bit
    below = header.bits_allocated - header.bits_stored
    if above < 0 or below < above:
        raise unusable(header.path, "the number of stored bits makes no sense")
    return (values << above) >> below if below else values


def _decompressed(header: DicomHeader, buffer: Any) -> NDArray[Any]:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    syntax = UID(header.transfer_syntax)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise unusable(header.path, f"compressed as {syntax.name}, which cannot be decoded") from None
    try:
        array, _ = decoder.as_array(
            bytes(buffer[header.pixel_offset :]),
            raw=True,
            rows=header.rows,
            columns=header.columns,
            number_of_frames=header.frames,
            samples_per_pixel=1,
            photometric_interpretation=header.photometric or "MONOCHROME2",
            bits_allocated=header.bits_allocated,
            bits_stored=header.bits_stored,
            pixel_representation=int(header.signed),
            pixel_keyword=header.pixel_keyword,
        )
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a decoder written in Rust panics with one that is no Exception
        reason = f"its {syntax.name} pixels cannot be decoded ({type(error).__name__})"
        raise unusable(header.path, reason, "copy it again, or export it uncompressed") from None
    return np.asarray(array).reshape(header.frames, header.rows, header.columns)
