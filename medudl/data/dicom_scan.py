"""A walk over a DICOM file's elements that keeps the wanted ones and skips the rest by their length.

Bounded by construction, so that a hostile file costs milliseconds to a second: depth and number of elements are
limited, nothing is allocated by a length field, a length that runs past the end of the file is told as truncation, and
a deflated data set is inflated to a limit. PS3.5 sections 7 (elements), 7.5 (sequences), A (transfer syntaxes).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Wanted = Mapping[int, Any]  # tag -> None (keep the raw value) or, for a sequence, what to keep of its items
Buffer = Any  # bytes or mmap: sliced and unpacked from

IMPLICIT, DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
EXPLICIT = "1.2.840.10008.1.2.1"
PIXEL_TAGS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
UNDEFINED = 0xFFFFFFFF
MAX_DEPTH = 24
MAX_ELEMENTS = 500_000  # an enhanced object has some 150 elements a frame
MAX_INFLATED = 32 * 2**20
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SKIP: Wanted = {}


class ScanError(Exception):
    """What is wrong with the file, in plain words, without any value from it."""


@dataclass
class Scan:
    """What was found: raw values by tag (a list of such mappings for a sequence), and where the pixels lie."""

    values: dict[int, Any]
    transfer_syntax: str
    buffer: Buffer
    pixel_keyword: str = ""
    pixel_offset: int = 0
    pixel_length: int = 0  # UNDEFINED for encapsulated pixels
    cut: bool = False  # the buffer was inflated up to the limit only

    @property
    def endian(self) -> str:
        """Byte order of numbers, as `struct` writes it."""
        return ">" if self.transfer_syntax == BIG_ENDIAN else "<"


def scan(buffer: Buffer, wanted: Wanted, *, inflate_to: int = MAX_INFLATED) -> Scan:
    """Walk one file up to its pixels. Raises ScanError: not DICOM, truncated, broken, or beyond the limits."""
    start, syntax = _meta(buffer)
    found = Scan({}, syntax, buffer)
    if syntax == DEFLATED:
        found.buffer, found.cut = _inflate(buffer, start, inflate_to)
        start = 0
    walker = _Walker(found)
    walker.elements(start, len(found.buffer), wanted, found.values, explicit=syntax != IMPLICIT, depth=0)
    if found.cut and not found.pixel_keyword:
        raise walker.truncated()
    return found


def _inflate(buffer: Buffer, start: int, limit: int) -> tuple[bytes, bool]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(bytes(buffer[start:]), limit)
    except zlib.error:
        raise ScanError("its deflated data is broken") from None
    if not inflater.eof and len(data) < limit:
        raise ScanError("truncated: its deflated data ends early")
    return data, not inflater.eof


def _meta(buffer: Buffer) -> tuple[int, str]:
    """Where the data set starts, and its transfer syntax (PS3.10 section 7.1)."""
    if len(buffer) >= 132 and buffer[128:132] == b"DICM":
        position = 132
    elif len(buffer) >= 16 and buffer[0:2] in (b"\x08\x00", b"\x02\x00") and buffer[3] == 0:
        position = 0  # written before PS3.10, or stripped of its preamble
    else:
        raise ScanError("not a DICOM file")
    syntax = ""
    while buffer[position : position + 2] == b"\x02\x00" and position + 12 <= len(buffer):
        element, vr, length = struct.unpack_from("<H2sH", buffer, position + 2)
        head = 8
        if vr in _LONG:
            length, head = struct.unpack_from("<I", buffer, position + 8)[0], 12
        end = position + head + length
        if end > len(buffer):
            raise ScanError("truncated: it ends inside its file header")
        if element == 0x10:
            syntax = bytes(buffer[position + head : end]).decode("ascii", "replace").strip("\0 ")
        position = end
    return position, syntax or (EXPLICIT if _has_vr(buffer, position) else IMPLICIT)


def _has_vr(buffer: Buffer, position: int) -> bool:
    """Two capital letters after the tag: explicit VR."""
    vr = bytes(buffer[position + 4 : position + 6])
    return len(vr) == 2 and vr.isalpha() and vr.isupper()


class _Walker:
    def __init__(self, found: Scan) -> None:
        self.found, self.buffer, self.limit = found, found.buffer, len(found.buffer)
        self.count = 0
        self.tag = struct.Struct(found.endian + "HH2sH").unpack_from
        self.length = struct.Struct(found.endian + "I").unpack_from

    def truncated(self) -> ScanError:
        if self.found.cut:
            return ScanError(f"its deflated header exceeds {MAX_INFLATED // 2**20} MB: a decompression bomb")
        return ScanError("truncated: it ends in the middle of an element")

    def elements(
        self, position: int, end: int, wanted: Wanted, values: dict[int, Any], *, explicit: bool, depth: int
    ) -> tuple[int, bool]:
        """Walk up to `end`, an item's end mark or the pixels; returns the position reached and whether a mark was."""
        explicit = explicit and _has_vr(self.buffer, position)  # some writers put implicit items into explicit files
        while position < end:
            tag, vr, length, value = self._head(position, end, explicit)
            if tag == _ITEM_END:
                return value, True
            if depth == 0 and tag in PIXEL_TAGS:
                self.found.pixel_keyword, self.found.pixel_offset = PIXEL_TAGS[tag], value
                self.found.pixel_length = length
                return value, False
            keep = wanted.get(tag, _SKIP)
            if length == UNDEFINED or keep:
                inner = explicit and vr != b"UN"  # PS3.5 6.2.2: UN of undefined length holds implicit VR
                items, position = self._sequence(value, length, keep or _SKIP, explicit=inner, depth=depth + 1)
                if keep:
                    values[tag] = items
                continue
            position = value + length
            if position > end:
                raise self.truncated()
            if keep is None:
                values[tag] = bytes(self.buffer[value:position])
        return position, False

    def _head(self, position: int, end: int, explicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, VR, length, and where the value starts."""
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise ScanError(f"more than {MAX_ELEMENTS:,} elements: broken, or made to exhaust its reader")
        if position + 8 > end:
            raise self.truncated()
        group, element, vr, length = self.tag(self.buffer, position)
        tag = group << 16 | element
        if not explicit or group == 0xFFFE:
            return tag, b"", self.length(self.buffer, position + 4)[0], position + 8
        if vr in _LONG:
            if position + 12 > end:
                raise self.truncated()
            return tag, vr, self.length(self.buffer, position + 8)[0], position + 12
        return tag, vr, length, position + 8

    def _sequence(
        self, position: int, length: int, wanted: Wanted, *, explicit: bool, depth: int
    ) -> tuple[list[dict[int, Any]], int]:
        """Items of one sequence (or fragments of encapsulated data), and the position after it."""
        if depth > MAX_DEPTH:
            raise ScanError(f"sequences nested deeper than {MAX_DEPTH}: broken, or made to exhaust its reader")
        end = self.limit if length == UNDEFINED else position + length
        if end > self.limit:
            raise self.truncated()
        items: list[dict[int, Any]] = []
        while position < end:
            tag, _, size, value = self._head(position, end, explicit=False)
            if tag == _SEQUENCE_END:
                return items, value
            if tag != _ITEM:
                raise ScanError("broken: a sequence holds something that is no item")
            items.append({})
            position = value + size
            if size == UNDEFINED:
                position, marked = self.elements(value, end, wanted, items[-1], explicit=explicit, depth=depth)
                if not marked:
                    raise self.truncated()
            elif position > end:
                raise self.truncated()
            elif wanted:
                self.elements(value, position, wanted, items[-1], explicit=explicit, depth=depth)
        if length == UNDEFINED:
            raise self.truncated()
        return items, position


def fragments(found: Scan) -> int:
    """Number of fragments of encapsulated pixels, the offset table not counted. Raises ScanError if cut off."""
    walker = _Walker(found)
    items, _ = walker._sequence(found.pixel_offset, UNDEFINED, _SKIP, explicit=False, depth=0)
    return len(items) - 1
