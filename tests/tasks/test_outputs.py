"""Names that stay apart, messages without paths, errors of the disk in one line."""

import errno
from pathlib import Path

import pytest

from medudl.data.cases import Case
from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError
from medudl.tasks.outputs import Folder, WriteError, stems, told, without_paths


def case(subject, contrast, channels=1):
    grid = Series(subject, contrast=contrast, series=f"{subject}-{contrast}", path=f"{subject}.nii.gz")
    return Case(f"sub-{subject}", subject, "", (grid,) * channels, (contrast,) * channels, grid, "", "")


def test_stems_are_all_different():
    assert stems([case("a", "T1"), case("b", "T1", 2)]) == ["sub-a", "sub-b_T1"]
    assert len(set(stems([case("a", "T1_FLAIR", 2), case("a_T1", "FLAIR", 2)]))) == 2
    assert "/" not in stems([case("a", "../x", 2)])[0]


def test_messages_lose_their_paths():
    rows = [Series("p1", series="v1", path="DOE_JOHN/T1"), Series("p2", series="v2", path="t.nii", mask="t_mask.nii")]
    cohort = Cohort.of(Path("/data/DOE"), rows, {"files": {"v1": ["DOE_JOHN/T1/1.dcm"]}})
    message = "/data/DOE/DOE_JOHN/T1/1.dcm: cut short; DOE_JOHN/T1 and t.nii, t_mask.nii, not t.nii2; in /data/DOE"
    assert without_paths(message, cohort, rows) == ("v1: cut short; v1 and v2, v2, not t.nii2; in the cohort's root")
    here = [Series("p1", series="v1", path=".")]
    assert without_paths("it ended. See docs.", Cohort.of("/x", here), here) == "it ended. See docs."


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota is used up"), (errno.EROFS, "cannot be written")],
)
def test_errors_of_the_file_system(code, words):
    with pytest.raises(WriteError, match=words), told(Path("out")):
        raise OSError(code, "Reason")


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="out: cannot be written"):
        Folder.create(tmp_path / "out")


def test_the_name_of_a_file_makes_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"x\.CSV: a folder is written, not a file; name one without \.CSV"):
        Folder.create(tmp_path / "x.CSV")
    assert not list(tmp_path.iterdir())
    (tmp_path / "was.csv").mkdir()
    assert Folder.create(tmp_path / "was.csv").path.is_dir()
    assert Folder.create(tmp_path / "run.v2").path.is_dir()  # a dot alone makes no file of it


def test_what_was_made_is_taken_away_and_nothing_else(tmp_path):
    Folder.create(tmp_path / "a" / "b", "name").withdraw()
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").mkdir()
    folder = Folder.create(tmp_path / "a" / "b", "name")
    folder.text("kept.txt", "")
    folder.withdraw()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept.txt"]
    Folder.create(tmp_path / "a", "name").withdraw()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
