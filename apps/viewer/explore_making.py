"""`medudl embed` with a run, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from apps.viewer.background import Background, tail
from medudl.data.index_progress import VARIABLE
from medudl.errors import UserError

_LINES = "progress.jsonl"


@dataclass(frozen=True)
class Status:
    """How far it is. state: "idle" (never begun), "running", "done" or "failed".

    what, done, total: the pass that runs and its items, 0 where it said nothing yet. seconds: since it began. error:
    the last line that the process said, "" where it was stopped.
    """

    state: str
    what: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    error: str = ""


class Making:
    """The map of cases of one run into one folder, whoever looks at it."""

    def __init__(self, run: Path, out: Path) -> None:
        self.run, self.out = run, out
        self._process = Background("embed", out)

    def start(self, table: Path, split: str) -> bool:
        """Begin with the scans of a table (of one split, "" for all); False where it runs already.

        Raises UserError where nothing can be written.
        """
        lines = self._process.state / _LINES

        def check() -> None:
            if not os.access(self.out.parent, os.W_OK | os.X_OK):
                raise UserError("The folder is read-only, so that no map can be written into it. Make it writable.")
            lines.write_text("")

        arguments = ["embed", str(self.run), str(table), "-o", str(self.out), "--device", "cpu"]
        arguments += ["--split", split] if split else []
        return self._process.start(arguments, check, environment={VARIABLE: str(lines)})

    def status(self) -> Status:
        """How far it is now; cheap, and never raises."""
        running, job = self._process.runs(), self._process.job()
        if running:
            seconds = time.time() - job["began"] / 1e9 if job else 0.0
            return self._progress(seconds)
        if job is None:
            return Status("idle")
        if self._process.finished(self.out / "embedding.json"):
            return Status("done")
        return Status("failed", error=self._process.fault() or "")

    def cancel(self) -> None:
        """Stop it. Nothing half-written stays: the folder appears in one move at the end."""
        self._process.cancel()

    def _progress(self, seconds: float) -> Status:
        for line in reversed(tail(self._process.state / _LINES)):
            try:
                at = json.loads(line)
                return Status("running", str(at["what"]), int(at["done"]), int(at["total"]), seconds)
            except (ValueError, KeyError, TypeError):  # a line that is being written
                continue
        return Status("running", seconds=seconds)
