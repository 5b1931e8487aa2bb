"""`medudl detect` with a run, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.viewer.catalogue import read_json
from apps.viewer.indexing import private_folder, tail
from apps.viewer.source import identify
from medudl.errors import UserError

_LOG = "search.log"


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
    """The search with one run into one folder, whoever looks at it.

    A process holds a lock on the local disk for as long as it lives, so that its end is known however it came.
    """

    def __init__(self, run: Path, out: Path) -> None:
        self.run, self.out = run, out
        self._state = private_folder() / identify("search", str(out.resolve()))
        self._state.mkdir(exist_ok=True)

    def start(self, table: Path, split: str, total: int) -> bool:
        """Begin with the scans of a table (of one split, "" for all); False where it runs already.

        total: how many scans there are. Raises UserError where no maps can be written.
        """
        lock = self._lock(patience=0.1)
        if lock is None:
            return False
        try:
            if not os.access(self.out.parent, os.W_OK | os.X_OK):
                raise UserError("The folder is read-only, so that no maps can be written into it. Make it writable.")
            self._begin(lock, table, split, total)
        finally:
            os.close(lock)  # the process has its own copy, and so the lock
        return True

    def status(self) -> Status:
        """How far it is now; cheap, and never raises."""
        lock = self._lock()
        job: Any = read_json(self._state / "job.json")
        job = job if isinstance(job, dict) else None
        if lock is None:
            began = job["began"] if job else time.time()
            made = self._made(began)
            return Status("running", made, job["total"] if job else 0, time.time() - began)
        os.close(lock)
        if job is None:
            return Status("idle")
        try:
            written = (self.out / "scores.csv").stat().st_mtime
        except OSError:
            written = 0.0
        if written >= job["began"]:
            return Status("done")
        said = [line.strip() for line in tail(self._state / _LOG) if line.startswith("medudl: ")]
        return Status("failed", self._made(job["began"]), job["total"],
                      error=said[-1].removeprefix("medudl: ") if said else "")  # fmt: skip

    def cancel(self) -> None:
        """Stop it; maps that are made stay, without scores they are not shown."""
        lock, job = self._lock(), read_json(self._state / "job.json")
        if lock is not None:
            os.close(lock)
        elif isinstance(job, dict):
            try:
                os.killpg(int(job["pid"]), signal.SIGTERM)
            except ProcessLookupError:
                return  # it ended in this moment

    def _made(self, began: float) -> int:
        """Maps that were written since then; the last file of each scan is what counts."""
        try:
            with os.scandir(self.out) as entries:
                return sum(e.name.endswith("_anomaly.nii.gz") and e.stat().st_mtime >= began for e in entries)
        except OSError:
            return 0

    def _lock(self, patience: float = 0.0) -> int | None:
        """An open file with the lock, None where the process has it. patience: seconds, since a look takes it too."""
        file = os.open(self._state / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(file)
                    return None
            time.sleep(0.01)

    def _begin(self, lock: int, table: Path, split: str, total: int) -> None:
        began = time.time()
        # -P: the folder with the scans never becomes a place that Python imports from.
        command = [sys.executable, "-P", "-m", "medudl.cli", "detect", str(self.run), str(table), "-o", str(self.out)]
        command += ["--split", split] if split else []
        with (self._state / _LOG).open("wb") as stream:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, pass_fds=[lock],
                start_new_session=True,
            )  # fmt: skip
        (self._state / "job.json").write_text(json.dumps({"pid": process.pid, "began": began, "total": total}))
        threading.Thread(target=process.wait, daemon=True).start()
