"""A folder of folds: `fold-0`, `fold-1`, ..., each a run that held other patients out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.calibrate import FILE, Healthy, summary


def runs_of(path: str | Path) -> list[Run]:
    """The one run that `path` is, or the runs of its folds, in order. Raises UserError where it is neither."""
    path = Path(path)
    folds = sorted(path.glob("fold-*/run.json"), key=lambda p: (len(p.parent.name), p.parent.name))
    if (path / "run.json").is_file() or not folds:
        return [Run.open(path)]
    return [Run.open(fold.parent) for fold in folds]


def one_run(path: str | Path) -> Run:
    """The run at `path`. Raises UserError for a folder of folds, naming what to give instead."""
    runs = runs_of(path)
    if len(runs) > 1 or runs[0].path != Path(path):
        raise UserError(f"{path}: holds {len(runs)} folds; give one of them, for example {runs[0].path}")
    return runs[0]


def cross_conformal(runs: list[Run]) -> dict[str, Any]:
    """Scan threshold from the held-out healthy scans of all folds together (cross-conformal, Vovk 2015).

    Each fold's model scored patients that it had not seen. The promise on average is that of split-conformal; proven
    is only twice the rate. Voxel thresholds stay with their folds, whose maps differ in scale. Raises UserError where
    a fold has not been calibrated.
    """
    parts = [run.read_json(FILE) for run in runs]
    scans = [Healthy(**scan) for part in parts for scan in part.get("scans", [])]
    pooled = summary(scans, None, runs[0].config.detect)
    if pooled["scan"] is not None:
        pooled["scan"]["rule"] = f"cross-conformal over {len(runs)} folds (proven: at most twice the rate)"
    return pooled
