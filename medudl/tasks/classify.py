"""Classify: for each scan a class and its calibrated probability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.metrics.classification import fit_temperature, scan_log_probability
from medudl.run import Run
from medudl.tasks.detect import cases_in, left_out
from medudl.tasks.detector import Restored, shown
from medudl.tasks.folds import one_run
from medudl.tasks.outputs import Folder, without_paths

__all__ = ["FILE", "Classification", "calibrate_probabilities", "classify", "learnt_from", "taught_by"]

FILE = "classification.json"
SCANS = "scans.json"  # ids of the cases that a training learnt from and chose its weights on
Array = NDArray[np.float64]


class Classification(Restored):
    """A run that classifies. Raises UserError where its method cannot, or it knows fewer than two classes."""

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.classes: list[str] = list(run.meta.get("classes", []))
        if "classify" not in self.method.verbs() or len(self.classes) < 2:
            raise UserError(f"{run.path}: {self.name} does not classify; train one that does: configs/classifier.yaml")

    def logits(self, cohort: Cohort, case: Case) -> Array:
        """(n, K) of the scan's slices (patches, volume). Raises UserError: unreadable, or it does not fit the run."""
        from medudl.tasks.logits import item_logits  # torch: bad input is answered before it is loaded

        prepared = self.prepared(cohort, case)
        try:
            return item_logits(self.method, prepared, self.data)
        except UserError as error:
            raise UserError(f"{case.id}: {error}") from None

    def temperature(self) -> float:
        """Of the probabilities, learnt on held-out scans."""
        return float(_calibration(self.run)["temperature"])


def classify(
    run: str | Path, input: str | Path, out: str | Path, *, split: str | None = None, device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Write OUT/predictions.csv: class and probabilities of every scan of INPUT, one row a scan; returns it.

    The probability of a scan is the mean over its slices, after temperature scaling on the run's held-out scans. A scan
    that cannot be read, or that is left out (see `detect.left_out`), keeps its row with the reason under `problem`;
    where that is so for every scan, the first reason is raised. split: only this split of a cohort.csv.

    Raises UserError: no run, one that does not classify, no readable input, OUT not writable.
    """
    opened = one_run(run)
    _calibration(opened)
    cohort, cases = cases_in(opened, input, split)
    model = Classification(opened, device)
    temperature = model.temperature()
    folder = Folder.create(out)
    rows: list[dict[str, Any]] = []
    first: UserError | None = None
    for case in shown(cases, "classifying", progress):
        try:
            chance = np.exp(scan_log_probability(model.logits(cohort, case), temperature))
            rows.append(_row(case, model.classes, chance))
        except UserError as error:
            first = first or error
            rows.append(_row(case, model.classes, None, without_paths(str(error), cohort, case.present)))
    if first is not None and all(row["problem"] for row in rows):
        folder.withdraw()
        raise first
    rows += [_row(case, model.classes, None, why) for case, why in left_out(cohort, cases, opened.config.data)]
    table = pd.DataFrame(rows)
    folder.text("predictions.csv", table.to_csv(index=False, lineterminator="\n"))
    return table


def calibrate_probabilities(run: str | Path | Run, *, device: str = "auto") -> dict[str, Any]:
    """Learn the temperature on the labelled scans that chose the weights; written to RUN/classification.json.

    Without such a scan the temperature is 1, and `text` says so.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    model, cohort = Classification(run, device), run.cohort()
    numbers = {name: k for k, name in enumerate(model.classes)}
    logits, truth = [], []
    cases = [case for case in learnt_from(run, cohort, "val") if case.label in numbers]
    for case in cases:
        logits.append(model.logits(cohort, case))
        truth.append(numbers[case.label])
    temperature = fit_temperature(logits, truth) if truth else 1.0
    patients = len({case.subject for case in cases})
    result = {
        "classes": model.classes, "temperature": temperature, "n_scans": len(truth), "n_patients": patients,
        "log_loss_before": _log_loss(logits, truth, 1.0), "log_loss_after": _log_loss(logits, truth, temperature),
        "text": _words(temperature, len(truth), patients),
    }  # fmt: skip
    run.write_json(FILE, result)
    return result


def learnt_from(run: Run, cohort: Cohort, split: str) -> list[Case]:
    """The cases that the run learnt from (train) or chose its weights on (val)."""
    wanted = set(run.read_json(SCANS)[split])
    return [case for case in cases_of(cohort, run.config.data)[0] if case.id in wanted]


def taught_by(run: Run, cohort: Cohort, split: str) -> list[Case]:
    """Those of `learnt_from` whose label the run was shown; a semi-supervised one learns from others too."""
    cases = learnt_from(run, cohort, split)
    named = run.read_json(SCANS).get("labelled")
    return [case for case in cases if named is None or split != "train" or case.id in named]


def _log_loss(logits: Sequence[Array], truth: Sequence[int], temperature: float) -> float | None:
    if not truth:
        return None
    each = [scan_log_probability(one, temperature)[k] for one, k in zip(logits, truth, strict=True)]
    return -float(np.mean(each))


def _words(temperature: float, scans: int, patients: int) -> str:
    if not scans:
        return "No labelled held-out scan: probabilities are as the network gives them, and not calibrated."
    return (
        f"Probabilities were calibrated on the {scans} labelled scans ({patients} patients) that also chose the weights"
        f" (temperature {temperature:.2f})."
    )


def _calibration(run: Run) -> dict[str, Any]:
    if not (run.path / FILE).is_file():
        raise UserError(
            f"{run.path}: has no {FILE}; it does not classify, or its training did not end: run it again with --resume"
        )
    found: dict[str, Any] = run.read_json(FILE)
    return found


def _row(case: Case, classes: Sequence[str], chance: Array | None, problem: str = "") -> dict[str, Any]:
    told = {"subject": case.subject, "study": case.study, "series": case.grid.series, "contrast": case.grid.contrast}
    chances = {f"probability {name}": None if chance is None else chance[k] for k, name in enumerate(classes)}
    predicted = None if chance is None else classes[int(chance.argmax())]
    return {**told, "predicted": predicted, **chances, "problem": problem}
