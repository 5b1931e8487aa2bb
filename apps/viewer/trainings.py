"""The trainings of the viewed folder, and how each stands, in words."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from apps.viewer.catalogue import Catalogue, CohortFile, read_json
from apps.viewer.process import PLACE, Process
from apps.viewer.words import sentence
from medudl.training.lock import is_trained

_COUNTED = re.compile(r"(learning intensities|preparing scans): (\d+) of (\d+)$")
_ESTIMATE = re.compile(r"about .+ for [\d,]+ steps .+ on the disk.*")
_TOLD = "medudl: "


@dataclass(frozen=True)
class Training:
    """A run, or one that has been started and has no folder yet. method: "" in that case."""

    id: str
    name: str
    path: Path
    method: str = ""


@dataclass(frozen=True)
class State:
    """How a training stands.

    kind: "starting", "preparing", "running", "stopping", "measuring", "elsewhere" (alive); "finished", "stopped",
    "failed", "lost" (ended). told: a sentence. ours: its process can be asked to stop here. resumable: it can go on.
    estimate: the line on time and disk, "" before it is known. began: step and time at which this session began.
    """

    kind: str
    told: str
    ours: bool = False
    resumable: bool = False
    estimate: str = ""
    began: tuple[int, float] | None = None

    @property
    def alive(self) -> bool:
        """Whether a process is at work."""
        return self.kind in ("starting", "preparing", "running", "stopping", "measuring", "elsewhere")


def trainings(catalogue: Catalogue, files: Sequence[CohortFile]) -> list[Training]:
    """Runs of the folder and what was started and has no folder yet; the latest to move comes first."""
    runs = [Training(run.id, run.name, run.path, run.method) for run in catalogue.runs()]
    known = {run.path for run in runs}
    parents = dict.fromkeys([catalogue.folder, *(f.path.parent for f in files), *(path.parent for path in known)])
    for parent in parents:
        for place in sorted((parent / PLACE).glob("*/job.json")):
            path = parent / place.parent.name
            if path not in known:
                runs.append(Training(catalogue.id_of("run", path), path.relative_to(catalogue.folder).as_posix(), path))
    return sorted(runs, key=lambda run: -_moved(run.path))


def _moved(path: Path) -> float:
    """When a training last began or ended, seconds since 1970."""
    times = [Process(path).began]
    try:
        times.append((path / "run.json").stat().st_mtime)
    except OSError:
        pass  # no folder yet, or none any more
    return max(times)


def settings_of(path: Path) -> dict[str, Any]:
    """config.yaml of a run as a tree; {} where it is absent, damaged or cut short: it always holds every section."""
    try:
        tree = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return tree if isinstance(tree, dict) and {"method", "data", "train", "detect"} <= tree.keys() else {}


def steps_of(path: Path) -> int | None:
    """How many steps a run is to take; None where its settings cannot be read."""
    train = settings_of(path).get("train")
    steps = train.get("steps") if isinstance(train, dict) else None
    return steps if isinstance(steps, int) and steps > 0 else None


def state_of(path: Path) -> State:
    """How the training in this run folder stands now: cheap, and never raises."""
    process, meta = Process(path), read_json(path / "run.json")
    meta = meta if isinstance(meta, dict) else {}
    if process.alive():
        return _at_work(process, meta)
    if is_trained(path):
        return State("elsewhere", "It is being trained outside this viewer, in a terminal or on another machine."
                     " Watch it here; stop it there.", began=_began(meta))  # fmt: skip
    return _ended(process, path, meta)


def _at_work(process: Process, meta: dict[str, Any]) -> State:
    said = process.output()
    estimate = next((line for line in reversed(said) if _ESTIMATE.fullmatch(line)), "")
    began = _began(meta)
    under_way = began is not None and began[1] >= process.began - 1
    if process.stopping:
        return State("stopping", "Stopping: it writes a checkpoint and ends.", estimate=estimate)
    if under_way and meta.get("status") == "finished":
        return State(
            "measuring",
            "The steps are done. On the scans it measures what the tasks need: what is normal, where to draw the line.",
            True,
        )
    if under_way:
        return State("running", "Running.", True, estimate=estimate, began=began)
    counted = next((found for line in reversed(said) if (found := _COUNTED.fullmatch(line))), None)
    if counted:
        what = counted[1].capitalize()
        return State("preparing", f"{what}: {counted[2]} of {counted[3]}.", True, estimate=estimate)
    if meta.get("method"):
        return State("preparing", "Preparing the scans.", True, estimate=estimate)
    return State("starting", "Starting: the programs are being loaded.", True)


def _ended(process: Process, path: Path, meta: dict[str, Any]) -> State:
    step = meta["step"] if isinstance(meta.get("step"), int) else 0
    on = f"from step {step:,}" if step else "from the beginning"
    fault = _fault(process, path)
    if fault:
        return State("failed", sentence(fault), resumable=bool(meta))
    if not meta:
        if process.known:
            return State("failed", "It ended before it had begun: stopped, or its folder has been deleted or damaged.")
        return State("lost", "The folder of this training is gone, or its run.json is damaged or half-written.")
    if meta.get("status") == "finished":
        return State("finished", f"Finished after {step:,} steps.")
    if meta.get("status") == "stopped":
        return State("stopped", f"Stopped at step {step:,}, with a checkpoint. It can go on.", resumable=True)
    if process.stopping:
        return State("stopped", f"Stopped before its next checkpoint. It can go on {on}.", resumable=True)
    return State("lost", f"Its process is gone: ended by force, or the machine was restarted. It can go on {on}.",
                 resumable=True)  # fmt: skip


def _fault(process: Process, path: Path) -> str:
    """Why it failed, as its last words say; "" where it did not, or where the run has gone on since."""
    said = process.output()
    told = said[-1].removeprefix(_TOLD) if said and said[-1].startswith(_TOLD) else ""
    crashed = any(line.startswith("Traceback (most recent call last)") for line in said)
    if not (told or crashed) or told.startswith("stopped"):
        return ""
    try:
        later = (path / "run.json").stat().st_mtime > process.said() + 1
    except OSError:
        later = False
    if later:
        return ""
    return told or "It broke off through a fault of ours; what it said last stands under Output"


def _began(meta: dict[str, Any]) -> tuple[int, float] | None:
    began = meta.get("began")
    if isinstance(began, dict) and isinstance(began.get("step"), int) and isinstance(began.get("time"), (int, float)):
        return began["step"], float(began["time"])
    return None


def speed(began: tuple[int, float] | None, step: int, now: float | None = None) -> float | None:
    """Steps a second since this session began, validation included; None before it can be said."""
    if began is None:
        return None
    seconds = (time.time() if now is None else now) - began[1]
    return (step - began[0]) / seconds if step > began[0] and seconds > 0 else None


def duration(seconds: float) -> str:
    """40 s, 12 min or 3 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
