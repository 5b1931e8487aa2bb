"""The Studies page: table, filters, problems, links to series, empty folders, and what stays hidden."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.viewer import background, indexing
from apps.viewer.catalogue import Catalogue, CohortFile
from apps.viewer.house import Settings, open_house
from apps.viewer.links import study_id
from apps.viewer.table import FINE, NOTED, UNUSABLE, Filters, frame, headline, keep, problems, state
from apps.viewer.words import Names, advice, faceless, sentence
from medudl import api
from medudl.data.cohort import Cohort, Series

SCRIPT = Path(api.shipped("apps")) / "viewer" / "script" / "app.py"
Draw = Callable[..., AppTest]


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sample_data with its table."""
    folder = tmp_path_factory.mktemp("phantoms")
    shutil.copytree(api.shipped("sample_data"), folder, dirs_exist_ok=True)
    api.index([folder], folder / "cohort.csv")
    return folder


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """draw(folder, private=True, **query) -> the page of a viewer of this folder."""
    monkeypatch.setattr(background.tempfile, "gettempdir", lambda: str(tmp_path))

    def page(folder: Path, private: bool = True, **query: str) -> AppTest:
        open_house(Settings(folder=folder, private=private))
        app = AppTest.from_file(SCRIPT, default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return page


def said(app: AppTest) -> str:
    """Every word on the page."""
    assert not app.exception, app.exception
    words = []
    for block in app.main:
        value = getattr(block, "value", None)
        words.append(str(value) if value is not None else "")
        proto = getattr(block, "proto", None)
        words.append(str(getattr(proto, "body", "")))
    return "\n".join(words)


def table_of(app: AppTest) -> list[str]:
    """The patients of the table's rows."""
    return [f"{row['Patient']} {row['Series']}" for _, row in app.dataframe[0].value.iterrows()]


def the(folder: Path) -> tuple[Catalogue, CohortFile]:
    catalogue = Catalogue(folder)
    return catalogue, catalogue.cohorts()[0]


# The table


def test_one_row_a_series_and_counts(phantoms: Path, draw: Draw) -> None:
    app = draw(phantoms)
    assert "20 series, 5 patients" in said(app)
    assert len(app.dataframe[0].value) == 20
    assert {"Patient", "Modality", "Series", "What is wrong"} <= set(app.dataframe[0].value)


def test_filters_narrow_the_table(phantoms: Path, draw: Draw) -> None:
    app = draw(phantoms)
    app.multiselect(key="studies-contrast").select("FLAIR").run()
    assert "5 of 20 series, 5 patients" in said(app)
    app.text_input(key="studies-text").input("003").run()
    assert table_of(app) == ["003 FLAIR"]


def test_filters_that_match_nothing_offer_the_way_back(phantoms: Path, draw: Draw) -> None:
    app = draw(phantoms)
    app.text_input(key="studies-text").input("no such words").run()
    assert "No series fits these filters" in said(app) and not app.dataframe
    next(button for button in app.button if button.label == "Show all").click().run()
    assert len(app.dataframe[0].value) == 20


def test_filters_outlive_a_visit_to_the_viewer(phantoms: Path, draw: Draw) -> None:
    app = draw(phantoms)
    app.multiselect(key="studies-contrast").select("T1").run()
    catalogue, file = the(phantoms)
    app.query_params["series"] = catalogue.id_of_series(file, file.cohort.series()[0])
    app.run()
    del app.query_params["series"]
    app.run()
    assert "5 of 20 series" in said(app)


def test_notes_are_told_in_the_screens_words(phantoms: Path, draw: Draw) -> None:
    app = draw(phantoms)
    app.button_group(key="view").set_value("Problems (0), 1 note").run()
    assert app.table[0].value["What is wrong"].tolist() == ["5 masks that may not be of lesions: left out."]


def test_a_filter_whose_value_is_gone_lets_everything_through(phantoms: Path, tmp_path: Path, draw: Draw) -> None:
    cohort = Cohort.read(phantoms / "cohort.csv")
    for name in ("a.csv", "b.csv"):
        cohort.write(tmp_path / name)
    app = draw(tmp_path)
    app.selectbox(key="studies-file").select_index(1).run()
    app.multiselect(key="studies-contrast").select("CT").run()
    assert "5 of 20 series" in said(app)
    cohort.select({"contrast": ["T1", "T2"]}).write(tmp_path / "b.csv")
    assert "10 series" in said(app.run())
    (tmp_path / "b.csv").unlink()
    assert "20 series" in said(app.run())


# Links


def test_a_link_opens_its_series(phantoms: Path, draw: Draw) -> None:
    catalogue, file = the(phantoms)
    row = next(row for row in file.cohort.series() if row.contrast == "T2" and row.subject == "002")
    app = draw(phantoms, series=catalogue.id_of_series(file, row))
    assert "**002**" in said(app) and not app.dataframe
    assert app.selectbox[0].options[app.selectbox[0].index] == "T2"


def test_a_link_opens_several_and_the_study_alone_its_first(phantoms: Path, draw: Draw) -> None:
    catalogue, file = the(phantoms)
    rows = [row for row in file.cohort.series() if row.subject == "003"]
    app = draw(phantoms, series=",".join(catalogue.id_of_series(file, row) for row in rows[:3]))
    assert app.multiselect[0].value == [0, 1]
    app = draw(phantoms, study=study_id(file, rows[0]))
    assert "**003**" in said(app)


def test_another_series_of_the_study_changes_the_address(phantoms: Path, draw: Draw) -> None:
    catalogue, file = the(phantoms)
    rows = [row for row in file.cohort.series() if row.subject == "001"]
    app = draw(phantoms, series=catalogue.id_of_series(file, rows[0]))
    app.selectbox[0].select(1).run()
    assert app.query_params["series"] == catalogue.id_of_series(file, rows[1])
    app.multiselect[0].select(0).run()
    assert app.query_params["series"] == ",".join(catalogue.id_of_series(file, rows[n]) for n in (1, 0))


def test_next_follows_the_filtered_list_and_back_leads_to_it(phantoms: Path, draw: Draw) -> None:
    app = draw(phantoms)
    app.multiselect(key="studies-contrast").select("FLAIR").run()
    catalogue, file = the(phantoms)
    flair = [row for row in file.cohort.series() if row.contrast == "FLAIR"]
    app.query_params["series"] = catalogue.id_of_series(file, flair[0])
    app.run()
    assert app.button(key="before").disabled
    app.button(key="after").click().run()
    assert app.query_params["series"] == catalogue.id_of_series(file, flair[1])
    next(button for button in app.button if button.label == "Back to the list").click().run()
    assert "series" not in app.query_params and len(app.dataframe[0].value) == 5


def test_a_link_to_what_is_gone_says_so_above_the_table(phantoms: Path, draw: Draw) -> None:
    app = draw(phantoms, series="0" * 24)
    assert "not in this folder any more" in said(app) and len(app.dataframe[0].value) == 20


def test_files_that_are_gone_are_a_sentence(phantoms: Path, tmp_path: Path, draw: Draw) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(phantoms, folder)
    catalogue, file = the(folder)
    row = file.cohort.series()[0]
    (folder / row.path).unlink()
    app = draw(folder, series=catalogue.id_of_series(file, row))
    assert "Its files are gone" in said(app) and row.path not in said(app)


# Folders without a usable table


def test_a_never_indexed_folder_is_indexed_at_once(tmp_path: Path, draw: Draw) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(api.shipped("sample_data") / "sub-001" / "anat", folder)
    app = draw(folder)
    assert "no table yet" in said(app)
    job = indexing.Indexing(folder)
    while job.status().state == "running":
        pass
    app.run()
    assert "3 series, 1 patient" in said(app)


def test_an_empty_folder_says_what_to_do(tmp_path: Path, draw: Draw) -> None:
    (tmp_path / "empty").mkdir()
    app = draw(tmp_path / "empty")
    assert "No scans in this folder" in said(app) and "medudl view FOLDER" in said(app)


def test_a_large_folder_is_not_read_without_being_asked(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.viewer.lookup.ENTRIES", 5)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.nii").touch()
    (tmp_path / "raw" / "b" / "c").mkdir(parents=True)
    for n in range(9):
        (tmp_path / "raw" / "b" / f"{n}.nii").touch()
    app = draw(tmp_path / "raw")
    assert "may take a while" in said(app) and app.button[0].label == "Index this folder"
    assert indexing.Indexing(tmp_path / "raw").status().state == "idle"


def test_an_error_of_the_index_is_told_without_a_path(tmp_path: Path, draw: Draw) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "Miller_Anna.nii.gz").write_bytes(b"nothing of the kind")
    app = draw(folder)
    while indexing.Indexing(folder).status().state == "running":
        pass
    text = said(app.run())
    assert "could not be indexed" in text and "No usable scan" in text and "Miller" not in text
    assert "Miller" in said(draw(folder, private=False))


def test_a_read_only_folder_is_told(tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "a.nii.gz").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "read-only" in said(draw(folder))


@pytest.mark.parametrize(("name", "text"), [("cohort.csv", "subject,pa"), ("cohort.json", "{"), ("cohort.csv", "")])
def test_a_half_written_table_is_a_sentence(phantoms: Path, tmp_path: Path, draw: Draw, name: str, text: str) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for own in ("cohort.csv", "cohort.json"):
        shutil.copy(phantoms / own, folder)
    app = draw(folder)
    (folder / name).write_text(text)
    assert "damaged or still being written" in said(app.run())


def test_a_table_of_scans_elsewhere_says_what_to_open(phantoms: Path, tmp_path: Path, draw: Draw) -> None:
    (tmp_path / "table").mkdir()
    Cohort.read(phantoms / "cohort.csv").write(tmp_path / "table" / "cohort.csv")
    text = said(draw(tmp_path / "table"))
    assert "outside the opened folder" in text and str(phantoms) not in text
    assert str(phantoms) in said(draw(tmp_path / "table", private=False))


def test_no_usable_series_is_told(tmp_path: Path, draw: Draw) -> None:
    Cohort.of(tmp_path, [Series("p0", path="a.nii", series="s", problems="truncated")]).write(tmp_path / "cohort.csv")
    assert "No series of this table can be used" in said(draw(tmp_path))


# Words and figures, without a page

ROWS = [
    Series("p0", "s0", "v0", "MR", "T1", "Miller/a.nii.gz", "nifti", (9, 8, 7), (1, 1, 2.5), split="train"),
    Series("p0", "s0", "v1", "MR", "T1", "Miller/b.nii.gz", "nifti", problems="truncated; note: its mask is empty"),
    Series("p1", "s1", "v2", "CT", "", "c", "dicom", problems="note: the same voxels as Miller/a.nii.gz"),
]


def _names(private: bool = True, **meta: object) -> Names:
    return Names(Cohort.of(".", ROWS, meta), private)


def test_rows_are_told_as_a_reader_says_them() -> None:
    table = frame(ROWS, _names())
    assert table["Series"].tolist() == ["T1", "T1 (2)", "CT"]
    assert table["Voxels"][0] == "9 × 8 × 7" and table["Voxel size (mm)"][0] == "1 × 1 × 2.5"
    assert table["Split"][0] == "training" and "Label" not in table
    assert [state(row) for row in ROWS] == [FINE, UNUSABLE, NOTED]


@pytest.mark.parametrize(
    ("filters", "rows"),
    [(Filters(), [0, 1, 2]), (Filters(modality=("CT",)), [2]), (Filters(contrast=("T1", "T2"), split=("train",)), [0]),
     (Filters(states=(UNUSABLE, NOTED)), [1, 2]), (Filters(text="t1 TRUNC"), [1]), (Filters(contrast=("",)), [2])],
)  # fmt: skip
def test_filters(filters: Filters, rows: list[int]) -> None:
    assert keep(ROWS, frame(ROWS, _names()), filters) == rows


def test_counts_of_series_and_patients() -> None:
    assert headline(ROWS, [0, 1, 2]) == "3 series, 2 patients"
    assert headline(ROWS, [1]) == "1 of 3 series, 1 patient"


def test_problems_are_grouped_worst_first_with_what_to_do() -> None:
    wrong = problems(ROWS, _names(problems=["Miller/x.dcm: truncated"], notes=[]))
    assert wrong["Weight"].tolist() == [UNUSABLE, NOTED, NOTED, "File left out"]
    assert wrong["What is wrong"][0] == "Truncated." and wrong["What to do"][0].startswith("Copy it again")
    assert wrong["Which"][0] == "p0 T1 (2)"


def test_nothing_private_is_said_of_a_problem() -> None:
    told = " ".join(problems(ROWS, _names(problems=["Miller/x.dcm: truncated"])).astype(str).to_numpy().ravel())
    assert "Miller" not in told and "The same voxels as p0, T1." in told and "A file or folder: truncated." in told
    assert "Miller" in " ".join(problems(ROWS, _names(False)).astype(str).to_numpy().ravel())


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("a b/Miller Anna.dcm: truncated; copy it", "a file or folder: truncated; copy it"),
        ("3 masks fit no series: x/Miller Anna.nii.gz, b", "3 masks fit no series"),
        ("2 masks that no --masks pattern names: left out: a", "2 masks that no --masks pattern names: left out"),
        ("no usable scan: /a/Miller.nii.gz: not a NIfTI file (and 3 more)", "no usable scan: a file or folder: "
         "not a NIfTI file (and 3 more)"),
        ("leak between train and val: 1 patient in more than one split (Miller); all of them: /a/Miller.csv",
         "leak between train and val: 1 patient in more than one split; all of them: a file"),
        ("an incomplete copy: 3 of 9 images in Miller Anna", "an incomplete copy: 3 of 9 images in another place"),
    ],
)  # fmt: skip
def test_sentences_lose_their_paths(raw: str, told: str) -> None:
    assert faceless(raw) == told


def test_patients_whose_names_were_guessed_are_numbered() -> None:
    rows = [replace(row, subject=name) for row, name in zip(ROWS, ("Miller", "p0123456789ab", "Miller"), strict=True)]
    cohort = Cohort.of(".", rows, {"readings": {"the top folder below PATH": 2, "the PatientID": 1}})
    assert [Names(cohort, True).subject(row) for row in rows] == ["patient 1", "p0123456789ab", "patient 1"]
    assert [Names(cohort, False).subject(row) for row in rows] == ["Miller", "p0123456789ab", "Miller"]
    told = Cohort.of(".", rows, {"readings": {"the sub- part of a BIDS name": 3}})
    assert Names(told, True).subject(rows[0]) == "Miller"


def test_visits_whose_names_were_guessed_are_numbered() -> None:
    rows = [replace(row, format=kind, study=study) for row, kind, study in zip(
        ROWS, ("nifti", "nifti", "dicom"), ("Miller 2019", "Miller 2020", "s0123456789ab"), strict=True)]  # fmt: skip
    rows = [replace(row, subject="a") for row in rows]
    by = "folders and parts of names that are called like visits, or folders in which a contrast occurs again"
    cohort = Cohort.of(".", rows, {"readings": {"the top folder below PATH": 3}, "visits": {by: 2}})
    assert [Names(cohort, True).study(row) for row in rows] == ["visit 1", "visit 2", "s0123456789ab"]
    assert [Names(cohort, False).study(row) for row in rows] == ["Miller 2019", "Miller 2020", "s0123456789ab"]
    assert f"Visits are told apart by {by} (2 series)." in Names(cohort, True).readings()


def test_a_file_of_a_series_is_not_named() -> None:
    row = replace(ROWS[2], problems="IM Miller Anna: truncated")
    cohort = Cohort.of(".", [row], {"files": {"v2": ["c/IM Miller Anna", "c/2"]}})
    assert Names(cohort, True).problems(row) == ["One of its files: truncated."]


@pytest.mark.parametrize("problem", ["the gantry is tilted by 3.0 degrees", "truncated: 3 of 9 bytes are there",
                                     "every voxel has the same value", "its mask cannot be used: broken"])  # fmt: skip
def test_frequent_problems_have_advice(problem: str) -> None:
    assert advice(sentence(problem))
