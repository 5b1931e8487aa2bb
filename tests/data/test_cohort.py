"""cohort.csv and cohort.json: written whole, read back equal, made by hand too."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from medudl.data.cohort import COLUMNS, Cohort, Series, split_fragment
from medudl.errors import UserError

ROW = Series(
    "001", "s1", "v1", "MR", "T1", "scans/001, left/T1.nii.gz", "nifti", (4, 5, 6), (0.859375, 1.0, 6.5), "LPS",
    "healthy",
    "scans/001/mask.nii.gz", "train", "ab12", "", age="45",
)  # fmt: skip


def test_round_trip(tmp_path: Path) -> None:
    other = Series("1e5", series="v2", path="x.nii", format="nifti", problems="2 slices missing; note: odd")
    meta = {"key_id": "k", "files": {"v1": ["scans/a"]}, "problems": []}
    Cohort.of(tmp_path / "data", [ROW, other], meta).write(tmp_path / "out" / "cohort.csv")
    again = Cohort.read(tmp_path / "out" / "cohort.csv")
    assert again.series() == [ROW, other]
    assert again.root == tmp_path / "data" and again.key_id == "k" and again.meta["files"] == {"v1": ["scans/a"]}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cohort.csv", "cohort.json"]
    assert tuple(pd.read_csv(tmp_path / "out" / "cohort.csv").columns) == (*COLUMNS, "age")


def test_the_tree_may_move_with_its_table(tmp_path: Path) -> None:
    (tmp_path / "a" / "data").mkdir(parents=True)
    (tmp_path / "a" / "data" / "x.nii").touch()
    Cohort.of(tmp_path / "a" / "data", [Series("1", path="x.nii")]).write(tmp_path / "a" / "cohort.csv")
    (tmp_path / "a").rename(tmp_path / "b")
    cohort = Cohort.read(tmp_path / "b" / "cohort.csv")
    assert cohort.files_of(cohort.series()[0]) == [tmp_path / "b" / "data" / "x.nii"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_table(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cohort.of(tmp_path, [ROW]).write(tmp_path / "cohort.csv")
    before = (tmp_path / "cohort.csv").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"medudl.data.cohort.os.{step}", full)
    with pytest.raises(OSError, match="No space"):
        Cohort.of(tmp_path, [ROW, ROW]).write(tmp_path / "cohort.csv")
    assert (tmp_path / "cohort.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort.csv", "cohort.json"]


def test_a_table_made_by_hand(tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    for name in ("b", "a"):
        (tmp_path / "dicom" / name).write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "dicom" / "LICENSE").write_text("text")
    (tmp_path / "cohort.csv").write_text("subject,path,format,mine\n001,dicom,dicom,x\n")
    cohort = Cohort.read(tmp_path / "cohort.csv")
    (series,) = cohort.series()
    assert series.subject == "001" and series.series and series.shape == ()
    assert [path.name for path in cohort.files_of(series)] == ["a", "b"]
    assert cohort.mask_path(series) is None
    assert cohort.table["mine"].tolist() == ["x"]


def test_select() -> None:
    rows = [
        Series("1", contrast="T1", split="train"),
        Series("2", contrast="T2"),
        Series("3", contrast="T1", split="val"),
    ]
    cohort = Cohort.of(".", rows, {"key_id": "k"})
    assert [s.subject for s in cohort.select({"contrast": "T1"}).series()] == ["1", "3"]
    assert [s.subject for s in cohort.select({"contrast": ["T1", "T2"]}, split="train").series()] == ["1"]
    assert len(cohort.select({"subject": "9"})) == 0 and cohort.select({"subject": "9"}).series() == []
    assert cohort.select({}).key_id == "k"
    with pytest.raises(UserError, match="did you mean contrast"):
        cohort.select({"contrat": "T1"})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("subject\n1\n", "no column path"),
        ("subject,path\n", "no rows"),
        ("", "not readable as a table"),
        ("subject,path,split\n1,a,holdout\n", "'holdout' is none of"),
    ],
)
def test_a_bad_table_is_told(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text(text)
    with pytest.raises(UserError, match=complaint):
        Cohort.read(tmp_path / "cohort.csv")


def test_bad_json_version_and_shape_are_told(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text("subject,path,shape\n1,a,4x?\n")
    with pytest.raises(UserError, match="row 1: shape"):
        Cohort.read(tmp_path / "cohort.csv").series()
    (tmp_path / "cohort.json").write_text("{")
    with pytest.raises(UserError, match="not readable as JSON"):
        Cohort.read(tmp_path / "cohort.csv")
    (tmp_path / "cohort.json").write_text('{"version": 99}')
    with pytest.raises(UserError, match="version"):
        Cohort.read(tmp_path / "cohort.csv")
    with pytest.raises(UserError, match="no such file"):
        Cohort.read(tmp_path / "absent.csv")


def test_absent_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent"):
        Cohort.of(tmp_path, [ROW]).files_of(ROW)


def test_notes_do_not_block() -> None:
    assert Series("1").usable and Series("1", problems="note: odd; note: old").usable
    assert not Series("1", problems="truncated; note: odd").usable
    assert not Cohort.of(".", [Series("1", problems="note: odd")]).has_problems
    assert Cohort.of(".", [Series("1")], {"problems": ["x: broken"]}).has_problems
    assert Cohort.of(".", [Series("1", path="a", problems="tilted; note: odd")]).problems == [
        "a: tilted",
        "a: note: odd",
    ]


def test_fragments() -> None:
    assert split_fragment("a/b.npz#train/12") == ("a/b.npz", "train/12")
    assert split_fragment("a#b/c.nii") == ("a#b/c.nii", "")
    assert (Series("1", path="b.npz#val/3").file, Series("1", path="b.npz#val/3").fragment) == ("b.npz", "val/3")
