"""Which lesion mask belongs to which series: by pattern, by BIDS name, by the series a DICOM object refers to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medudl.data.dicom_header import DicomHeader
from medudl.data.discover import Found
from medudl.data.fault import show
from medudl.data.identity import Key, safe_name
from medudl.data.index_draft import Draft, Values, count, told
from medudl.data.index_words import is_mask
from medudl.data.index_worker import FLAT
from medudl.data.patterns import Pattern, bids_mask, bids_values, first_match

_JOINED_BY = ("subject", "study", "series", "contrast")


@dataclass
class MaskFile:
    """A mask and the names in its path, to be compared with those of the series. fault, note: what was found in it."""

    found: Found
    values: Values
    path: Path
    fault: str = ""
    note: str = ""


def part_masks(
    found: Sequence[Found], patterns: Sequence[Pattern], scan_patterns: Sequence[Pattern] = ()
) -> tuple[list[Found], list[MaskFile], list[str]]:
    """Scans, masks, and notes about masks that nobody asked for.

    A file that fits a mask pattern is a mask; so is a BIDS file with a lesion's label ("sub-1_label-lesion_mask").
    Other masks by their names ("sub-1_mask", "seg.nii.gz", labelsTr/) may be of the brain or of tissues: they are
    neither scans nor lesions, and are left out, unless a scan pattern asks for them. Several DICOM files of one folder
    are the slices of one mask, which is the folder.
    """
    scans: list[Found] = []
    masks: list[MaskFile] = []
    others: list[Path] = []
    slices: dict[Path, list[MaskFile]] = defaultdict(list)
    for file in found:
        kind = bids_mask(file.stem) if file.format != "dicom" else ""
        values = first_match(patterns, file.below)
        if values is None and kind == "lesion":
            values = {k: v for k, v in (bids_values(file.stem) or {}).items() if k in ("subject", "study")}
        if values is not None:
            mask = MaskFile(file, values, file.path)
            (slices[file.path.parent] if file.format == "dicom" else masks).append(mask)
        elif kind == "other" or (_by_name(file) and first_match(scan_patterns, file.below) is None):
            others.append(file.path)
        else:
            scans.append(file)
    for folder, files in slices.items():
        masks.append(replace(files[0], path=folder) if len(files) > 1 else files[0])
    notes = [f"{count(len(others), 'mask')} that no --masks pattern names: left out: {told(others)}"] if others else []
    return scans, masks, notes


def _by_name(file: Found) -> bool:
    """Whether names say that it is a mask; DICOM and npz say themselves what they hold, and BIDS has its own names."""
    return file.format not in ("dicom", "npz") and bids_values(file.stem) is None and is_mask(file.below, file.stem)


def judge_masks(masks: Sequence[MaskFile], drafts: Mapping[Path, Draft]) -> None:
    """Note what the two passes found in the masks: unreadable ones, and empty ones."""
    for mask in masks:
        faults = drafts[mask.found.path].faults
        if FLAT in faults:
            mask.note = "its mask is empty"
        elif faults:
            mask.fault = faults[0]


def link_masks(drafts: Sequence[Draft], masks: Sequence[MaskFile], key: Key) -> list[str]:
    """Give each series the mask with its own names; returns sentences about masks without any series.

    A mask that cannot be read is a fault of its series: without it a patient would count as healthy.
    """
    ids: dict[tuple[str, ...], dict[tuple[str, ...], list[Draft]]] = {}
    lost = []
    for mask in masks:
        names = tuple(name for name in _JOINED_BY if name in mask.values)
        if names not in ids:
            ids[names] = defaultdict(list)
            for draft in drafts:
                ids[names][tuple(draft.values.get(name, "") for name in names)].append(draft)
        rows = [draft for form in _forms(mask.values, names, key) for draft in ids[names].get(form, ())]
        for draft in rows if names else ():
            _give(draft, mask.path)
            draft.faults += [f"its mask cannot be used: {mask.fault}"] if mask.fault else []
            draft.notes += [mask.note] if mask.note else []
        if not rows or not names:
            lost.append(mask.path)
    return [f"{count(len(lost), 'mask fits', 'masks fit')} no series: {told(lost)}"] if lost else []


def link_dicom_masks(drafts: Sequence[Draft], headers: Sequence[DicomHeader]) -> list[str]:
    """Give each series the segmentation or structure set that refers to it; returns sentences about the others.

    An object that names no series belongs to those of its frame of reference.
    """
    lost = []
    for header in headers:
        rows = [draft for draft in drafts if draft.series_uid and draft.series_uid in header.referenced_series]
        if not rows and not header.referenced_series and header.frame_of_reference:
            rows = [draft for draft in drafts if draft.frame_of_reference == header.frame_of_reference]
        for draft in rows:
            _give(draft, header.path)
        lost += [] if rows else [header.path]
    refer = count(len(lost), "DICOM mask refers", "DICOM masks refer")
    return [f"{refer} to no series found here: {told(lost)}"] if lost else []


def _give(draft: Draft, mask: Path) -> None:
    if draft.mask is None:
        draft.mask = mask
    elif draft.mask != mask:
        draft.notes.append(f"another mask fits too and is not used: {show(mask.name)}")


def _forms(values: Values, names: Sequence[str], key: Key) -> set[tuple[str, ...]]:
    """The ways in which a mask's names may stand in a cohort: as they are, safe, or as pseudonyms (DICOM)."""
    plain = tuple(values[name] for name in names)
    secret = tuple(
        key.pseudonym(values[name], name) if name in ("subject", "study", "series") else values[name] for name in names
    )
    return {plain, tuple(map(safe_name, plain)), secret}
