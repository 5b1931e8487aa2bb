"""Train now: `medudl label STORE train` as a process of its own, watched by whoever labels."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from apps.viewer.label_desk import Pool
from apps.viewer.process import PLACE, Process
from apps.viewer.train_words import safe
from apps.viewer.trainings import State, duration, speed, state_of, steps_of
from apps.viewer.words import count
from medudl.errors import UserError
from medudl.training.course import Course

CONFIG = "label.yaml"
_NEEDED = 2  # patients with a label of each class: one to learn from, one to choose the best weights on


def training_of(pool: Pool) -> dict[str, Any]:
    """How the newest model stands, as the browser is told it.

    told: a sentence, "" before the first. share: of its steps, None where nobody knows. alive: whether it is at work.
    fresh: labels that the newest ranking has not seen. lack: what keeps a training from beginning.
    """
    run = newest(pool.store.path)
    state = state_of(run) if run else None
    told, share = _progress(run, state) if run and state else ("", None)
    kept, found = pool.store.rankings(), learnable(pool)
    known = kept[-1][2] if kept else 0
    return {"told": told, "share": share, "alive": bool(state and state.alive),
            "fresh": max(len(found) - known, 0), "lack": lack(pool, found)}  # fmt: skip


def begin(pool: Pool) -> None:
    """Start it. Raises UserError: a label is missing, one is at work, or nothing can be written."""
    if missing := lack(pool, learnable(pool)):
        raise UserError(missing)
    run, folder = newest(pool.store.path), pool.catalogue.folder
    if run and state_of(run).alive:
        raise UserError("A training is at work already; it ends first.")
    place = free_run(pool.store.path)
    Process(place).start(arguments(pool, place), folder)


def arguments(pool: Pool, run: Path) -> list[str]:
    """The words behind `medudl`, paths relative to the opened folder.

    label.yaml beside the store says how to train; without it the config that the command itself takes.
    """
    store, folder = pool.store.path, pool.catalogue.folder

    def near(path: Path) -> str:
        return Path(os.path.relpath(path, folder)).as_posix()

    own = store.parent / CONFIG
    words = ["label", near(store), "train", *([near(own)] if own.is_file() else []), "-o", near(run)]
    if pool.file is not None:
        words += ["--cohort", near(pool.file.path)]
    return words if own.is_file() else [*words, "--set", f"data.where={_where(pool)}"]


def _where(pool: Pool) -> str:
    """The contrast of the cases where they have one and the same; else all that they show is learnt from."""
    contrasts = {row.contrast for rows in pool.rows.values() for row in rows}
    (only, *others) = sorted(contrasts) or [""]
    return "{}" if others or not only else json.dumps({"contrast": only})


def learnable(pool: Pool) -> dict[str, str]:
    """Case -> class of all that a model may learn from: agreed on, and not of the test set."""
    return {case: value for case, value in pool.store.truth().items()
            if case in pool.cases and not pool.cases[case].test}  # fmt: skip


def lack(pool: Pool, found: dict[str, str]) -> str:
    """What is missing for a training on what is `learnable`, "" where nothing is."""
    patients: dict[str, set[str]] = defaultdict(set)
    for case, value in found.items():
        patients[value].add(pool.cases[case].subject)
    thin = [f'"{name}" has {len(patients[name]) or "none"}' for name in pool.store.classes
            if len(patients[name]) < _NEEDED]  # fmt: skip
    if not thin:
        return ""
    told = f"A model needs each class in {_NEEDED} patients outside the test set: {', '.join(thin)}."
    if waiting := len(pool.store.conflicts()):
        told += f" {count(waiting, 'case')} on which readers differ will count once decided (J)."
    return told


def newest(store: Path) -> Path | None:
    """The run that was begun here last, None before the first."""
    places = (store.parent / PLACE).glob(f"{_stem(store)}-*/job.json")
    runs = [store.parent / place.parent.name for place in places if place.parent.name.rpartition("-")[2].isdecimal()]
    return max(runs, key=lambda run: Process(run).began, default=None)


def free_run(store: Path) -> Path:
    """Where the next model goes."""
    runs = (store.parent / f"{_stem(store)}-{n}" for n in range(1, 10_000))
    return next(run for run in runs if not run.exists() and not Process(run).place.exists())


def _stem(store: Path) -> str:
    return f"{store.stem}-model"


def _progress(run: Path, state: State) -> tuple[str, float | None]:
    told = safe(state.told, run)
    total = steps_of(run)
    course = Course(run / "log.jsonl")
    try:
        course.update()
    except OSError:
        return told, None
    if not (state.alive and total and course.step):
        return told, None
    rate = speed(state.began, course.step) if state.kind == "running" else None
    left = f", about {duration((total - course.step) / rate)} left" if rate else ""
    if state.kind == "running":
        told = f"Training: step {course.step:,} of {total:,}{left}."
    return told, min(course.step / total, 1.0)
