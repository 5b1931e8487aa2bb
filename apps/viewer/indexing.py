"""`medudl index` over the viewed folder, as a process of its own that outlives the page and is never started twice."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from apps.viewer.source import identify
from medudl.data.index_progress import VARIABLE
from medudl.errors import UserError

TABLE = "cohort.csv"
_TAIL = 4096  # bytes at the end of a file that hold its last lines


@dataclass(frozen=True)
class Status:
    """How far it is. state: "idle" (never begun), "running", "done" or "failed".

    what, done, total, seconds: the pass that runs, its items, and how long it has run. error: one line of a failure,
    "" where it was stopped.
    """

    state: str
    what: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def left(self) -> float | None:
        """Seconds until the pass ends at its present speed; None before that can be said."""
        if self.seconds < 1 or not self.done:
            return None
        return self.seconds / self.done * (self.total - self.done)


class Indexing:
    """The one index of a folder, whoever looks at it.

    A process holds a lock on the local disk for as long as it lives, so that its end is known however it came, and a
    process number that is used again is never taken for it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._state = private_folder() / identify("indexing", str(self.folder))

    def start(self) -> bool:
        """Begin; False where it runs already. Raises UserError where the folder takes no table."""
        lock = self._lock(patience=0.1)
        if lock is None:
            return False
        try:
            _check_writable(self.folder)
            self._begin(lock)
        finally:
            os.close(lock)  # the process has its own copy, and so the lock
        return True

    def status(self) -> Status:
        """How far it is now; cheap, and never raises."""
        lock = self._lock()
        if lock is None:
            return self._progress()
        os.close(lock)
        job = self._job()
        return Status("idle") if job is None else self._end(job)

    def cancel(self) -> None:
        """Stop it. Nothing half-written stays: the table is written in one move at the end."""
        lock = self._lock()
        job = self._job()
        if lock is not None:
            os.close(lock)
        elif job is not None:
            try:
                os.killpg(int(job["pid"]), signal.SIGTERM)
            except ProcessLookupError:
                return  # it ended in this moment

    def _lock(self, patience: float = 0.0) -> int | None:
        """An open file with the lock, None where the process has it. patience: seconds, since a look takes it too."""
        self._state.mkdir(exist_ok=True)  # what cleans temporary folders may have been here
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

    def _begin(self, lock: int) -> None:
        lines, errors = self._state / "progress.jsonl", self._state / "errors.txt"
        lines.write_text("")
        began = time.time_ns()
        with errors.open("wb") as stream:
            process = subprocess.Popen(
                _command(self.folder), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stream,
                pass_fds=[lock], start_new_session=True, env={**os.environ, VARIABLE: str(lines)},
            )  # fmt: skip
        job = {"pid": process.pid, "began": began}
        (self._state / "job.json").write_text(json.dumps(job))
        threading.Thread(target=process.wait, daemon=True).start()

    def _job(self) -> dict[str, int] | None:
        try:
            job = json.loads((self._state / "job.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return job if isinstance(job, dict) else None

    def _progress(self) -> Status:
        for line in reversed(tail(self._state / "progress.jsonl")):
            try:
                at = json.loads(line)
            except ValueError:  # a line that is being written
                continue
            return Status("running", at["what"], at["done"], at["total"], at["seconds"])
        return Status("running", "Looking for scans")

    def _end(self, job: dict[str, int]) -> Status:
        try:
            written = (self.folder / TABLE).stat().st_mtime_ns
        except OSError:
            written = 0
        if written >= job["began"]:
            return Status("done")
        said = [line for line in tail(self._state / "errors.txt") if line.strip()]
        told = [line.removeprefix("medudl: ") for line in said if line.startswith("medudl: ")]
        if told:
            return Status("failed", error=told[-1])
        return Status("failed", error="indexing broke off; run `medudl index` in a terminal to see why" if said else "")


def _command(folder: Path) -> list[str]:
    # -P: the folder with the scans never becomes a place that Python imports from.
    return [sys.executable, "-P", "-m", "medudl.cli", "index", str(folder), "-o", str(folder / TABLE)]


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            "the folder is read-only, so that no table can be written into it; make it writable, or copy it,"
            " or run `medudl index` with a table beside it and open the folder that holds both"
        )


def tail(path: Path) -> list[str]:
    """The last lines of a file, none where there is no file."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL))
            return stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def private_folder() -> Path:
    """A folder of this user's alone on the local disk: a lock on a network share may not be one."""
    folder = Path(tempfile.gettempdir()) / f"medudl-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise UserError(f"{folder}: is not yours alone, so that nothing is written there; remove it")
    return folder
