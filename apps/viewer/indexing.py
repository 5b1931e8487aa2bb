"""`medudl index` over the viewed folder, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import os
from pathlib import Path

from apps.viewer.background import Background
from apps.viewer.making import LINES, Status, last_pass
from medudl.data.index_progress import VARIABLE
from medudl.errors import UserError

TABLE = "cohort.csv"


class Indexing:
    """The one index of a folder, whoever looks at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._process = Background("indexing", self.folder)

    def start(self) -> bool:
        """Begin; False where it runs already. Raises UserError where the folder takes no table."""
        lines = self._process.state / LINES

        def check() -> None:
            _check_writable(self.folder)
            lines.write_text("")

        arguments = ["index", str(self.folder), "-o", str(self.folder / TABLE)]
        return self._process.start(arguments, check, environment={VARIABLE: str(lines)})

    def status(self) -> Status:
        """How far it is now; cheap, and never raises."""
        if self._process.runs():
            return last_pass(self._process.state / LINES) or Status("running", "Looking for scans")
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


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            "the folder is read-only, so that no table can be written into it; make it writable, or copy it,"
            " or run `medudl index` with a table beside it and open that table: medudl view cohort.csv"
        )
