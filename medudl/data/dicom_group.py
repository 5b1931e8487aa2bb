"""Which files make one volume, and whether they can."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from medudl.data.dicom_header import KINDS, LABEL_MAP, SEG, DicomHeader, Frame
from medudl.data.geometry import Stack, stack

# One picture each, however many a series holds: films and photographs have no place in a stack.
_PICTURES = {"CR", "DX", "MG", "XA", "RF", "IO", "PX", "SC", "OT", "US", "XC", "ES", "SM", "OP", "GM"}
# What tells volumes of one series apart; looked at only where positions repeat, because scanners also vary some of
# these within a volume (GE marks its thicker slices as "ADD").
_REPETITIONS: tuple[Callable[[DicomHeader], Hashable], ...] = (
    lambda header: header.frame_list[0].kind,
    lambda header: header.temporal_position,
    lambda header: header.echo_number,
    lambda header: header.acquisition_number,
    lambda header: header.trigger_time,
)


def group_headers(headers: Iterable[DicomHeader]) -> list[list[DicomHeader]]:
    """One list a volume, its files in slice order.

    Files go together by series. Apart go: another size, localizers, pictures without a position, multi-frame files,
    copies of the same images in another folder; and, where positions repeat, what differs in echo, b-value or image
    type (magnitude and phase), time point or acquisition. Nothing is dropped: what stands against a group is for
    `stack_headers` to say.
    """
    groups: list[list[DicomHeader]] = []
    for series in _split(headers, lambda header: (header.study_uid, header.series_uid)):
        for copy in _copies(series):
            for group in _split(copy, _cannot_stack):
                groups += _repetitions(group)
    return [_ordered(group) for group in groups]


def stack_headers(headers: Sequence[DicomHeader]) -> Stack:
    """The stack of all frames of these files; `order` counts frames, file after file."""
    frames = [frame for header in headers for frame in header.frame_list]
    refusal = _refusal(headers, frames)
    if refusal:
        return Stack(tuple(range(len(frames))), np.eye(4), (1.0, 1.0, 1.0), (refusal,))
    found = stack(
        [frame.position or (0.0, 0.0, 0.0) for frame in frames],
        [frame.orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0) for frame in frames],
        [frame.pixel_spacing or (1.0, 1.0) for frame in frames],
        thickness=headers[0].thickness,
    )
    mixed = _mixed(headers, frames)
    return replace(found, faults=(*found.faults, mixed), repairable=False) if mixed else found


def _split(headers: Iterable[DicomHeader], key: Callable[[DicomHeader], Hashable]) -> list[list[DicomHeader]]:
    groups: dict[Hashable, list[DicomHeader]] = {}
    for header in headers:
        groups.setdefault(key(header), []).append(header)
    return list(groups.values())


def _copies(series: list[DicomHeader]) -> list[list[DicomHeader]]:
    """A series that lies in several folders, image for image, is as many copies of it."""
    folders: dict[str, set[object]] = {}
    for header in series:
        folders.setdefault(header.sop_uid, set()).add(header.path.parent)
    if all(len(places) == 1 for places in folders.values()):
        return [series]
    return _split(series, lambda header: header.path.parent)


def _cannot_stack(header: DicomHeader) -> Hashable:
    alone = header.frames > 1 or not header.is_image or (not header.position and header.modality in _PICTURES)
    return (
        header.rows,
        header.columns,
        header.samples_per_pixel,
        "LOCALIZER" in header.image_type,
        header.path if alone else None,
    )


def _repetitions(group: list[DicomHeader], keys: int = 0) -> list[list[DicomHeader]]:
    """Split repeated positions by kind, time point or acquisition, if that leaves stacks of several slices."""
    if not _repeats(group):
        return [group]
    for number in range(keys, len(_REPETITIONS)):
        parts = _split(group, _REPETITIONS[number])
        if len(parts) > 1 and all(_depths(part) > 1 for part in parts):
            return [stack for part in parts for stack in _repetitions(part, number + 1)]
    return [group]


def _depths(group: list[DicomHeader]) -> int:
    return len({header.position for header in group})


def _repeats(group: list[DicomHeader]) -> bool:
    places = {tuple(round(x, 3) for x in (*header.position, *header.orientation)) for header in group}
    return len(places) < len(group)


def _ordered(group: list[DicomHeader]) -> list[DicomHeader]:
    if len(group) == 1 or any(header.frames > 1 for header in group):
        return group
    return [group[i] for i in stack_headers(group).order]


def _refusal(headers: Sequence[DicomHeader], frames: Sequence[Frame]) -> str:
    """Why these files make no volume, before geometry is asked; empty if nothing speaks against them."""
    checks = (_not_grey, _not_alike, _no_places)
    return next((fault for check in checks if (fault := check(headers, frames))), "")


def _not_grey(headers: Sequence[DicomHeader], _: Sequence[Frame]) -> str:
    for header in headers:
        if not header.pixel_keyword:
            return "not an image: it holds no pixels"
        if header.sop_class in (SEG, LABEL_MAP):
            return "a segmentation, not a scan"
        if header.samples_per_pixel > 1 or header.photometric == "PALETTE COLOR":
            return "a colour image: its pixels have no single grey value"
        if header.lookup_table:
            return "its grey values go through a look-up table, which is not supported"
        if "MOSAIC" in header.image_type:
            return "a mosaic: many slices are tiled in one image; convert it with dcm2niix first"
    return ""


def _not_alike(headers: Sequence[DicomHeader], _: Sequence[Frame]) -> str:
    if not headers:
        return "not a volume: no files"
    if len({header.series_uid for header in headers}) > 1:
        return f"files of {len({header.series_uid for header in headers})} series"
    for one, other in pairwise(headers):
        if (one.rows, one.columns) != (other.rows, other.columns):
            return f"slices have different sizes ({one.columns}x{one.rows} and {other.columns}x{other.rows})"
    return ""


def _mixed(headers: Sequence[DicomHeader], frames: Sequence[Frame]) -> str:
    """Frames of several volumes; a differing image type alone is none."""
    kinds = {frame.kind[1:] for frame in frames}
    if len(kinds) < 2:
        return ""
    names = [name for name, values in zip(KINDS[1:], zip(*kinds, strict=True), strict=True) if len(set(values)) > 1]
    place = "one file holds" if len(headers) == 1 else "the files hold"
    return f"{place} {len(kinds)} volumes (they differ in {', '.join(names)})"


def _no_places(headers: Sequence[DicomHeader], frames: Sequence[Frame]) -> str:
    if len(frames) == 1:
        return ""
    if any(not frame.position or not frame.orientation for frame in frames):
        what = "frames" if len(headers) == 1 else "images"
        return f"not a volume: {len(frames)} {what} without a position or orientation"
    if any(frame.pixel_spacing is None for frame in frames):
        return "not a volume: the size of a pixel is not stated"
    return ""
