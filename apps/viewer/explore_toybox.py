"""A toy in training, as a process of its own: at most one of a kind for a viewed folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from apps.viewer.background import Background

KINDS = ("roll", "pictures")
_ROOT = Path(__file__).parents[2]


class Toy:
    """The toy of this kind, whoever plays with it. What it tells lies in this user's private folder."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._process = Background(f"toy-{kind}", folder)
        self._file = self._process.state / "told.json"

    def start(self, settings: dict[str, float]) -> bool:
        """Train from the beginning; False where it is being trained. Raises UserError: this computer cannot."""
        paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        return self._process.start(
            [self.kind, str(self._file), json.dumps(settings)], lambda: self._file.unlink(missing_ok=True),
            environment={"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}, module="apps.viewer.explore_toys",
        )  # fmt: skip

    def stop(self) -> None:
        """Ask it to end; what it drew last stays."""
        self._process.cancel()

    @property
    def running(self) -> bool:
        """Whether it is being trained."""
        return self._process.runs()

    @property
    def began(self) -> int:
        """Which training this is: another number for each start, 0 before the first."""
        job = self._process.job()
        return int(job["began"]) // 1_000_000 if job else 0

    def told(self) -> dict[str, Any]:
        """What it drew last, `running`, and `problem` where it ended before its time. Never raises."""
        running = self.running
        try:
            told = json.loads(self._file.read_text())
        except (OSError, ValueError):
            told = {}
        if not isinstance(told, dict):
            told = {}
        early = not running and self.began > 0 and told.get("done", 0) < told.get("total", 1)
        return {**told, "running": running, "problem": _EARLY if early else ""}


_EARLY = "The training ended before its time. Press the button to begin again."
