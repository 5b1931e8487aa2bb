"""Evaluate: a run on scans it has not seen, beside trivial baselines, with intervals by patient and a verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.report.collect import collect
from medudl.report.records import Record
from medudl.run import Run
from medudl.tasks.calibrate import FILE
from medudl.tasks.detector import Detector
from medudl.tasks.folds import cross_conformal, runs_of
from medudl.tasks.outputs import Folder


def evaluate(
    run: str | Path, cohort: str | Path | None = None, *, split: str = "test", out: str | Path,
    device: str = "auto", progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write OUT/report.json and OUT/report.html; returns the former's content.

    run: a run, or the folder of its folds, whose held-out patients are pooled. cohort: another cohort.csv; by default
    the run's own. The closing line is `verdict`; `beats` is true, false, or null where there is no verdict.

    Raises UserError: no run, nothing in the split, OUT not writable.
    """
    from medudl.report.page import page
    from medudl.report.summary import summarise

    runs = runs_of(run)
    rows = None if cohort is None else Cohort.read(Path(cohort))
    calibration = _calibration(runs)
    folder = Folder.create(out)
    records: list[Record] = []
    notes: list[str] = []
    for fold, one in enumerate(runs):
        found, told = collect(Detector(one, device), rows or one.cohort(), split, fold, progress)
        records += found
        notes += told
    if not records:
        raise UserError(f"split {split}: not one scan could be scored ({notes[-1] if notes else 'none is there'})")
    tree = {**summarise(records, runs[0].config, calibration, split), "notes": list(dict.fromkeys(notes))}
    folder.text("report.json", json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    folder.text("report.html", page(tree, records, tree["notes"]))
    return tree


def _calibration(runs: list[Run]) -> dict[str, Any]:
    for run in runs:
        if not (run.path / FILE).is_file():
            raise UserError(f"{run.path}: has no {FILE}; its training did not end well: run it again with --resume")
    found: dict[str, Any] = cross_conformal(runs) if len(runs) > 1 else runs[0].read_json(FILE)
    return found
