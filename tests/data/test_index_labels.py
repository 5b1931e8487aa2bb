"""The user's own table: joined by path, series, study or subject; what fits nothing is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from medudl.data.identity import Key
from medudl.data.index_draft import Draft
from medudl.data.index_labels import join, read_table
from medudl.errors import UserError

KEY = Key(b"k" * 32)


def drafts() -> list[Draft]:
    out = []
    for subject, study in (("A", "1"), ("A", "2"), ("B", "1")):
        draft = Draft([Path(f"/data/in/{subject}/{study}/T1.nii")], f"{subject}/{study}/T1.nii", "nifti")
        draft.values = {"subject": subject, "study": study, "series": f"{subject}{study}"}
        out.append(draft)
    return out


def joined(
    tmp_path: Path, text: str, rows: list[Draft] | None = None, name: str = "labels.csv"
) -> tuple[list[Draft], list[str]]:
    (tmp_path / name).write_text(text)
    rows = drafts() if rows is None else rows
    return rows, join(read_table(tmp_path / name), rows, KEY)


def labels(rows: list[Draft]) -> list[str]:
    return [row.values.get("label", "") for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("subject,label\nA,sick\nB,well\n", ["sick", "sick", "well"]),
        ("subject,study,label\nA,2,sick\n", ["", "sick", ""]),
        ("series,label\nB1,sick\n", ["", "", "sick"]),
        ("path,label\nA/2/T1.nii,sick\n", ["", "sick", ""]),
        ("path,subject,label\nin/B/1/T1.nii,B7,sick\n", ["", "", "sick"]),
        ("path,label\n.\\A\\1\\T1.nii,sick\n", ["sick", "", ""]),
        (" subject , label \n A , sick \n", ["sick", "sick", ""]),
        ("participant_id,label\nsub-A,sick\n", ["sick", "sick", ""]),
    ],
)
def test_joined_by(text: str, expected: list[str], tmp_path: Path) -> None:
    rows, told = joined(tmp_path, text)
    assert labels(rows) == expected and told == []


def test_further_columns_are_taken_over(tmp_path: Path) -> None:
    rows, _ = joined(tmp_path, "path,subject,split,age,contrast,mine\nA/1/T1.nii,C 3,Training,40,T1c,x\n")
    assert rows[0].values["subject"].startswith("C-3-") and rows[0].values["split"] == "train"
    assert (rows[0].values["age"], rows[0].values["contrast"], rows[0].rule) == (
        "40",
        "T1c",
        str(tmp_path / "labels.csv"),
    )
    assert "mine" not in rows[0].values


def test_only_the_split_is_taken_on_request(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("path,subject,label,split\nA/1/T1.nii,C,sick,val\n")
    rows = drafts()
    join(read_table(tmp_path / "s.csv", ("split",)), rows, KEY)
    assert (rows[0].values["split"], rows[0].values["subject"], labels(rows)) == ("val", "C", ["", "", ""])


def test_pseudonyms_join_by_the_real_id(tmp_path: Path) -> None:
    rows = drafts()
    for row in rows:
        row.format = "dicom"
        row.values["subject"] = KEY.pseudonym(row.values["subject"])
        row.values["study"] = KEY.pseudonym(row.values["study"], "study")
    assert labels(joined(tmp_path, "subject,label\nA,sick\n", rows)[0]) == ["sick", "sick", ""]
    assert labels(joined(tmp_path, "subject,study,label\nB,1,well\n", rows)[0])[2] == "well"


def test_lines_that_fit_nothing_are_told_by_name_or_by_number(tmp_path: Path) -> None:
    text = "subject,label\nA,sick\nZ,sick\nY,well\n"
    assert joined(tmp_path, text)[1] == [f"{tmp_path / 'labels.csv'}: 2 of its lines fit no scan: Z, Y"]
    rows = drafts()
    rows[0].format = "dicom"
    assert joined(tmp_path, text, rows)[1] == [f"{tmp_path / 'labels.csv'}: 2 of its lines fit no scan: line 3, line 4"]
    many = "subject,label\nA,sick\n" + "".join(f"X{n},sick\n" for n in range(15))
    assert joined(tmp_path, many)[1][0].endswith("X9 and 5 more")


def test_a_path_that_fits_two_scans_fits_none(tmp_path: Path) -> None:
    rows, told = joined(tmp_path, "path,label\n1/T1.nii,sick\nA/1/T1.nii,well\n")
    assert labels(rows) == ["well", "", ""] and "1/T1.nii" in told[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,label\nA,sick\n", "no column path, series or subject"),
        ("subject,diagnosis\nA,sick\n", "has none of the columns label"),
        ("subject,label\nZ,sick\n", "none of its 1 lines fits"),
        ("subject,label\nA,sick\nA,well\n", "lines 2 and 3 are about one scan, but disagree"),
        ("subject,split\nA,fold1\n", "line 2: split 'fold1'"),
    ],
)
def test_a_wrong_table_is_told(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=complaint):
        joined(tmp_path, text)


def test_two_lines_that_agree_are_fine(tmp_path: Path) -> None:
    assert labels(joined(tmp_path, "subject,label\nA,sick\nA,sick\n")[0]) == ["sick", "sick", ""]
