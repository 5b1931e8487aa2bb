"""`medudl detect` with a run, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.viewer.background import Background
from medudl.errors import UserError


@dataclass(frozen=True)
class Status:
    """How far it is. state: "idle" (never begun), "running", "done" or "failed". done, total: scans.

    seconds: since it began. error: the last line that the process said, "" where it was stopped.
    """

    state: str
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def left(self) -> float | None:
        """Seconds until it ends at its present speed; None before that can be said."""
        return None if not self.done else self.seconds / self.done * (self.total - self.done)


class Searching:
    """The search with one run into one folder, whoever looks at it."""

    def __init__(self, run: Path, out: Path) -> None:
        self.run, self.out = run, out
        self._process = Background("search", out)

    def start(self, table: Path, split: str, total: int) -> bool:
        """Begin with the scans of a table (of one split, "" for all); False where it runs already.

        total: how many scans there are. Raises UserError where no maps can be written.
        """
        arguments = ["detect", str(self.run), str(table), "-o", str(self.out)]
        arguments += ["--split", split] if split else []
        return self._process.start(arguments, self._check_writable, about={"total": total})

    def status(self) -> Status:
        """How far it is now; cheap, and never raises."""
        running, job = self._process.runs(), self._process.job()
        if job is None:
            return Status("running" if running else "idle")
        made = self._made(job)
        if running:
            return Status("running", made, job["total"], time.time() - job["began"] / 1e9)
        if self._process.finished(self.out / "scores.csv"):
            return Status("done")
        return Status("failed", made, job["total"], error=self._process.fault() or "")

    def cancel(self) -> None:
        """Stop it; maps that are made stay, without scores they are not shown."""
        self._process.cancel()

    def _check_writable(self) -> None:
        if not os.access(self.out.parent, os.W_OK | os.X_OK):
            raise UserError("The folder is read-only, so that no maps can be written into it. Make it writable.")

    def _made(self, job: dict[str, Any]) -> int:
        """Maps that were written since it began; the last file of each scan is what counts."""
        try:
            with os.scandir(self.out) as entries:
                maps = [entry for entry in entries if entry.name.endswith("_anomaly.nii.gz")]
                return sum(entry.stat().st_mtime_ns >= job["began"] for entry in maps)
        except OSError:
            return 0
