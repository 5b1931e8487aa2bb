"""What a radiologist is told about a cohort."""

from __future__ import annotations

from rich.console import Console

from medudl.data.cohort import Cohort, Series
from medudl.data.summary import print_summary


def printed(cohort: Cohort) -> str:
    console = Console(width=160, record=True, quiet=True, color_system=None)
    with console.capture() as captured:
        console.quiet = False
        print_summary(cohort, console)
    return captured.get()


def mr(subject: str, study: str, contrast: str, **more: str) -> Series:
    return Series(
        subject, study, f"{subject}{study}{contrast}", "MR", contrast, f"{subject}/{contrast}.nii", "nifti",
        (256, 256, 22), (0.8, 0.8, 6.5), "LPS", **more,
    )  # fmt: skip


def test_counts_contrasts_sizes_labels_and_problems() -> None:
    rows = [
        mr("A", "1", "T1", label="healthy", split="train", mask="m"),
        mr("A", "1", "FLAIR", label="healthy", split="train"),
        mr("A", "2", "T1", label="healthy", split="train"), mr("B", "1", "T1", label="tumour", split="test"),
        Series("C", modality="", path="c[1].nii", problems="truncated", shape=(10, 10, 4), spacing=(1, 1, 3),
               label="tumour"),
        mr("D", "1", "T1", problems="note: the same voxels as A/T1.nii"),
    ]  # fmt: skip
    meta = {"problems": ["notes.dcm: not a DICOM file"], "notes": ["3 files fit no pattern"],
            "readings": {"the sub- part of a BIDS name": 6}, "contrast_rules": {"A1T1": "BIDS name"}}  # fmt: skip
    text = printed(Cohort.of(".", rows, meta))
    assert "4 patients, 5 studies, 6 series; 1 with a lesion mask" in text
    lines = [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]
    assert "MR T1 3 4 256 x 256 x 22 0.8 x 0.8 x 6.5" in lines
    assert "unknown unnamed 1 1 10 x 10 x 4 1 x 1 x 3" in lines
    assert "healthy 1 (3) - -" in lines and "tumour - 1 (1) 1 (1)" in lines
    assert "Patients are told apart by the sub- part of a BIDS name (6 series)." in lines
    assert "T1 1 BIDS name" in lines
    assert "1 series cannot be used as they are:" in lines and "c[1].nii: truncated" in lines
    assert "notes.dcm: not a DICOM file" in lines and "D/T1.nii: the same voxels as A/T1.nii" in lines
    assert "No problems found." not in text


def test_a_sound_cohort_says_so_and_sizes_are_ranges() -> None:
    rows = [mr("A", "", "T1"), Series("B", modality="MR", contrast="T1", shape=(240, 256, 30), spacing=(0.9, 0.8, 5))]
    text = printed(Cohort.of(".", rows))
    assert "240-256 x 256 x 22-30" in text and "0.8-0.9 x 0.8 x 5-6.5" in text
    assert "No problems found." in text and "split" not in text


def test_what_is_not_shown_stands_where_the_summary_says() -> None:
    rows = [mr(f"{n}", "1", "T1", problems="truncated") for n in range(21)]
    lines = [
        line.strip() for line in printed(Cohort.of(".", rows, {"problems": ["a.dcm: no image"] * 22})).splitlines()
    ]
    assert "and 1 more, in the column problems of the table" in lines
    assert "and 2 more, in the .json beside the table" in lines


def test_series_that_share_a_folder_are_told_by_their_files() -> None:
    rows = [
        Series("A", series=name, path=folder, problems="a gap") for name, folder in (("1", "."), ("2", "."), ("3", "c"))
    ]
    cohort = Cohort.of(".", rows, {"files": {"1": ["b.dcm", "a.dcm", "c.dcm"], "2": ["d.dcm"], "3": ["c/e.dcm"]}})
    told = ["b.dcm and 2 more: a gap", "d.dcm: a gap", "c: a gap"]
    assert cohort.problems == told and told == [line.strip() for line in printed(cohort).splitlines()][-3:]
    assert Cohort.of(".", rows).places(rows) == [".", ".", "c"], "without cohort.json the folder is all that is known"


def test_some_paths_are_shown_as_they_were_read_but_not_of_dicom() -> None:
    rows = [mr(f"P{n}", "v1", contrast) for n in range(9) for contrast in ("T1", "T2")]
    lines = [" ".join(line.replace("│", " ").split()) for line in printed(Cohort.of(".", rows)).splitlines()]
    at = next(n for n, line in enumerate(lines) if line.startswith("┃ Path"))
    assert lines[at].replace("┃", " ").split() == ["Path", "Patient", "Visit", "Modality", "Contrast"]
    assert lines[at + 2 : at + 5] == [f"{p}/T1.nii {p} v1 MR T1" for p in ("P0", "P4", "P8")]
    told_by_headers = [Series("A", "1", "a", "MR", "T1", "[x]", "dicom")]
    assert "How paths were read" not in printed(Cohort.of(".", told_by_headers))
    one = Series("A", "", "a", "MR", "", "[x].png", "png")
    assert "│ [x].png │ A       │ MR" in printed(Cohort.of(".", [one]))
