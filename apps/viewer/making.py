"""A command of medudl that makes a folder, as a process of its own: begun by a button, watched, stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apps.viewer.background import Background, tail
from medudl.data.index_progress import VARIABLE
from medudl.errors import UserError

LINES = "progress.jsonl"


@dataclass(frozen=True)
class Status:
    """How far it is. state: "idle" (never begun), "running", "done" or "failed".

    what, done, total: the pass that runs and its items, 0 where it said nothing yet. seconds: since it began, or since
    the pass did. error: one line of a failure, "" where it was stopped.
    """

    state: str
    what: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def left(self) -> float | None:
        """Seconds until it ends at its present speed; None before that can be said."""
        if self.seconds < 1 or not self.done:
            return None
        return self.seconds / self.done * (self.total - self.done)


class Job:
    """What one command makes in the folder `out`, whoever looks at it.

    kind: apart from other commands with this folder. last: the file that it writes last, in one move. lack: what cannot
    be written where the folder above is read-only: "no maps".
    """

    def __init__(self, kind: str, out: Path, last: str, lack: str) -> None:
        self.out = out
        self._last, self._lack = last, lack
        self._process = Background(kind, out)

    def begin(self, arguments: Sequence[str], about: Mapping[str, Any] | None = None) -> bool:
        """Run `medudl` with these arguments; False where it runs already. about: facts for `made`.

        Raises UserError where nothing can be written.
        """
        lines = self._process.state / LINES

        def check() -> None:
            if not os.access(self.out.parent, os.W_OK | os.X_OK):
                raise UserError(f"The folder is read-only, so that {self._lack} can be written into it."
                                " Make it writable.")  # fmt: skip
            lines.write_text("")

        return self._process.start(arguments, check, about=about, environment={VARIABLE: str(lines)})

    def status(self) -> Status:
        """How far it is now; cheap, and never raises."""
        running, job = self._process.runs(), self._process.job()
        if job is None:
            return Status("running" if running else "idle")
        if running:
            return replace(self.made(job), seconds=time.time() - job["began"] / 1e9)
        if self._process.finished(self.out / self._last):
            return Status("done")
        return replace(self.made(job), state="failed", seconds=0.0, error=self._process.fault() or "")

    def cancel(self) -> None:
        """Stop it."""
        self._process.cancel()

    def made(self, job: Mapping[str, Any]) -> Status:
        """How much of it is there: what the process itself says."""
        return last_pass(self._process.state / LINES) or Status("running")


def last_pass(path: Path) -> Status | None:
    """The pass that a process wrote of last; None where it wrote of none."""
    for line in reversed(tail(path)):
        try:
            at = json.loads(line)
            return Status("running", str(at["what"]), int(at["done"]), int(at["total"]), float(at.get("seconds", 0)))
        except (ValueError, KeyError, TypeError, AttributeError):  # a line that is being written
            continue
    return None
