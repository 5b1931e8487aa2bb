"""`medudl train` as a process of its own: it outlives the page, the browser and the viewer, and is found again.

What is known of it lies beside the run, in .medudl_train/<run>/: job.json (process, arguments), output.txt (what it
said), lock (held while one is being started).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medudl.errors import UserError
from medudl.state import write_text
from medudl.training.lock import is_trained

PLACE = ".medudl_train"
_TAIL = 64_000  # bytes of the output that are looked at
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Process:
    """The process that trains, or trained, the run folder `run`; started by a viewer, this one or an earlier one."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.place = run.parent / PLACE / run.name

    def start(self, arguments: Sequence[str], folder: Path) -> None:
        """Start `medudl` with these arguments, paths relative to `folder`. One at a time: whoever comes second is told.

        Raises UserError: it is being trained already, or nothing can be written there.
        """
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if self.alive() or is_trained(self.run):
                    raise UserError(f"{self.run.name} is being trained already; choose it in the list to watch it")
                self._begin(list(arguments), folder)
        except PermissionError:
            raise UserError("the opened folder is read-only, and a training writes into it; make it writable, or open"
                            " a copy") from None  # fmt: skip

    def alive(self) -> bool:
        """Whether it runs. A process that has got its number since is never taken for it."""
        job = self._job()
        return bool(job) and identity(int(job["pid"])) == job["identity"]

    def stop(self) -> bool:
        """Ask it to write a checkpoint and end; False where there is nothing to ask."""
        job = self._job()
        if not job:
            return False
        try:
            with _handle(int(job["pid"])) as send:  # from here on the number cannot pass to another process
                if identity(int(job["pid"])) != job["identity"]:
                    return False
                write_text(self.place / "job.json", json.dumps({**job, "stopping": True}))
                send(signal.SIGTERM)
        except ProcessLookupError:
            return False
        return True

    @property
    def known(self) -> bool:
        """Whether a viewer has ever started it."""
        return bool(self._job())

    @property
    def stopping(self) -> bool:
        """Whether it has been asked to stop."""
        return bool(self._job().get("stopping"))

    @property
    def began(self) -> float:
        """When it was started, seconds since 1970; 0 where it never was."""
        return float(self._job().get("began", 0.0))

    def output(self) -> list[str]:
        """The last lines that it said."""
        try:
            with (self.place / "output.txt").open("rb") as stream:
                stream.seek(0, os.SEEK_END)
                stream.seek(max(0, stream.tell() - _TAIL))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line.rstrip() for line in text.splitlines() if line.strip()]

    def said(self) -> float:
        """When it last said something, seconds since 1970; 0 where it never did."""
        try:
            return (self.place / "output.txt").stat().st_mtime
        except OSError:
            return 0.0

    def forget(self) -> None:
        """Remove what is known of a process that has ended. Raises UserError where it runs."""
        if self.alive():
            raise UserError(f"{self.run.name} is being trained; stop it first")
        shutil.rmtree(self.place, ignore_errors=True)

    def _job(self) -> dict[str, Any]:
        try:
            job = json.loads((self.place / "job.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        whole = isinstance(job, dict) and isinstance(job.get("pid"), int) and isinstance(job.get("identity"), str)
        return job if whole and job["identity"] else {}

    def _begin(self, arguments: list[str], folder: Path) -> None:
        with (self.place / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                _command(arguments), cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        job = {"pid": process.pid, "identity": identity(process.pid), "began": time.time(), "arguments": arguments}
        write_text(self.place / "job.json", json.dumps(job))
        threading.Thread(target=process.wait, daemon=True).start()  # so that its end leaves no zombie

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two who press start at once come one after the other."""
        file = os.open(self.place / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)


def _command(arguments: list[str]) -> list[str]:
    # -P: the folder with the scans never becomes a place that Python imports from.
    return [sys.executable, "-P", "-m", "medudl.cli", *arguments]


def identity(pid: int) -> str:
    """What tells a process from any other that has, had or will have its number; "" where it has ended."""
    stat = Path(f"/proc/{pid}/stat")
    if not _BOOT.exists():  # no Linux
        asked = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
        state, _, began = asked.stdout.strip().partition(" ")
        return "" if not state or state.startswith("Z") else began.strip()
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if fields[0] in "ZX" else f"{_BOOT.read_text().strip()} {fields[19]}"


@contextmanager
def _handle(pid: int) -> Iterator[Any]:
    """A way to send a signal to what has this number now. Raises ProcessLookupError where nothing has."""
    if not hasattr(os, "pidfd_open"):
        yield lambda number: os.kill(pid, number)
        return
    file = os.pidfd_open(pid)
    try:
        yield lambda number: signal.pidfd_send_signal(file, number)
    finally:
        os.close(file)
