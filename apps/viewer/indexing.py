"""`medudl index` over the viewed folder, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from apps.viewer.background import Background, tail
from medudl.data.index_progress import VARIABLE
from medudl.errors import UserError

TABLE = "cohort.csv"
_LINES = "progress.jsonl"


@dataclass(frozen=True)
class Status:
    """How far it is. state: "idle" (never begun), "running", "done" or "failed".

    what, done, total, seconds: the pass that runs, its items, and how long it has run. error: one line of a failure,
    "" where it was stopped.
    """

    state: str
    what: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def left(self) -> float | None:
        """Seconds until the pass ends at its present speed; None before that can be said."""
        if self.seconds < 1 or not self.done:
            return None
        return self.seconds / self.done * (self.total - self.done)


class Indexing:
    """The one index of a folder, whoever looks at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._process = Background("indexing", self.folder)

    def start(self) -> bool:
        """Begin; False where it runs already. Raises UserError where the folder takes no table."""
        lines = self._process.state / _LINES

        def check() -> None:
            _check_writable(self.folder)
            lines.write_text("")

        arguments = ["index", str(self.folder), "-o", str(self.folder / TABLE)]
        return self._process.start(arguments, check, environment={VARIABLE: str(lines)})

    def status(self) -> Status:
        """How far it is now; cheap, and never raises."""
        if self._process.runs():
            return self._progress()
        if self._process.job() is None:
            return Status("idle")
        if self._process.finished(self.folder / TABLE):
            return Status("done")
        fault = self._process.fault()
        broke_off = "indexing broke off; run `medudl index` in a terminal to see why"
        return Status("failed", error=broke_off if fault == "" else fault or "")

    def cancel(self) -> None:
        """Stop it. Nothing half-written stays: the table is written in one move at the end."""
        self._process.cancel()

    def _progress(self) -> Status:
        for line in reversed(tail(self._process.state / _LINES)):
            try:
                at = json.loads(line)
            except ValueError:  # a line that is being written
                continue
            return Status("running", at["what"], at["done"], at["total"], at["seconds"])
        return Status("running", "Looking for scans")


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            "the folder is read-only, so that no table can be written into it; make it writable, or copy it,"
            " or run `medudl index` with a table beside it and open that table: medudl view cohort.csv"
        )
