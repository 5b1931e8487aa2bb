"""Labels out as DICOM, one Structured Report a study and reader, drawn masks as Segmentations; and reports back in."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medudl.data.cohort import Cohort, Series
from medudl.data.identity import safe_name
from medudl.errors import UserError
from medudl.labels.events import Event, Label
from medudl.labels.standing import standing
from medudl.labels.store import LabelStore

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["export_reports", "import_reports", "reportable"]

Rows = Mapping[str, Sequence[Series]]  # case -> its rows of the cohort


@dataclass(frozen=True)
class Written:
    """What there is to write of a store. labels, masks: on cases that came as DICOM; others: labels on other cases."""

    rows: Rows
    labels: list[Label]
    masks: list[Event]
    others: int


def reportable(store: LabelStore, cohort: Cohort) -> Written:
    """First reads and masks of cases that came as DICOM. Raises UserError where there is none."""
    rows = {id: [one for one in series if one.format == "dicom"] for id, series in store.series_of(cohort).items()}
    first = [label for label in store.labels() if label.occasion == 0]
    kept = [label for label in first if rows[label.case]]
    masks = [one for one in standing(store.events()) if one.kind == "mask" and rows[one.case]]
    if not kept and not masks:
        raise UserError(f"{store.path}: no labelled case came as DICOM; leave --dicom out")
    return Written(rows, kept, masks, len(first) - len(kept))


def export_reports(store: LabelStore, cohort: Cohort, found: Written, out: Path) -> list[str]:
    """Write what `reportable` found, and return sentences on it.

    Every object carries the patient and the study of its source, as it must. Raises UserError: OUT not writable, a scan
    that cannot be read.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        reports = _write_reports(found.labels, found.rows, cohort, out)
        drawn, notes = _write_masks(found.masks, found.rows, store, cohort, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); give another folder") from None
    told = [f"{out}: {reports} Structured Reports with {len(found.labels)} labels, {drawn} Segmentations"]
    told += [f"{found.others} labels have no report: their scans are no DICOM"] if found.others else []
    return [*told, *notes]


def import_reports(store: LabelStore, cohort: Cohort, folder: Path, reader: str | None) -> tuple[int, list[str]]:
    """Take the labels of the reports below a folder as first reads of the readers that they name.

    reader: only that one's. A report that was taken before adds nothing, and a case that its reader has labelled keeps
    its label. Returns how many were taken, and a sentence on each that was not. Raises UserError: no report of labels.
    """
    from medudl.data.label_report import class_code, read_report

    classes = {class_code(name): name for name in store.classes}
    cases = {case.id for case in store.cases()}
    has = {(label.reader.casefold(), label.case) for label in store.labels() if label.occasion == 0}
    taken, found, notes = 0, 0, []
    for path in sorted(path for path in folder.rglob("*.dcm") if path.is_file()):
        try:
            report = read_report(path)
        except UserError as error:
            notes.append(str(error))
            continue
        if report is None or (reader is not None and report.reader.casefold() != reader.casefold()):
            continue
        found += 1
        for case, (code, meaning) in report.values.items():
            why = _refused(case in cases, code in classes, (report.reader.casefold(), case) in has, meaning)
            if why:
                notes.append(f"{path.name}: case {case} {why}")
                continue
            # Of the report and the case, so that a report taken twice is one event.
            id = hashlib.sha256(f"{report.uid}/{case}".encode()).hexdigest()[:32]
            store.save(id=id, reader=report.reader, kind="label", case=case, value=classes[code], why="import",
                       view={"report": report.uid})  # fmt: skip
            taken += 1
    if not found:
        raise UserError(f"{folder}: holds no Structured Report of labels; give what `export --dicom` wrote, or a CSV")
    return taken, notes


def _refused(case: bool, label: bool, has: bool, meaning: str) -> str:
    if not case:
        return "is no case of this store"
    if not label:
        return f"has the label {meaning}, no class of this store"
    return "has a label of this reader already" if has else ""


def _write_reports(labels: Sequence[Label], rows: Rows, cohort: Cohort, out: Path) -> int:
    from medudl.data.derived_dicom import write_dicom
    from medudl.data.label_report import Read, label_report

    studies: dict[tuple[str, str, str, str], list[Label]] = defaultdict(list)
    heads: dict[str, list[Dataset]] = {}
    for label in labels:
        heads[label.case] = heads.get(label.case) or list(_headers(rows[label.case], cohort))
        one = rows[label.case][0]
        studies[one.subject, one.study, str(heads[label.case][0].StudyInstanceUID), label.reader].append(label)
    for (subject, study, _, reader), found in studies.items():
        reads = [Read(one.case, one.value, one.time, heads[one.case]) for one in found]
        write_dicom(out / f"{_stem(subject, study)}_label-{safe_name(reader)}.dcm", label_report(reader, reads))
    return len(studies)


def _write_masks(
    masks: Sequence[Event], rows: Rows, store: LabelStore, cohort: Cohort, out: Path
) -> tuple[int, list[str]]:
    """The last mask of each reader and case; how many, and sentences on those that could not be written."""
    from medudl.data.derived_dicom import write_dicom

    written, notes = 0, []
    names: Counter[str] = Counter()
    for event in {(one.reader, one.case): one for one in masks}.values():
        try:
            series = _painted_on(event, rows[event.case])
            made = _segmentation(event, series, store, cohort)
        except UserError as error:
            notes.append(f"mask of case {event.case} left out: {error}")
            continue
        stem = f"{_stem(series.subject, series.study)}_mask-{safe_name(event.reader)}"
        names[stem] += 1
        write_dicom(out / (f"{stem}.dcm" if names[stem] == 1 else f"{stem}-{names[stem]}.dcm"), made)
        written += 1
    return written, notes


def _painted_on(event: Event, rows: Sequence[Series]) -> Series:
    """The series that the event names; the first where it names none. Raises UserError: it did not come as DICOM."""
    named = str(event.view.get("series", ""))
    found = next((one for one in rows if not named or one.series == named), None)
    if found is None:
        raise UserError("is painted on a series that did not come as DICOM")
    return found


def _segmentation(event: Event, series: Series, store: LabelStore, cohort: Cohort) -> Dataset:
    from medudl.data.derived_dicom import Product, references, segmentation
    from medudl.data.label_report import NOTICE
    from medudl.data.nifti import read_nifti

    drawn = read_nifti(store.path.parent / event.value)
    if drawn.voxels.shape != series.shape:
        raise UserError(f"has {drawn.voxels.shape} voxels, its scan {series.shape}")
    product = Product("medudl label", "drawn area", NOTICE, 950)
    mask = np.asarray(drawn.voxels > 0, bool)
    return segmentation(references(cohort.files_of(series)), mask, drawn.affine, product, manual=True)


def _headers(series: Sequence[Series], cohort: Cohort) -> Iterator[Dataset]:
    from medudl.data.derived_dicom import headers

    for one in series:
        yield from headers(cohort.files_of(one))


def _stem(subject: str, study: str) -> str:
    return f"sub-{safe_name(subject)}" + (f"_ses-{safe_name(study)}" if study else "")
