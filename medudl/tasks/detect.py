"""Detect: for each scan a map of what is unusual, the scan as the model expects it, and a score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medudl.config import Data
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import NOTE, Cohort
from medudl.data.identity import KEY_NAME, Key
from medudl.data.inputs import open_input
from medudl.data.sides import Side, side_cases, side_data
from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.calibrate import FILE, calibrate
from medudl.tasks.detector import Detector, shown
from medudl.tasks.folds import one_run
from medudl.tasks.outputs import Folder, WriteError, stems, without_paths
from medudl.tasks.products import Products

__all__ = ["COLUMNS", "calibrate", "cases_in", "detect", "flag", "left_out", "row_of"]

COLUMNS = (
    "subject", "study", "series", "contrast", "score", "threshold", "flagged", "expected_false_alarms",
    "expected_false_alarms_low", "expected_false_alarms_high", "unusual_areas", "unusual_voxels", "map", "problem",
)  # fmt: skip


def detect(
    run: str | Path, input: str | Path, out: str | Path, *, dicom: bool = False, split: str | None = None,
    device: str = "auto", progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Write maps and scores.csv of every scan of INPUT below OUT; returns the scores, one row a scan.

    <name>_anomaly.nii.gz, <name>_expected.nii.gz and <name>_unusual.nii.gz, each with a JSON sidecar, on the grid of
    the scan (of the grid series where several make channels); dicom: a Parametric Map and a Segmentation beside them.
    expected_false_alarms: of one healthy scan, with its 95 % interval. A scan that cannot be read or scored, or that is
    left out (see `left_out`), keeps its row with the reason under `problem`; where that is so for every scan, the first
    reason is raised. split: only this split of a cohort.csv.

    Raises UserError: no run, no readable input, DICOM output asked for other input, OUT not writable.
    """
    opened = one_run(run)
    healthy = _thresholds(opened)
    cohort, cases = cases_in(opened, input, split)
    if dicom:
        check_dicom(cases)
    folder = Folder.create(out, "medudl anomaly maps")
    products = Products(Detector(opened, device), healthy, cohort, folder, dicom)
    rows: list[dict[str, Any]] = []
    first: UserError | None = None
    for number, (case, stem) in enumerate(zip(shown(cases, "detecting", progress), stems(cases), strict=True)):
        try:
            made = products.write(case, stem, number)
            rows.append(row_of(case, **made, **flag(made["score"], healthy)))
        except WriteError:
            raise
        except UserError as error:
            first = first or error
            rows.append(row_of(case, problem=without_paths(str(error), cohort, case.present)))
    if first is not None and all(row["problem"] for row in rows):
        folder.withdraw()
        raise first
    rows += [row_of(case, problem=why) for case, why in left_out(cohort, cases, opened.config.data)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    folder.text("scores.csv", table.to_csv(index=False, lineterminator="\n"))
    return table


def key_of(run: Run, input: str | Path) -> Key | None:
    """The key of the run's pseudonyms, so that a patient is called here as there; None where it cannot be found.

    It lies beside the cohort.csv that the run was trained from, which is looked for around the run and the input.
    """
    cohort = run.cohort()
    if not cohort.key_id:
        return None
    near = [run.path, Path(input), cohort.root]
    for folder in dict.fromkeys(folder for path in near for folder in (path, *path.resolve().parents[:3])):
        if (folder / KEY_NAME).is_file():
            key = Key.load(folder / KEY_NAME)
            if key.id == cohort.key_id:
                return key
    return None


def cases_in(run: Run, input: str | Path, split: str | None, side: Side | None = None) -> tuple[Cohort, list[Case]]:
    """The cohort that INPUT stands for and the cases in it that the run looks at. Raises UserError where none is.

    side: of a translation, whose scans.
    """
    cohort = open_input(input, key_of(run, input))
    if split is not None:
        cohort = cohort.select({}, split)
        if not len(cohort):
            raise UserError(
                f"{input}: holds no scan of split {split}; the splits of --leave-out and --folds stand in"
                f" {run.path / 'cohort.csv'}"
            )
    data = run.config.data
    cases, _ = cases_of(cohort, data) if side is None else side_cases(cohort.select(data.where), data, side)
    if not cases:
        raise _nothing(input, left_out(cohort, cases, data, side))
    return cohort, cases


def left_out(cohort: Cohort, cases: Sequence[Case], data: Data, side: Side | None = None) -> list[tuple[Case, str]]:
    """The scans that `data` asks for and that are not among its `cases`, each as a case of its own, and why not.

    Series that the index found wrong. Where several contrasts make a scan, a study that is left out is named once, by
    one of its series. side: of a translation, whose scans. The reasons hold no path.
    """
    if side is not None:
        data = side_data(data, side)
        if len(data.channels) == 1:  # a contrast or a modality, whose every series is a case: see `side_cases`
            cohort, data = cohort.named(data.channels[0]), data.model_copy(update={"channels": []})
    everything = cases_of(cohort, data.model_copy(update={"channels": [], "grid": None, "repair": True}))[0]
    if not data.channels:
        return _wrong(everything, cohort, data)
    looked_at, found = {(case.subject, case.study) for case in cases}, []
    studies: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in everything:
        if case.grid.contrast in data.channels:
            studies[case.subject, case.study].append(case)
    for study, members in studies.items():
        wrong = _wrong(members, cohort, data)
        if study in looked_at:
            found += wrong
            continue
        reasons = [f"{case.grid.contrast}: {why}" for case, why in wrong]
        lacking = [name for name in data.channels if name not in {case.grid.contrast for case in members}]
        reasons += [f"its study lacks {' and '.join(lacking)}"] if lacking and data.missing == "skip" else []
        found.append((members[0], "; ".join(reasons)))
    return found


def _wrong(cases: Sequence[Case], cohort: Cohort, data: Data) -> list[tuple[Case, str]]:
    """Those whose series the index found wrong, and what keeps them out: its problems without the notes."""
    found = []
    for case in cases:
        if not (case.grid.usable or data.repair):
            told = "; ".join(each for each in case.grid.problems.split("; ") if not each.startswith(NOTE))
            found.append((case, without_paths(told, cohort, case.present)))
    return found


def _nothing(input: str | Path, found: Sequence[tuple[Case, str]]) -> UserError:
    """One line for an input without a case; found: as of `left_out`."""
    if not found:
        return UserError(f"{input}: holds no scan that this run looks at; compare its data.where and data.channels")
    case, why = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return UserError(f"{input}: holds no scan that this run can use: {case.id}: {why}{more};"
                     " docs/data.md tells what can be mended")  # fmt: skip


def check_dicom(cases: list[Case]) -> None:
    """Raise UserError where --dicom cannot be: a case of another format."""
    other = next((case for case in cases if case.grid.format != "dicom"), None)
    if other is not None:
        raise UserError(
            f"{other.id}: --dicom needs DICOM input, and this is {other.grid.format}; leave --dicom out, or give DICOM"
        )


def _thresholds(run: Run) -> dict[str, Any]:
    if not (run.path / FILE).is_file():
        raise UserError(f"{run.path}: has no {FILE}; its training did not end well: run it again with --resume")
    found: dict[str, Any] = run.read_json(FILE)
    return found


def flag(score: float, healthy: dict[str, Any]) -> dict[str, Any]:
    """What the scan threshold says of a score, as columns of scores.csv; nothing without a threshold."""
    scan = healthy["scan"]
    if scan is None:
        return {}
    return {
        "threshold": scan["threshold"],
        "flagged": score > scan["threshold"],
        "expected_false_alarms": scan["expected_false_alarms"],
        "expected_false_alarms_low": scan["low"],
        "expected_false_alarms_high": scan["high"],
    }


def row_of(case: Case, **values: Any) -> dict[str, Any]:
    """A scan's row of scores.csv."""
    told = {"subject": case.subject, "study": case.study, "series": case.grid.series, "contrast": case.grid.contrast}
    return {**dict.fromkeys(COLUMNS), **told, "problem": "", **values}
