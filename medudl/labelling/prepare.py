"""From a store of labels to a training: on which rows, with which classes, and whether it goes on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from medudl.config import Config
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.labels.cohort import NOTES, labelled
from medudl.labels.store import LabelStore
from medudl.methods import method_class, option_names
from medudl.run import Run

__all__ = ["FILE", "Job", "cohort_of", "prepare"]

FILE = "labels.json"  # of a run: how many labels it knew, and how right it is on the labelled random test set
_STORE = "label_store"  # in the meta of the run's cohort: id of the store it was trained from


@dataclass(frozen=True)
class Job:
    """A training on `rows`: to begin, to go on with (resume), or done already (finished) and not yet ranked by."""

    settings: Config
    rows: Cohort
    resume: bool
    finished: bool
    notes: list[str]


def cohort_of(store: LabelStore, path: str | Path | None) -> Cohort:
    """The cohort at `path`; without one, that beside the store. Raises UserError: none there."""
    beside = store.path.parent / "cohort.csv"
    if path is None and not beside.is_file():
        raise UserError(f"{beside}: no such file; say where the store's cohort is with --cohort")
    return Cohort.read(beside if path is None else Path(path))


def prepare(store: LabelStore, settings: Config, out: Path, cohort: Cohort) -> Job:
    """What `train` is to do. Raises UserError: too few labels, a method that does not classify, OUT done or not ours.

    A folder that holds a stopped run is gone on with, on the labels that it began with.
    """
    name = str(settings.method["name"])
    if not hasattr(method_class(name), "classify") or "classes" not in option_names(name):
        raise UserError(
            f"{name}: does not classify; train semi_supervised_gan, label_spreading, or classifier with method.init=RUN"
        )
    settings = _with_classes(settings, store)
    if (out / "run.json").is_file():
        return _begun(store, settings, Run.open(out))
    rows = labelled(store, cohort)
    if lacking := _lacking(store, rows):
        raise UserError(f"{store.path}: too few labels to train on: {'; '.join(lacking)}")
    notes = [str(note) for note in rows.meta.get(NOTES, [])]
    return Job(settings, Cohort(rows.root, rows.table, {**rows.meta, _STORE: store.id}), False, False, notes)


def _begun(store: LabelStore, settings: Config, run: Run) -> Job:
    rows = run.cohort()
    if rows.meta.get(_STORE) != store.id:
        raise UserError(f"{run.path}: holds a run that was not trained from {store.path}; give a new folder")
    if (run.path / FILE).is_file():
        raise UserError(f"{run.path}: is trained, and its order is in the store; give a new folder for the new labels")
    return Job(settings, rows, True, run.meta.get("status") == "finished", [])


def _with_classes(settings: Config, store: LabelStore) -> Config:
    """The classes are the store's, in the order of their keys, unless the config names others."""
    method = dict(settings.method)
    method["classes"] = method.get("classes") or list(store.classes)
    return settings.model_copy(update={"method": method})


def _lacking(store: LabelStore, rows: Cohort) -> list[str]:
    """Each class of which no patient can be learnt from, or none can choose the weights, as a sentence."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in rows.series():
        found[one.label, one.split].add(one.subject)
    lines = []
    for name in store.classes:
        train, val = found[name, "train"], found[name, "val"]
        if not train or not val:
            patients = len(train | val)
            has = "no labelled patient" if not patients else f"{patients} labelled patient" + "s" * (patients > 1)
            lines.append(f"{name} has {has} outside the test set and takes two at least")
    return lines
