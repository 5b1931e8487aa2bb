"""Labels as DICOM: reports that a validator takes, in the patient and study of their scans, and come back whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

sys.path.append(str(Path(__file__).parents[1]))
from tiny_dicom import CANARY, write_series  # noqa: E402

from medudl import api  # noqa: E402
from medudl.data.cohort import Cohort  # noqa: E402
from medudl.data.label_report import NOTICE  # noqa: E402
from medudl.errors import UserError  # noqa: E402
from medudl.labels.store import LabelStore  # noqa: E402

CLASSES = ["normal", "Blutung (frisch) – äußerst lange Bezeichnung einer Klasse, die in keinen Code passt"]


def _label(store: LabelStore, case: str, value: str, reader: str, kind: str = "label") -> None:
    store.save(id=uuid.uuid4().hex, reader=reader, kind=kind, case=case, value=value, seconds=3.0)  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three studies: A with two series, B with one, C as NIfTI; read by two readers, a mask drawn on B."""
    study = "1.2.826.0.1.3680043.8.498.1"
    write_series(tmp_path / "scans" / "a1", PatientID="A", StudyInstanceUID=study, SpecificCharacterSet="ISO_IR 100",
                 PatientName="Müller^Ann")  # fmt: skip
    write_series(tmp_path / "scans" / "a2", PatientID="A", StudyInstanceUID=study, SpecificCharacterSet="ISO_IR 100",
                 PatientName="Müller^Ann", SeriesDescription="T2")  # fmt: skip
    _, affine = write_series(tmp_path / "scans" / "b", PatientID="B", SeriesDescription="T1")
    voxels = np.random.default_rng(0).normal(size=(10, 12, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "scans" / "c.nii.gz")
    cohort = api.index([tmp_path / "scans"], tmp_path / "cohort.csv")
    store = api.label_start(tmp_path / "labels.sqlite", tmp_path / "cohort.csv", CLASSES, by="series", test_share=0.0)
    formats = {case: rows[0].format for case, rows in store.series_of(cohort).items()}
    for number, case in enumerate(store.cases()):
        _label(store, case.id, CLASSES[number % 2], "Zoë Ångström-O'Hara")
    dicom = [case for case in store.cases() if formats[case.id] == "dicom"]
    _label(store, dicom[0].id, CLASSES[0], "ben")
    b = next(case for case in dicom if sum(one.study == case.study for one in dicom) == 1)
    mask = np.zeros((10, 12, 5), np.uint8)
    mask[2:5, 3:7, 1:3] = 1
    (tmp_path / "masks").mkdir()
    nibabel.save(nibabel.Nifti1Image(mask, affine), tmp_path / "masks" / "b.nii.gz")
    _label(store, b.id, "masks/b.nii.gz", "ben", "mask")
    return tmp_path


def _written(place: Path) -> dict[str, Path]:
    api.label_export(place / "labels.sqlite", place / "out", dicom=True)
    return {path.name: path for path in sorted((place / "out" / "dicom").iterdir())}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is absent")
def test_dciodvfy_finds_no_error(place: Path) -> None:
    files = _written(place)
    assert len(files) == 4
    for path in files.values():
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in told.stdout + told.stderr, f"{path.name}: {told.stderr}"


def test_a_report_says_who_what_when_and_of_which_images(place: Path) -> None:
    store, cohort = LabelStore.open(place / "labels.sqlite"), Cohort.read(place / "cohort.csv")
    said = api.label_export(store.path, place / "out", dicom=True)
    assert any("3 Structured Reports with 4 labels, 1 Segmentations" in line for line in said)
    assert any("1 labels have no report: their scans are no DICOM" in line for line in said)
    rows, seen = store.series_of(cohort), {}
    for path in (place / "out" / "dicom").glob("*label*.dcm"):
        report = hd.sr.srread(path)
        assert report.SeriesDescription == f"label: {NOTICE}" and report.VerificationFlag == "UNVERIFIED"
        (name,) = (
            str(item.value) for item in report.content[0].ContentSequence if item.name == codes.DCM.PersonObserverName
        )
        times: list[str] = []
        for group in report.content.get_image_measurement_groups():
            (answer,) = group.get_qualitative_evaluations()
            assert answer.name.meaning == "Research label, not a diagnosis"
            case = str(group.tracking_identifier)
            (label,) = (one for one in store.labels() if one.case == case and one.reader == name)
            assert label.value.startswith(answer.value.meaning) and len(answer.value.meaning.encode()) <= 64
            times.append(label.time[:19].translate(str.maketrans("", "", "-:T")))
            (series,) = rows[case]
            sources = [pydicom.dcmread(file) for file in cohort.files_of(series)]
            assert {str(i.referenced_sop_instance_uid) for i in group.source_images} == {
                s.SOPInstanceUID for s in sources
            }
            assert report.StudyInstanceUID == sources[0].StudyInstanceUID
            assert report.PatientID == sources[0].PatientID and report.PatientName == sources[0].PatientName
            seen[case, name] = True
        # highdicom's templates drop the time of an item when they read it; the file has it.
        assert [
            str(e.value)[:14] for e in pydicom.dcmread(path).iterall() if e.keyword == "ObservationDateTime"
        ] == times
    assert len(seen) == 4


def test_a_mask_lies_where_it_was_drawn(place: Path) -> None:
    (path,) = (path for name, path in _written(place).items() if "mask" in name)
    back = hd.seg.segread(path)
    assert back.SegmentSequence[0].SegmentAlgorithmType == "MANUAL" and back.PatientID == "B"
    assert back.PatientName == CANARY
    assert int((back.get_volume(combine_segments=True).array > 0).sum()) == 3 * 4 * 2


def test_a_mask_of_another_grid_is_left_out_and_named(place: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), place / "masks" / "b.nii.gz")
    said = api.label_export(place / "labels.sqlite", place / "out", dicom=True)
    assert any("left out: has (4, 4, 4) voxels, its scan (10, 12, 5)" in line for line in said)
    assert not list((place / "out" / "dicom").glob("*mask*"))


def test_reports_come_back_once(place: Path) -> None:
    _written(place)
    store = LabelStore.open(place / "labels.sqlite")
    other = api.label_start(place / "other.sqlite", place / "cohort.csv", CLASSES, by="series", test_share=0.0)
    taken, notes = api.label_import(other.path, place / "out" / "dicom", cohort=place / "cohort.csv")
    assert taken == 4 and not notes
    known = {case.id for case in store.cases()} & {label.case for label in other.labels()}
    there = {(one.reader, one.case, one.value) for one in store.labels() if one.case in known}
    assert {(one.reader, one.case, one.value) for one in other.labels()} == there and len(there) == 4
    assert {event.why for event in other.events()} == {"import"}
    taken, notes = api.label_import(other.path, place / "out" / "dicom", cohort=place / "cohort.csv")
    assert taken == 0 and len(notes) == 4 and all("has a label of this reader already" in note for note in notes)
    assert len(other.events()) == 4
    third = api.label_start(place / "third.sqlite", place / "cohort.csv", ["normal", "x"], by="series", test_share=0.0)
    taken, notes = api.label_import(third.path, place / "out" / "dicom", reader="Ben", cohort=place / "cohort.csv")
    assert taken == 1 and third.readers() == ["ben"]
    (place / "none").mkdir()
    with pytest.raises(UserError, match="holds no Structured Report of labels"):
        api.label_import(third.path, place / "none", cohort=place / "cohort.csv")


def test_the_same_labels_give_the_same_objects(place: Path) -> None:
    before = {name: pydicom.dcmread(path).SOPInstanceUID for name, path in _written(place).items() if "label" in name}
    after = {name: pydicom.dcmread(path).SOPInstanceUID for name, path in _written(place).items() if "label" in name}
    assert before == after and len(set(before.values())) == 3


def test_nothing_that_came_as_dicom_is_told(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for name in "ab":
        voxels = np.random.default_rng(ord(name)).normal(size=(8, 8, 8)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "scans" / f"{name}.nii.gz")
    api.index([tmp_path / "scans"], tmp_path / "cohort.csv")
    store = api.label_start(tmp_path / "labels.sqlite", tmp_path / "cohort.csv", CLASSES)
    _label(store, store.cases()[0].id, CLASSES[0], "Ann")
    with pytest.raises(UserError, match="no labelled case came as DICOM; leave --dicom out"):
        api.label_export(store.path, tmp_path / "out", dicom=True)
