"""`medudl detect` with a run, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.viewer.making import Job, Status


class Searching(Job):
    """The search with one run into one folder. Where it is stopped, maps stay, but without scores none is shown."""

    def __init__(self, run: Path, out: Path) -> None:
        super().__init__("search", out, "scores.csv", "no maps")
        self.run = run

    def start(self, table: Path, split: str, total: int) -> bool:
        """Begin with the scans of a table (of one split, "" for all), `total` of them. As `begin`."""
        arguments = ["detect", str(self.run), str(table), "-o", str(self.out)]
        return self.begin([*arguments, *(["--split", split] if split else [])], {"total": total})

    def made(self, job: Mapping[str, Any]) -> Status:
        """Maps that were written since it began; the last file of each scan is what counts."""
        try:
            with os.scandir(self.out) as entries:
                maps = [entry for entry in entries if entry.name.endswith("_anomaly.nii.gz")]
                done = sum(entry.stat().st_mtime_ns >= job["began"] for entry in maps)
        except OSError:
            done = 0
        return Status("running", done=done, total=job["total"])
