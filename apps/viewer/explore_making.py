"""`medudl embed` with a run, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

from pathlib import Path

from apps.viewer.making import Job


class Making(Job):
    """The map of cases of one run into one folder, which appears in one move at the end."""

    def __init__(self, run: Path, out: Path) -> None:
        super().__init__("embed", out, "embedding.json", "no map")
        self.run = run

    def start(self, table: Path, split: str) -> bool:
        """Begin with the scans of a table (of one split, "" for all). As `begin`."""
        arguments = ["embed", str(self.run), str(table), "-o", str(self.out), "--device", "cpu"]
        return self.begin([*arguments, *(["--split", split] if split else [])])
