"""`medudl sample` with a run, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

from pathlib import Path

from apps.viewer.making import Job


class Sampling(Job):
    """The samples of one run into one folder, which appears in one move at the end."""

    def __init__(self, run: Path, out: Path) -> None:
        super().__init__("sample", out, "samples.json", "no samples")
        self.run = run

    def start(self, n: int, seed: int) -> bool:
        """Begin with n samples. As `begin`."""
        return self.begin(["sample", str(self.run), "-n", str(n), "-o", str(self.out), "--seed", str(seed)])
