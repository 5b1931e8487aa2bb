"""Labels of one reader as a DICOM Structured Report (TID 1500), in the study that they are about; and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import highdicom as hd
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid
from pydicom.valuerep import DT

from medudl.data.derived_dicom import FIRST_SERIES, quiet
from medudl.errors import UserError
from medudl.version import VERSION

__all__ = ["NOTICE", "Read", "Report", "label_report", "read_report"]

NOTICE = "research label, not a diagnosis"
SCHEME = "99MEDUDL"  # of codes that are ours alone
_QUESTION = Code("label", SCHEME, NOTICE.capitalize())
_IMAGING = Code("363679005", "SCT", "Imaging procedure")
_NUMBER = 900  # of the series, after those of computed maps


@dataclass(frozen=True)
class Read:
    """One label. case: id of the case; time: UTC, ISO 8601; images: headers of the instances that it is about."""

    case: str
    value: str
    time: str
    images: Sequence[Dataset]


@dataclass(frozen=True)
class Report:
    """What a report says. values: case -> code of its class (see `class_code`), and the class's name, cut to 64."""

    uid: str
    reader: str
    values: dict[str, tuple[str, str]]


def class_code(name: str) -> str:
    """12 letters that stand for a class in a report, equal for equal names."""
    return hashlib.sha256(name.encode()).hexdigest()[:12].upper()


def label_report(reader: str, reads: Sequence[Read]) -> Dataset:
    """A Comprehensive SR with a qualitative evaluation a label; reader: the person observer, as typed.

    It carries the patient and the study of the images, and is neither final nor verified. The same labels give the same
    UIDs. reads: at least one, all of one study.
    """
    evidence = [image for read in reads for image in read.images]
    identity = [reader, *(text for read in reads for text in (read.case, read.value, read.time))]
    identity.append(str(evidence[0].StudyInstanceUID))
    with quiet():
        made = hd.sr.ComprehensiveSR(
            evidence, _content(reader, reads, identity), generate_uid(entropy_srcs=["label series", *identity]),
            FIRST_SERIES + _NUMBER, generate_uid(entropy_srcs=["label report", *identity]), 1, manufacturer="medudl",
            is_complete=True, is_final=False, is_verified=False, series_description=f"label: {NOTICE}",
            manufacturer_model_name="medudl label", software_versions=VERSION, device_serial_number="none",
        )  # fmt: skip
    # Set when it is whole: its templates keep no time of an item.
    for read, answer in zip(reads, _answers(made), strict=True):
        answer.ObservationDateTime = DT(_moment(read.time).strftime("%Y%m%d%H%M%S+0000"))
    last = max(_moment(read.time) for read in reads)
    made.ContentDate, made.ContentTime = last.strftime("%Y%m%d"), last.strftime("%H%M%S")
    made.SpecificCharacterSet = "ISO_IR 192"  # a reader's name need not fit the source's character set
    return made


def read_report(path: Path) -> Report | None:
    """What a report says that `label_report` wrote; None where the file is something else.

    Raises UserError where it cannot be read.
    """
    try:
        with quiet():
            found = pydicom.dcmread(path)
            if found.get("Modality") != "SR" or "ContentSequence" not in found:
                return None
            content = hd.sr.ComprehensiveSR.from_dataset(found).content
            told = content[0].ContentSequence
            observers = [str(one.value) for one in told if one.name == codes.DCM.PersonObserverName]
            values = {}
            for group in content.get_image_measurement_groups():
                for answer in group.get_qualitative_evaluations(name=_QUESTION):
                    values[str(group.tracking_identifier)] = str(answer.value.value), str(answer.value.meaning)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError, EOFError) as error:
        raise UserError(f"{path}: not readable as a DICOM report ({type(error).__name__})") from None
    return Report(str(found.SOPInstanceUID), observers[0], values) if values and observers else None


def _content(reader: str, reads: Sequence[Read], identity: Sequence[str]) -> Any:
    person = hd.sr.PersonObserverIdentifyingAttributes(name=reader)
    return hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(
            observer_person_context=hd.sr.ObserverContext(codes.DCM.Person, person)
        ),
        procedure_reported=_IMAGING,
        imaging_measurements=[_group(read, identity) for read in reads],
        title=codes.DCM.ImagingMeasurementReport,
    )


def _group(read: Read, identity: Sequence[str]) -> Any:
    answer = hd.sr.QualitativeEvaluation(_QUESTION, Code(class_code(read.value), SCHEME, _short(read.value)))
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        hd.sr.TrackingIdentifier(generate_uid(entropy_srcs=["label", read.case, *identity]), read.case),
        qualitative_evaluations=[answer],
        source_images=[
            hd.sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID) for image in read.images
        ],
    )


def _answers(item: Dataset) -> Iterator[Dataset]:
    """The labels in a report, in order."""
    for child in item.get("ContentSequence", []):
        if child.ConceptNameCodeSequence[0].CodingSchemeDesignator == SCHEME:
            yield child
        yield from _answers(child)


def _short(meaning: str) -> str:
    """At most 64 bytes of it: the standard means characters, but validators count bytes."""
    return meaning.encode()[:64].decode(errors="ignore").strip()


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time)
