"""Labels out and in: every column explained, `index --labels` takes the consensus, no line is lost in silence."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from label_stores import CLASSES, cohort_of, say, series, store_of

from medudl.data.cohort import Cohort
from medudl.data.identity import Key
from medudl.data.index_draft import Draft
from medudl.data.index_labels import join, read_table
from medudl.errors import UserError
from medudl.labels import LabelStore
from medudl.labels.agreement import adjudication_csv, report
from medudl.labels.exchange import export_csv, import_csv


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_is_exported(tmp_path: Path) -> None:
    store, cohort = store_of(tmp_path), cohort_of(tmp_path)
    store.clock = lambda: 1_700_000_000.0
    both, split, gone = (case.id for case in store.cases()[:3])
    wrong = say(store, "Ann", "label", both, "normal", seconds=1.25, why="test")
    say(store, "Ann", "undo", both, wrong.id)
    for reader in ("Ann", "Jörg"):
        say(store, reader, "label", both, "sick", seconds=2.5)
    say(store, "Ann", "label", both, "normal", occasion=1, why="repeat")
    say(store, "Ann", "label", split, "sick")
    say(store, "Jörg", "label", split, "normal")
    say(store, "Ann", "flag", split, 'noise, "streaks"')
    say(store, "Ann", "label", gone, "sick")
    left = Cohort.of(tmp_path, [row for row in cohort.series() if row.subject != "p002"])
    notes = export_csv(store, left, tmp_path / "out")
    assert [note.partition(":")[0] for note in notes] == ["1 labelled case not in consensus.csv"] * 2
    labels = _rows(tmp_path / "out" / "labels.csv")
    assert [(row["subject"], row["reader"], row["label"], row["occasion"]) for row in labels] == [
        ("p000", "Ann", "sick", "0"), ("p000", "Jörg", "sick", "0"), ("p000", "Ann", "normal", "1"),
        ("p001", "Ann", "sick", "0"), ("p001", "Jörg", "normal", "0"), ("p002", "Ann", "sick", "0"),
    ]  # fmt: skip
    assert labels[0]["seconds"] == "2.5" and labels[0]["time"] == "2023-11-14T22:13:20.000+00:00"
    assert labels[3]["flagged"] == 'noise, "streaks"' and labels[0]["series"] == "v0" and labels[2]["why"] == "repeat"
    (consensus,) = _rows(tmp_path / "out" / "consensus.csv")
    assert consensus == {
        "path": "scans/0.nii.gz", "series": "v0", "case": both, "label": "sick",
        "readers": "2", "adjudicated": "no", "test": "yes" if store.cases()[0].test else "no",
    }  # fmt: skip
    events = _rows(tmp_path / "out" / "events.csv")
    assert len(events) == len(store.events()) and [row["undone"] for row in events[:3]] == ["yes", "no", "no"]
    assert b"\r" not in (tmp_path / "out" / "labels.csv").read_bytes()
    say(store, "Eve", "adjudicate", split, "normal")
    export_csv(store, cohort, tmp_path / "out")  # an export may be renewed
    assert {row["adjudicated"] for row in _rows(tmp_path / "out" / "labels.csv")} == {"", "normal"}
    assert len(_rows(tmp_path / "out" / "consensus.csv")) == 3


@pytest.mark.parametrize("unit", ["series", "study"])
def test_every_column_is_explained(unit: str, tmp_path: Path) -> None:
    store = store_of(tmp_path, unit=unit)
    export_csv(store, cohort_of(tmp_path), tmp_path / "out")
    told = [(row["file"], row["column"]) for row in _rows(tmp_path / "out" / "data_dictionary.csv")]
    there = []
    for name in ("labels.csv", "consensus.csv", "events.csv"):
        header = (tmp_path / "out" / name).read_text().splitlines()[0]
        there += [(name, column) for column in header.split(",")]
    assert told == there and all(row["meaning"] for row in _rows(tmp_path / "out" / "data_dictionary.csv"))
    values = {row["column"]: row["values"] for row in _rows(tmp_path / "out" / "data_dictionary.csv")}
    assert values["label"] == "normal, sick"


@pytest.mark.parametrize("kind", ["one file each", "one folder for two series", "studies"])
def test_the_index_takes_the_consensus(kind: str, tmp_path: Path) -> None:
    shared = {} if kind == "one file each" else {"path": "scans/dicom", "format": "dicom"}
    rows = [series(n, **shared) for n in range(4)]
    if kind == "studies":
        rows = [series(n, study=f"s{n}", series=f"v{n}{c}", path=f"{n}/{c}.nii") for n in range(2) for c in "ab"]
    cohort = Cohort.of(tmp_path, rows)
    store = LabelStore.create(tmp_path / "l.sqlite", cohort, CLASSES)
    assert store.unit == ("study" if kind == "studies" else "series")
    for number, case in enumerate(store.cases()):
        say(store, "Ann", "label", case.id, CLASSES[number % 2])
    export_csv(store, cohort, tmp_path / "out")
    drafts = [
        Draft([place], row.path, row.format, values={"subject": row.subject, "study": row.study, "series": row.series})
        for row in rows for place in [tmp_path / row.path]
    ]  # fmt: skip
    assert join(read_table(tmp_path / "out" / "consensus.csv"), drafts, Key.generate()) == []
    wanted = {row.series: store.truth()[case] for case, group in store.series_of(cohort).items() for row in group}
    assert {draft.values["series"]: draft.values["label"] for draft in drafts} == wanted
    assert [(d.values["subject"], d.values["study"]) for d in drafts] == [(row.subject, row.study) for row in rows]


def test_a_table_of_ones_own_is_never_written_over(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    (tmp_path / "labels.csv").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        export_csv(store, cohort_of(tmp_path), tmp_path)
    assert (tmp_path / "labels.csv").read_text() == "mine" and not (tmp_path / "events.csv").exists()


def test_an_import_tells_of_every_line_that_it_leaves_out(tmp_path: Path) -> None:
    store, cohort = store_of(tmp_path), cohort_of(tmp_path)
    ids = [case.id for case in store.cases()]
    say(store, "Ann", "label", ids[3], "sick")
    say(store, "Bob", "label", ids[0], "normal")  # says nothing of Ann
    say(store, "Ann", "label", ids[9], "normal", occasion=1)  # no first read
    lines = [
        ("p000", "", " SICK ", "", ""),  # 2: taken, in the store's spelling
        ("", "scans/1.nii.gz", "normal", "ann", "0"),  # 3: taken
        ("p002", "", "ill", "", ""),  # 4
        ("p003", "", "normal", "", ""),  # 5: she has said sick
        ("p099", "", "sick", "", ""),  # 6
        ("p004", "", "sick", "Bob", ""),  # 7
        ("p005", "", "sick", "", "1"),  # 8
        ("p006", "", "sick", "", ""),  # 9
        ("p006", "", "normal", "", ""),  # 10
        ("p007", "", "", "", ""),  # 11
        ("p008", "scans/9.nii.gz", "sick", "", ""),  # 12: of two patients
        ("", "", "sick", "", ""),  # 13: names nothing
        ("sub-p009", "", "sick", "", ""),  # 14: taken
    ]
    text = "subject,path,label,reader,occasion\n" + "".join(",".join(line) + "\n" for line in lines)
    (tmp_path / "old.csv").write_text(text)
    taken, notes = import_csv(store, cohort, tmp_path / "old.csv", "Ann")
    said = {note.split(" line ")[1].partition(" ")[0]: note.split(" line ", 1)[1].partition(" ")[2] for note in notes}
    assert taken == 3 and said == {
        "4": "has a label that is no class of this store", "5": "has been labelled sick already; edit it there",
        "6": "fits no case", "7": "is another reader's", "8": "is a repeated read", "9": "disagrees with line 10",
        "10": "disagrees with line 9", "11": "has no label", "12": "fits no case", "13": "fits no case",
    }  # fmt: skip
    assert not any("p0" in note for note in said.values())  # a line's names may be those of real patients
    labels = {label.case: (label.value, label.why) for label in store.labels(reader="Ann") if label.occasion == 0}
    assert labels == {ids[0]: ("sick", "import"), ids[1]: ("normal", "import"), ids[3]: ("sick", "history"),
                      ids[9]: ("sick", "import")}  # fmt: skip
    again, notes = import_csv(store, cohort, tmp_path / "old.csv", "Ann")
    assert again == 0 and sum("is in the store already" in note for note in notes) == 3
    assert len(store.labels(reader="Ann")) == 5


def test_what_was_exported_can_be_imported(tmp_path: Path) -> None:
    store, cohort = store_of(tmp_path), cohort_of(tmp_path)
    for case in store.cases():
        say(store, "Ann", "label", case.id, "sick")
    export_csv(store, cohort, tmp_path / "out")
    (tmp_path / "b").mkdir()
    other = store_of(tmp_path / "b")
    assert import_csv(other, cohort, tmp_path / "out" / "labels.csv", "ann") == (10, [])
    assert other.truth() == store.truth()


def test_no_cell_is_a_formula_and_what_is_read_back_is_what_was_said(tmp_path: Path) -> None:
    cohort = Cohort.of(tmp_path, [series(0, path="-s/0.nii.gz"), series(1)])
    classes = ["=1+1", "@normal"]
    store = LabelStore.create(tmp_path / "labels.sqlite", cohort, classes)
    first, second = (case.id for case in store.cases())
    for case, value in ((first, "=1+1"), (second, "@normal")):
        say(store, "-Ann", "label", case, value)
    say(store, "Ben", "label", first, "@normal")
    say(store, "Eve", "adjudicate", first, "=1+1")
    say(store, "-Ann", "flag", second, "=HYPERLINK(1)")
    export_csv(store, cohort, tmp_path / "out")
    (tmp_path / "out" / "adjudication.csv").write_text(adjudication_csv(report(store)))
    cells = []
    for file in (tmp_path / "out").iterdir():
        with file.open(newline="") as stream:
            cells += [cell for row in csv.reader(stream) for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]
    assert {"'=1+1", "'@normal", "'-Ann", "'=HYPERLINK(1)", "'-s/0.nii.gz"} <= set(cells)
    again = LabelStore.create(tmp_path / "again.sqlite", cohort, classes)
    import_csv(again, cohort, tmp_path / "out" / "labels.csv", "-Ann")
    assert {label.case: label.value for label in again.labels()} == {first: "=1+1", second: "@normal"}
    table = read_table(tmp_path / "out" / "consensus.csv")
    assert set(table.frame["label"]) == {"=1+1", "@normal"} and "-s/0.nii.gz" in set(table.frame["path"])


def test_a_path_that_several_scans_end_in_fits_none(tmp_path: Path) -> None:
    cohort = Cohort.of(tmp_path, [series(n, path=f"{n}/T1.nii") for n in range(3)])
    store = LabelStore.create(tmp_path / "l", cohort, CLASSES)
    (tmp_path / "a.csv").write_text("path,label\nT1.nii,sick\n1/T1.nii,sick\n")
    taken, notes = import_csv(store, cohort, tmp_path / "a.csv", "Ann")
    assert (taken, len(notes)) == (1, 1) and store.truth() == {store.cases()[1].id: "sick"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("subject,class\np000,sick\n", "no column label"),
        ("name,label\np000,sick\n", "none of the columns case, path"),
        ("subject,label\nx,sick\n", "none of its 1 lines is taken: line 2 fits no case"),
        ("subject,label\n", "it has no lines"),
    ],
)
def test_a_table_that_cannot_be_taken_is_told(text: str, told: str, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=told):
        import_csv(store, cohort_of(tmp_path), tmp_path / "a.csv", "Ann")
    assert store.events() == []
