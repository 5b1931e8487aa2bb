"""`medudl sample` with a run, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from apps.viewer.background import Background, tail
from apps.viewer.explore_making import Status
from medudl.data.index_progress import VARIABLE
from medudl.errors import UserError

_LINES = "progress.jsonl"


class Sampling:
    """The samples of one run into one folder, whoever looks at it."""

    def __init__(self, run: Path, out: Path) -> None:
        self.run, self.out = run, out
        self._process = Background("sample", out)

    def start(self, n: int, seed: int) -> bool:
        """Begin with n samples; False where it runs already. Raises UserError where nothing can be written."""
        lines = self._process.state / _LINES

        def check() -> None:
            if not os.access(self.out.parent, os.W_OK | os.X_OK):
                raise UserError("The folder is read-only, so that no samples can be written into it. Make it writable.")
            lines.write_text("")

        arguments = ["sample", str(self.run), "-n", str(n), "-o", str(self.out), "--seed", str(seed)]
        return self._process.start(arguments, check, about={"total": n}, environment={VARIABLE: str(lines)})

    def status(self) -> Status:
        """How far it is now; cheap, and never raises."""
        running, job = self._process.runs(), self._process.job()
        if running:
            return self._progress(time.time() - job["began"] / 1e9 if job else 0.0)
        if job is None:
            return Status("idle")
        if self._process.finished(self.out / "samples.json"):
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
