"""What are labels worth? Classifiers on growing numbers of labels: from labels alone, and with what else there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from medudl.config import Config
from medudl.curves.arms import arms_of
from medudl.curves.fits import fitted
from medudl.curves.scans import Scans, same_test
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.methods.looks import Looks
from medudl.report.label_curve import SHARES, Cost, Fit, Unit, summarise
from medudl.report.label_curve_page import page
from medudl.run import Run
from medudl.tasks.outputs import Folder
from medudl.training.distributed import launch
from medudl.training.stop import StopSignals

__all__ = ["label_curve"]


def label_curve(
    runs: Sequence[str | Path], settings: Config, out: str | Path, *, overrides: Sequence[str] = (),
    cohort: str | Path | None = None, seeds: int = 5, labels: Sequence[int] = (), store: str | Path | None = None,
    progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write OUT/label_curve.json and OUT/label_curve.html; returns the former's content.

    runs: of any method that a classifier can stand on: the classifier of `settings` is trained from each, and from
    scratch with the same body; and of methods that classify: trained anew with their own settings, changed by
    `overrides`; one that learns from unlabelled scans (semi_supervised_gan, label_spreading) in all its ways beside its
    labels alone. Each on 5, 10, 20, 50 and 100 % of the labelled patients, or on so many of them a class as `labels`
    says (and as many at most to choose the weights); smaller amounts lie within larger ones; `seeds` times each. Beside
    them logistic regression on 28 x 28 pixels. All are compared on the test split of `cohort` (default: that of the
    first run). store: a store of labels, for what a label costs in minutes. Fits that are finished stay in OUT/fits:
    the same command goes on where it was stopped.

    Raises UserError: no run, no labelled test scan, a run that has seen the test patients, OUT of other settings.
    """
    rows = Run.open(runs[0]).cohort() if cohort is None else Cohort.read(Path(cohort))
    cost = None if store is None else cost_of(store)
    unit: Unit = "per_class" if labels else "share"
    amounts: Sequence[float] = _checked(labels) or SHARES
    arms = arms_of([str(run) for run in runs], settings, overrides, rows)
    folder = Folder.create(out)
    fits = Folder.create(folder.path / "fits").path
    jobs = [(arm, amount, seed) for seed in range(seeds) for amount in amounts for arm in arms]
    made: list[Fit] = []
    with _bar(progress) as bar, StopSignals() as stop:
        task = bar.add_task("", total=len(jobs))
        scans = {key: Scans(arm, rows) for key, arm in {arm.key: arm for arm in arms}.items()}
        same_test([scans[arm.key] for arm in arms])
        _enough(scans[arms[0].key], amounts, unit)
        looks = Looks()
        fabrics = {arm.name: launch(arm.config.train) for arm in arms}
        for arm, amount, seed in jobs:
            told = f"{amount:.0%} of the labels" if unit == "share" else f"{amount:.0f} labels a class"
            bar.update(task, description=f"{arm.name}, {told}, seed {seed}")
            made.append(fitted(arm, amount, unit, seed, scans[arm.key], fits, fabrics[arm.name], stop, looks))
            bar.advance(task)
    tested = scans[arms[0].key]
    pairs = {arm.name: arm.against for arm in arms if arm.against}
    tree = summarise(made, tested.truth, tested.subjects, tested.classes, pairs, unit=unit, cost=cost)
    folder.text("label_curve.json", json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    folder.text("label_curve.html", page(tree))
    return tree


def cost_of(path: str | Path) -> Cost:
    """Median seconds of the first reads in a store of labels. Raises UserError: none there that was timed."""
    from medudl.labels.store import LabelStore

    store = LabelStore.open(path)
    seconds = [one.seconds for one in store.labels() if one.occasion == 0 and one.seconds is not None]
    if not seconds:
        raise UserError(
            f"{store.path}: no label in it was timed; label some cases on the Label page, or leave --store out"
        )
    return Cost(float(np.median(seconds)), len(seconds), store.unit)


def _checked(labels: Sequence[int]) -> list[float]:
    if any(count < 1 for count in labels):
        raise UserError("--labels: so many labels a class, 1 at least, such as --labels 5,10,50")
    return sorted({float(count) for count in labels})


def _enough(scans: Scans, amounts: Sequence[float], unit: Unit) -> None:
    """Raise UserError where a class has fewer labelled patients than the largest amount."""
    if unit == "share":
        return
    patients = {name: len({c.subject for c in scans.labelled["train"] if c.label == name}) for name in scans.classes}
    fewest = min(patients, key=lambda name: patients[name])
    if patients[fewest] < max(amounts):
        raise UserError(
            f"--labels {max(amounts):.0f}: the train split has {patients[fewest]} labelled patients of {fewest};"
            " ask for fewer"
        )


def _bar(progress: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn(compact=True))  # fmt: skip
    return Progress(*columns, console=Console(stderr=True), disable=not progress)
