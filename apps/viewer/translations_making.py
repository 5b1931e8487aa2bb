"""`medudl translate` with a run, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.viewer.making import Job, Status


class Translating(Job):
    """The translation with one run into one folder. Where it is stopped, volumes stay, but without a table."""

    def __init__(self, run: Path, out: Path) -> None:
        super().__init__("translate", out, "translations.csv", "no synthetic scans")
        self.run = run

    def start(self, table: Path, split: str, to: str, total: int) -> bool:
        """Begin with the scans of a table (of one split, "" for all), `total` of them. As `begin`."""
        arguments = ["translate", str(self.run), str(table), "-o", str(self.out), "--to", to]
        return self.begin([*arguments, *(["--split", split] if split else [])], {"total": total})

    def made(self, job: Mapping[str, Any]) -> Status:
        """Scans with a synthetic volume that was written since it began."""
        try:
            with os.scandir(self.out) as entries:
                new = [entry.name for entry in entries
                       if entry.name.endswith(".nii.gz") and entry.stat().st_mtime_ns >= job["began"]]  # fmt: skip
        except OSError:
            new = []
        # Of several contrasts each scan has several volumes.
        done = len({name.rpartition("_synthetic-")[0] for name in new if "_synthetic-" in name})
        return Status("running", done=done, total=int(job.get("total", 0)))
