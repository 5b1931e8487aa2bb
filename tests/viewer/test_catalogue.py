"""What is found in a folder, what is left out of it with a word, and that nothing outside it can be had."""

import json
import time
from pathlib import Path

import pytest

from apps.viewer import lookup
from apps.viewer.catalogue import Catalogue
from apps.viewer.source import Source
from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError


def _row(number: int, **more: str) -> Series:
    return Series(f"p{number}", path=f"p{number}.nii.gz", series=f"s{number}", format="nifti", **more)


def _cohort(folder: Path, count: int = 2, name: str = "cohort.csv", **more: str) -> list[Series]:
    """A table and its files, which nobody reads here."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_row(n, **more) for n in range(count)]
    for row in rows:
        (folder / row.path).write_bytes(b"x")
    Cohort.of(folder, rows).write(folder / name)
    return rows


def _run(folder: Path, threshold: float = 0.25) -> None:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"format": 1, "method": "vae", "status": "finished", "step": 3}))
    (folder / "calibration.json").write_text(json.dumps({"voxel": {"threshold": threshold}, "scan": None}))


def _output(folder: Path, threshold: float = 0.25) -> None:
    folder.mkdir(parents=True)
    (folder / "scores.csv").write_text("subject,score\n")
    (folder / "sub-1_anomaly.json").write_text(json.dumps({"Threshold": threshold}))


def test_tables_runs_outputs_and_reports_are_found(tmp_path: Path) -> None:
    _cohort(tmp_path)
    _cohort(tmp_path / "later", 3, "heads.csv")
    _run(tmp_path / "runs" / "a")
    _run(tmp_path / "runs" / "b", 0.5)
    _output(tmp_path / "maps", 0.5)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(json.dumps({"calibration": {"voxel": {"threshold": 0.25}}}))
    catalogue = Catalogue(tmp_path)
    assert [(file.name, len(file.cohort)) for file in catalogue.cohorts()] == [
        ("cohort.csv", 2),
        ("later/heads.csv", 3),
    ]
    runs = {run.name: run for run in catalogue.runs()}
    assert {name: (run.method, run.status) for name, run in runs.items()} == {
        "runs/a": ("vae", "finished"),
        "runs/b": ("vae", "finished"),
    }
    assert [(out.name, out.run) for out in catalogue.outputs()] == [("maps", runs["runs/b"].id)]
    assert [(out.name, out.run) for out in catalogue.reports()] == [("report", runs["runs/a"].id)]
    assert catalogue.troubles() == []


def test_of_two_copies_of_a_run_the_nearer_one_made_an_output(tmp_path: Path) -> None:
    for place in ("a", "b"):
        _run(tmp_path / place / "run")
    _output(tmp_path / "b" / "maps")
    catalogue = Catalogue(tmp_path)
    assert catalogue.outputs()[0].run == next(run.id for run in catalogue.runs() if run.name == "b/run")


def test_an_output_of_a_run_that_is_not_here_names_none(tmp_path: Path) -> None:
    _run(tmp_path / "run", 0.1)
    _output(tmp_path / "maps", 0.2)
    assert Catalogue(tmp_path).outputs()[0].run == ""


def test_a_runs_copy_of_its_table_and_other_tables_are_no_cohorts(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    _cohort(tmp_path / "run")
    (tmp_path / "labels.csv").write_text("subject,path,label\n1,a,healthy\n")
    assert Catalogue(tmp_path).cohorts() == []


@pytest.mark.parametrize(
    ("name", "text"),
    [("cohort.csv", ""), ("cohort.csv", "subject,pa"), ("cohort.csv", '"'), ("cohort.json", '{"version": 1, "ro'),
     ("run/run.json", ""), ("run/run.json", '{"format"'), ("run/run.json", "[]"), ("run/run.json", "\0")],
)  # fmt: skip
def test_half_written_files_are_left_out_with_a_sentence(tmp_path: Path, name: str, text: str) -> None:
    _cohort(tmp_path)
    _run(tmp_path / "run")
    (tmp_path / name).write_text(text)
    catalogue = Catalogue(tmp_path)
    catalogue.outputs(), catalogue.reports()
    assert len(catalogue.cohorts()) + len(catalogue.runs()) == 1
    (told,) = catalogue.troubles()
    assert "cannot be read" in told and str(tmp_path) not in told


def test_a_table_is_read_again_when_it_changes(tmp_path: Path) -> None:
    _cohort(tmp_path, 2)
    assert len(Catalogue(tmp_path).cohorts()[0].cohort) == 2
    first = Catalogue(tmp_path).cohorts()[0].cohort
    assert Catalogue(tmp_path).cohorts()[0].cohort is first
    _cohort(tmp_path, 5)
    assert len(Catalogue(tmp_path).cohorts()[0].cohort) == 5


def test_ids_say_nothing_of_a_path_and_stay_the_same(tmp_path: Path) -> None:
    (row, _) = _cohort(tmp_path)
    catalogue = Catalogue(tmp_path)
    (file,) = catalogue.cohorts()
    ids = [file.id, catalogue.id_of_series(file, row), catalogue.source_of(file, row).id]
    assert all(len(id) == 24 and set(id) <= set("0123456789abcdef") for id in ids)
    again = Catalogue(tmp_path)
    assert ids == [again.cohorts()[0].id, again.id_of_series(file, row), again.source_of(file, row).id]


def test_a_row_becomes_a_source_and_its_mask_another(tmp_path: Path) -> None:
    (row, _) = _cohort(tmp_path, modality="CT", contrast="CT", mask="m.nii.gz")
    (tmp_path / "m.nii.gz").write_bytes(b"x")
    catalogue = Catalogue(tmp_path)
    (file,) = catalogue.cohorts()
    scan, mask = catalogue.source_of(file, row), catalogue.mask_of(file, row)
    assert (scan.unit, scan.title, scan.subject, scan.role) == ("HU", "CT", "p0", "scan")
    assert isinstance(mask, Source) and (mask.role, mask.unit, mask.format) == ("mask", "mask", "nifti")
    assert mask.grid == scan.files and mask.id != scan.id


def test_mr_has_no_hounsfield_units_and_a_picture_of_ct_neither(tmp_path: Path) -> None:
    rows = [_row(0, modality="MR"), Series("p1", path="p1.png", series="s1", format="png", modality="CT")]
    for row in rows:
        (tmp_path / row.path).write_bytes(b"x")
    Cohort.of(tmp_path, rows).write(tmp_path / "cohort.csv")
    catalogue = Catalogue(tmp_path)
    (file,) = catalogue.cohorts()
    assert [catalogue.source_of(file, row).unit for row in rows] == ["arbitrary", "arbitrary"]


def test_nothing_outside_the_folder_is_a_source(tmp_path: Path) -> None:
    outside, inner = tmp_path / "secret", tmp_path / "open"
    (row, other) = _cohort(outside, mask="p0.nii.gz")
    inner.mkdir()
    Cohort.of(outside, [row, other]).write(inner / "cohort.csv")
    catalogue = Catalogue(inner)
    (file,) = catalogue.cohorts()
    assert not catalogue.shows(file)
    for get in (catalogue.source_of, catalogue.mask_of):
        with pytest.raises(UserError, match="outside the opened folder") as caught:
            get(file, row)
        assert "secret" not in str(caught.value)


def test_a_folder_named_beside_it_may_be_shown(tmp_path: Path) -> None:
    outside, inner = tmp_path / "scans", tmp_path / "open"
    (row, other) = _cohort(outside)
    inner.mkdir()
    Cohort.of(outside, [row, other]).write(inner / "cohort.csv")
    catalogue = Catalogue(inner, outside)
    (file,) = catalogue.cohorts()
    assert catalogue.shows(file)
    assert catalogue.source_of(file, row).files == (outside / row.path,)
    assert not Catalogue(inner, tmp_path / "scan").shows(file)


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    outside, inner = tmp_path / "secret", tmp_path / "open"
    (row, _) = _cohort(outside)
    inner.mkdir()
    (inner / "way").symlink_to(outside)
    assert Catalogue(inner).cohorts() == []
    (inner / row.path).symlink_to(outside / row.path)
    Cohort.of(inner, [row]).write(inner / "cohort.csv")
    catalogue = Catalogue(inner)
    with pytest.raises(UserError, match="outside"):
        catalogue.source_of(catalogue.cohorts()[0], row)


def test_a_path_upwards_in_a_table_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "x.nii.gz").write_bytes(b"x")
    inner = tmp_path / "open"
    row = Series("p0", path="../x.nii.gz", series="s0", format="nifti", mask="../x.nii.gz")
    inner.mkdir()
    Cohort.of(inner, [row]).write(inner / "cohort.csv")
    catalogue = Catalogue(inner)
    for get in (catalogue.source_of, catalogue.mask_of):
        with pytest.raises(UserError, match="outside"):
            get(catalogue.cohorts()[0], row)


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").symlink_to(tmp_path)
    (tmp_path / "c").symlink_to(tmp_path / "c")
    _cohort(tmp_path / "a")
    assert len(Catalogue(tmp_path).cohorts()) == 1


def test_scans_are_counted_by_name_and_dicom_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    for n in range(7):
        (tmp_path / "dicom" / f"IM{n}").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "README").write_text("words")
    _output(tmp_path / "maps")
    (tmp_path / "maps" / "sub-1_anomaly.nii.gz").touch()
    assert lookup.look(tmp_path).scans == 8


def test_hidden_and_deep_folders_are_passed_by(tmp_path: Path) -> None:
    _cohort(tmp_path / ".hidden")
    _cohort(tmp_path / "1" / "2" / "3" / "4")
    _cohort(tmp_path / "1" / "2" / "3" / "4" / "5")
    catalogue = Catalogue(tmp_path)
    assert [file.name for file in catalogue.cohorts()] == ["1/2/3/4/cohort.csv"]
    assert any("upper part" in told for told in catalogue.troubles())


def test_a_look_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "ENTRIES", 50)
    _cohort(tmp_path)
    (tmp_path / "many").mkdir()
    for n in range(100):
        (tmp_path / "many" / f"{n}.nii").touch()
    found = lookup.look(tmp_path)
    assert not found.whole and len(found.tables) == 1


def test_folders_of_slices_are_not_descended_into(tmp_path: Path) -> None:
    _cohort(tmp_path / "series" / "below")
    (tmp_path / "series" / "1.dcm").touch()
    assert Catalogue(tmp_path).cohorts() == []


def test_a_large_folder_is_looked_through_quickly(tmp_path: Path) -> None:
    for n in range(200):
        folder = tmp_path / f"sub-{n:03d}" / "anat"
        folder.mkdir(parents=True)
        for name in ("T1", "T2", "FLAIR"):
            (folder / f"{name}.nii.gz").touch()
    begun = time.monotonic()
    assert lookup.look(tmp_path).scans == 600
    assert time.monotonic() - begun < 5
