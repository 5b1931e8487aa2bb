"""From DICOM headers to series: grouping, pseudonyms, contrast, and no free text of a header."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medudl.data.contrast import Facts, Rule, contrast_of, is_synthetic
from medudl.data.dicom_group import group_headers, stack_headers
from medudl.data.dicom_header import LABEL_MAP, RTSTRUCT, SEG, DicomHeader
from medudl.data.discover import Found
from medudl.data.fault import show
from medudl.data.geometry import orientation
from medudl.data.identity import Key
from medudl.data.index_draft import SYNTHETIC, Draft, count
from medudl.data.scanner import scanner_name

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_MODALITIES = {"CT", "MR", "PT", "NM", "US", "MG", "XA", "RF", "OP", "OPT", "SM", "ES", "XC"}
_FILMS = {"CR", "DX", "RG"}


@dataclass(frozen=True)
class Identity:
    """How names come about: the key of the pseudonyms and the user's contrast rules."""

    key: Key
    rules: Sequence[Rule] = ()


def is_mask(header: DicomHeader) -> bool:
    """A segmentation or a structure set."""
    return header.sop_class in (SEG, LABEL_MAP, RTSTRUCT)


def is_scan(header: DicomHeader) -> bool:
    """Pixels of a scan: no mask, no map that was computed from a scan, no report."""
    return header.is_image and not is_mask(header) and header.sop_class != PARAMETRIC_MAP


def dicom_drafts(scans: Sequence[tuple[Found, DicomHeader]], identity: Identity) -> list[Draft]:
    """One draft a volume; copies of a series in several folders are several drafts."""
    founds = {header.path: found for found, header in scans}
    groups = group_headers([header for _, header in scans])
    images: dict[str, list[tuple[set[str], str]]] = defaultdict(list)
    for group in groups:
        folder = str(Path(founds[group[0].path].below).parent)
        images[_uid(group[0])].append(({header.sop_uid for header in group}, folder))
    ordinals: Counter[str] = Counter()
    drafts = []
    for group in groups:
        uid = _uid(group[0])
        draft = _draft(group, founds, identity)
        draft.values["series"] = identity.key.pseudonym(f"{uid} {ordinals[uid]}" if ordinals[uid] else uid, "series")
        ordinals[uid] += 1
        fault = _incomplete({header.sop_uid for header in group}, images[uid])
        draft.faults += [fault] if fault else []
        drafts.append(draft)
    return drafts


def dicom_values(header: DicomHeader, identity: Identity) -> tuple[dict[str, str], str]:
    """What a header gives to a row, and the rule that named the contrast."""
    key = identity.key
    contrast, rule = contrast_of(_facts(header), identity.rules)
    subject = header.patient_id.strip(" \0")
    values = {
        # Without a PatientID the study stands for the patient, so that strangers are not taken for one.
        "subject": key.pseudonym(subject or f"study {header.study_uid or header.path}"),
        "study": key.pseudonym(header.study_uid, "study") if header.study_uid else "",
        "modality": _modality(header.modality),
        "contrast": contrast,
        "scanner": scanner_name(header.manufacturer, header.model, header.field_strength),
        "age": age_in_years(header.age),
        "sex": header.sex if header.sex in ("F", "M", "O") else "",
    }
    return values, rule


def age_in_years(text: str) -> str:
    """Whole years of a DICOM age ("045Y", "018M"), 90 for all above 89, since great age identifies; "" if unknown."""
    if not re.fullmatch(r"\d{3}[DWMY]", text):
        return ""
    years = int(text[:3]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[text[3]]
    return str(min(int(years), 90))


def tell_skipped(headers: Iterable[DicomHeader]) -> list[str]:
    """How many objects are neither images nor masks, as a note for the summary."""
    kinds = Counter("computed maps" if h.sop_class == PARAMETRIC_MAP else "reports and the like" for h in headers)
    return [f"{count(number, 'DICOM file')} (no scans but {kind}): left out" for kind, number in kinds.items()]


def _uid(header: DicomHeader) -> str:
    # Without a UID, a folder is the best guess at a series.
    return header.series_uid or f"folder {header.path.parent}"


def _draft(group: Sequence[DicomHeader], founds: Mapping[Path, Found], identity: Identity) -> Draft:
    first = group[0]
    values, rule = dicom_values(first, identity)
    draft = Draft([header.path for header in group], founds[first.path].below, "dicom", values=values, rule=rule)
    draft.series_uid, draft.frame_of_reference = first.series_uid, first.frame_of_reference
    if not first.patient_id.strip(" \0"):
        draft.notes.append("has no PatientID, its study stands for the patient")
    stack = stack_headers(group)
    draft.shape = (first.columns, first.rows, len(stack.order))
    draft.spacing, draft.orientation = stack.spacing, orientation(stack.affine)
    draft.faults += stack.faults
    if is_synthetic(first.image_type):
        draft.faults.append(SYNTHETIC)
    return draft


def _incomplete(own: set[str], copies: Sequence[tuple[set[str], str]]) -> str:
    """In words, if another folder holds all of these images and more."""
    for images, folder in copies:
        if own < images:
            return f"an incomplete copy: {len(own)} of the {len(images)} images in {show(folder)}"
    return ""


def _facts(header: DicomHeader) -> Facts:
    return Facts(
        description=header.series_description, protocol=header.protocol_name, modality=header.modality,
        echo_time=header.echo_time, repetition_time=header.repetition_time, inversion_time=header.inversion_time,
        acquisition=header.acquisition_contrast, image_type=header.image_type,
        sequence=" ".join(header.scanning_sequence),
        agent=header.contrast_agent.strip().upper() not in ("", "NO", "NONE", "N"),
    )  # fmt: skip


def _modality(text: str) -> str:
    if text in _FILMS:
        return "XR"
    return text if text in _MODALITIES else ""
