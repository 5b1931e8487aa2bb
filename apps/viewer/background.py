"""A command of medudl as a process of its own: it outlives the page that began it and is never begun twice."""

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.viewer.source import identify
from medudl.errors import UserError

_TAIL = 4096  # bytes at the end of a file that hold its last lines


class Background:
    """The one process of a kind for a folder, whoever looks at it.

    The process holds a lock on the local disk for as long as it lives, so that its end is known however it came, and a
    process number that is used again is never taken for it. state: the folder of what is known of it.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.state = private_folder() / identify(kind, str(folder.resolve()))

    def start(
        self, arguments: Sequence[str], check: Callable[[], None], *, about: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None, module: str = "medudl.cli",
    ) -> bool:  # fmt: skip
        """Run `medudl`, or another module, with these arguments; False where it runs already.

        check: called alone, before the process begins; what it raises is raised. about: facts that `job` gives back.
        """
        lock = self._lock(patience=0.1)
        if lock is None:
            return False
        try:
            check()
            began = time.time_ns()
            with (self.state / "said.txt").open("wb") as said:
                process = subprocess.Popen(
                    command(arguments, module), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
                    pass_fds=[lock], start_new_session=True, env={**os.environ, **(environment or {})},
                )  # fmt: skip
            job = {"pid": process.pid, "began": began, **(about or {})}
            (self.state / "job.json").write_text(json.dumps(job))
            threading.Thread(target=process.wait, daemon=True).start()
        finally:
            os.close(lock)  # the process has its own copy, and so the lock
        return True

    def runs(self) -> bool:
        """Whether it runs now; cheap."""
        lock = self._lock()
        if lock is not None:
            os.close(lock)
        return lock is None

    def job(self) -> dict[str, Any] | None:
        """pid, began (ns since 1970) and the facts of the last start; None where there was none."""
        try:
            job = json.loads((self.state / "job.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return job if isinstance(job, dict) else None

    def finished(self, file: Path) -> bool:
        """Whether the last start has written this file, which the command writes last, in one move."""
        job = self.job()
        try:
            return job is not None and file.stat().st_mtime_ns >= job["began"]
        except OSError:
            return False

    def fault(self) -> str | None:
        """The last sentence of medudl itself; "" where it said other things only, None where it said nothing."""
        said = [line.strip() for line in tail(self.state / "said.txt") if line.strip()]
        told = [line.removeprefix("medudl: ") for line in said if line.startswith("medudl: ")]
        return told[-1] if told else "" if said else None

    def cancel(self) -> None:
        """Ask it to end."""
        job = self.job()
        if self.runs() and job is not None:
            try:
                os.killpg(int(job["pid"]), signal.SIGTERM)
            except ProcessLookupError:
                return  # it ended in this moment

    def _lock(self, patience: float = 0.0) -> int | None:
        """An open file with the lock, None where the process has it. patience: seconds, since a look takes it too."""
        self.state.mkdir(exist_ok=True)  # what cleans temporary folders may have been here
        file = os.open(self.state / "lock", os.O_CREAT | os.O_RDWR, 0o600)
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


def command(arguments: Sequence[str], module: str = "medudl.cli") -> list[str]:
    """The command line; -P: a folder with scans never becomes a place that Python imports from."""
    return [sys.executable, "-P", "-m", module, *arguments]


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
