"""DICOM in any nesting: grouping, pseudonyms, masks that refer to their series, nothing personal written."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pydicom
import pytest
from index_scans import inline
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from synthetic_dicom import image, save, series

from medudl.data.identity import Key
from medudl.data.index import index, index_paths
from medudl.data.index_dicom import age_in_years
from medudl.data.scanner import scanner_name

pytestmark = pytest.mark.usefixtures(inline.__name__)
__all__ = ["inline"]
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def voxels(seed: int, slices: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, (6, 5, slices)).astype(np.int16)


def test_series_by_uid_with_pseudonyms(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    series(scans / "a", voxels(1), AFFINE, SeriesInstanceUID="1.1", PatientID="Doe^Jane", SeriesDescription="t1 Doe",
           Manufacturer="SIEMENS", ManufacturerModelName="Skyra Doe", MagneticFieldStrength="3", PatientAge="093Y",
           PatientSex="F")  # fmt: skip
    for file in series(scans / "b", voxels(2), AFFINE, SeriesInstanceUID="1.2", PatientID="Doe^Jane"):
        file.rename(scans / "a" / f"IM{file.stem}")  # two series in one folder, one of them without an ending
    series(scans / "c", voxels(3), AFFINE, SeriesInstanceUID="1.3", PatientID="Roe", StudyInstanceUID="9.9")
    cohort = index([scans], tmp_path / "out" / "cohort.csv")
    a, b, c = sorted(cohort.series(), key=lambda row: (row.path, row.contrast != "T1"))
    assert a.subject == b.subject != c.subject and a.study == b.study != c.study and a.series != b.series
    assert (a.contrast, a.scanner, a.age, a.sex, a.path) == ("T1", "Siemens Skyra 3T", "90", "F", "a")
    assert (a.shape, a.spacing, a.orientation, a.format) == ((6, 5, 4), (1, 2, 3), "LPS", "dicom")
    assert [path.parent.name for path in cohort.files_of(a)] == ["a"] * 4
    key = Key.load(tmp_path / "out" / "medudl.key")
    assert a.subject == key.pseudonym("Doe^Jane") and cohort.key_id == key.id
    assert stat.S_IMODE((tmp_path / "out" / "medudl.key").stat().st_mode) == 0o600
    for path in (tmp_path / "out").iterdir():
        assert not any(word in path.read_text() for word in ("Doe", "Roe", "9.9", "1.2.3"))
    again = index([scans], tmp_path / "out" / "again.csv")
    assert [row.subject for row in again.series()] == [row.subject for row in cohort.series()]
    other = index_paths([scans])
    assert {row.subject for row in other.series()}.isdisjoint({a.subject, c.subject})
    assert [row.sha256 for row in other.series()] == [row.sha256 for row in cohort.series()]


def test_files_are_listed_in_slice_order(tmp_path: Path) -> None:
    series(tmp_path / "a", voxels(1, slices=12), AFFINE, seed=5)
    cohort = index_paths([tmp_path])
    files = cohort.files_of(cohort.series()[0])
    places = [float(pydicom.dcmread(file).ImagePositionPatient[2]) for file in files]
    assert places == sorted(places) and [file.name for file in files] != sorted(file.name for file in files)


def test_a_series_spread_over_folders_is_one_and_a_copy_is_told(tmp_path: Path) -> None:
    files = series(tmp_path / "a", voxels(1), AFFINE)
    (tmp_path / "b").mkdir()
    for file in files[:2]:
        file.rename(tmp_path / "b" / file.name)
    cohort = index_paths([tmp_path])
    (row,) = cohort.series()
    assert row.shape == (6, 5, 4) and row.usable and row.path == "." and len(cohort.files_of(row)) == 4


def test_an_incomplete_copy_is_told(tmp_path: Path) -> None:
    files = series(tmp_path / "a", voxels(1, slices=5), AFFINE)
    (tmp_path / "b").mkdir()
    by_place = index_paths([tmp_path / "a"])
    for file in by_place.files_of(by_place.series()[0])[:3]:
        shutil.copy(file, tmp_path / "b")
    rows = {row.path: row for row in index_paths([tmp_path]).series()}
    assert rows["a"].usable and rows["b"].problems == "an incomplete copy: 3 of the 5 images in a"
    assert rows["a"].series != rows["b"].series and len(files) == 5


def test_truncated_pixels_and_a_gap_are_told_with_their_file(tmp_path: Path) -> None:
    files = series(tmp_path / "gap", voxels(1, slices=6), AFFINE, SeriesInstanceUID="1.1")
    gap = index_paths([tmp_path / "gap"])
    gap.files_of(gap.series()[0])[3].unlink()
    files = series(tmp_path / "cut", voxels(2), AFFINE, SeriesInstanceUID="1.2")
    files[1].write_bytes(files[1].read_bytes()[:-20])
    cohort = index_paths([tmp_path])
    rows = {row.path: row for row in cohort.series()}
    assert rows["gap"].problems == "1 slice missing between 3 and 4" and rows["gap"].sha256
    assert any("cut/001.dcm: truncated" in problem for problem in cohort.meta["problems"])


def test_no_patient_id_is_told_and_strangers_stay_apart(tmp_path: Path) -> None:
    for n in (1, 2):
        series(
            tmp_path / str(n), voxels(n), AFFINE, PatientID="", StudyInstanceUID=f"1.{n}", SeriesInstanceUID=f"2.{n}"
        )
    rows = index_paths([tmp_path]).series()
    assert len({row.subject for row in rows}) == 2
    assert all(row.problems == "note: has no PatientID, its study stands for the patient" for row in rows)


def test_a_segmentation_belongs_to_the_series_it_names(tmp_path: Path) -> None:
    series(tmp_path / "a", voxels(1), AFFINE, SeriesInstanceUID="1.1", FrameOfReferenceUID="5.5")
    series(tmp_path / "b", voxels(2), AFFINE, SeriesInstanceUID="1.2", FrameOfReferenceUID="5.6")
    for name, uid, frame in (("seg", "1.2", "5.5"), ("rt", "", "5.5"), ("lost", "7.7", "5.5")):
        mask = image("", np.ones((5, 6), np.uint8), SeriesInstanceUID="3.1", FrameOfReferenceUID=frame)
        rt = name == "rt"
        mask.SOPClassUID = mask.file_meta.MediaStorageSOPClassUID = (
            "1.2.840.10008.5.1.4.1.1.481.3" if rt else "1.2.840.10008.5.1.4.1.1.66.4"
        )
        mask.Modality = "RTSTRUCT" if rt else "SEG"
        if uid:
            item = Dataset()
            item.SeriesInstanceUID = uid
            mask.ReferencedSeriesSequence = Sequence([item])
        if rt:
            del mask.PixelData, mask.Rows, mask.Columns
        save(mask, tmp_path / f"{name}.dcm")
    cohort = index_paths([tmp_path])
    assert {row.path: row.mask for row in cohort.series()} == {"a": "rt.dcm", "b": "seg.dcm"}
    assert any("refers to no series" in problem and "lost.dcm" in problem for problem in cohort.problems)


def test_labels_by_real_ids_join_and_are_not_told(tmp_path: Path) -> None:
    series(tmp_path / "scans", voxels(1), AFFINE, PatientID="Doe^Jane")
    (tmp_path / "labels.csv").write_text("subject,label\nDoe^Jane,tumour\nRoe^Ann,healthy\n")
    cohort = index([tmp_path / "scans"], tmp_path / "cohort.csv", labels=tmp_path / "labels.csv")
    assert cohort.series()[0].label == "tumour"
    assert cohort.meta["problems"] == [f"{tmp_path / 'labels.csv'}: 1 of its lines fits no scan: line 3"]
    assert "Roe" not in (tmp_path / "cohort.json").read_text()


def test_a_pattern_goes_before_the_header(tmp_path: Path) -> None:
    series(tmp_path / "P7" / "flair", voxels(1), AFFINE, PatientID="Doe")
    (row,) = index_paths([tmp_path], patterns=["{subject}/{contrast}/*"]).series()
    assert (row.subject, row.contrast, row.study[0]) == ("P7", "flair", "s")


@pytest.mark.parametrize(
    ("age", "years"),
    [("045Y", "45"), ("018M", "1"), ("090Y", "90"), ("104Y", "90"), ("45", ""), ("0Y", ""), ("010D", "0")],
)
def test_ages(age: str, years: str) -> None:
    assert age_in_years(age) == years


def test_scanners_are_words_of_a_list() -> None:
    assert scanner_name("GE MEDICAL SYSTEMS", "SIGNA HDxt", 1.5) == "GE Signa 1.5T"
    assert scanner_name("SIEMENS", "TrioTim", 2.8936) == "Siemens TrioTim 2.9T"
    assert scanner_name("General Electric", "", 15000) == "GE 1.5T"
    assert scanner_name("Doe Jane", "Jane's", None) == "other"
    assert scanner_name("", "", None) == ""


def test_dicom_in_bids_folders_belongs_to_their_subject(tmp_path: Path) -> None:
    for n, place in enumerate(("sub-01/ct", "sub-02/a", "sub-02/b", "sub-03/ses-x/ct")):
        uids = {"StudyInstanceUID": f"1.{n}", "SeriesInstanceUID": f"2.{n}"}
        series(tmp_path / place, voxels(n), AFFINE, PatientID="Doe", **uids)
    rows = {row.path: row for row in index_paths([tmp_path]).series()}
    assert (rows["sub-01/ct"].subject, rows["sub-01/ct"].study) == ("01", "")
    assert rows["sub-02/a"].subject == "02" and rows["sub-02/a"].study != rows["sub-02/b"].study
    assert (rows["sub-03/ses-x/ct"].subject, rows["sub-03/ses-x/ct"].study) == ("03", "x")
