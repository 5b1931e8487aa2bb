"""Processes that hold a model while somebody walks: started at the first step, ended when idle, never in the server."""

from __future__ import annotations

import hashlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.errors import UserError

START_SECONDS, ANSWER_SECONDS, IDLE_SECONDS = 120.0, 60.0, 300.0
MOST = 2  # models held at once
_BYTES = 64 << 20  # of one answer
_BROKEN = "The model could not draw this picture: its program ended. Try again; train the model anew if it stays so."
_SLOW = "The model takes too long to draw this picture. It may be too large for this computer."


@dataclass(frozen=True)
class Drawn:
    """pictures: uint8 (n, h, w). about: what the worker tells beside them."""

    pictures: NDArray[np.uint8]
    about: dict[str, Any]


class Walkers:
    """Workers, one a run: MOST of them, or as many as are busy; the one unused for longest goes first."""

    def __init__(self, idle: float = IDLE_SECONDS, module: str = "apps.viewer.explore_worker") -> None:
        """module: what each process runs; it speaks as that one does."""
        self._idle, self._module = idle, module
        self._held: OrderedDict[tuple[str, str], _Worker] = OrderedDict()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._sweeper: threading.Thread | None = None

    def ask(self, run: Path, question: Mapping[str, Any]) -> Drawn:
        """Ask the model of a run; waits for its turn. Raises UserError, a sentence."""
        worker = self._worker(run)
        try:
            return worker.ask(question)
        except _Ended as ended:
            self._forget(worker)
            raise UserError(str(ended)) from None

    def close(self) -> None:
        """End all of them."""
        self._closing.set()
        with self._lock:
            for worker in self._held.values():
                worker.end()
            self._held.clear()

    def alive(self) -> int:
        """How many models are held."""
        with self._lock:
            return sum(worker.alive for worker in self._held.values())

    def _worker(self, run: Path) -> _Worker:
        try:
            key = (str(run), _digest(run / "weights.safetensors"))
        except OSError:
            raise UserError("The model of these cases is gone, or its training has not ended.") from None
        with self._lock:
            worker = self._held.pop(key, None)
            if worker is None or not worker.alive:
                worker = _Worker(run, self._module)
            self._held[key] = worker
            spare = [each for each, other in self._held.items() if each != key and not other.busy]
            for each in spare[: max(0, len(self._held) - MOST)]:
                self._held.pop(each).end()
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="walkers", daemon=True)
                self._sweeper.start()
        return worker

    def _forget(self, worker: _Worker) -> None:
        worker.end()
        with self._lock:
            self._held = OrderedDict((key, each) for key, each in self._held.items() if each is not worker)

    def _sweep(self) -> None:
        while not self._closing.wait(min(5.0, self._idle / 2)):
            with self._lock:
                idle = [w for w in self._held.values() if time.monotonic() - w.used > self._idle and not w.busy]
            for worker in idle:
                self._forget(worker)


def _digest(weights: Path) -> str:
    """SHA-256 of the weights; computed anew when their entry on the disk changes. Raises OSError."""
    status = weights.stat()
    return _hashed(weights, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _hashed(path: Path, *entry: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Ended(Exception):
    """The worker is of no use any more; the text is for the screen."""


class _Worker:
    """One process. It ends by itself when our end of its standard input closes, so also when we are killed."""

    def __init__(self, run: Path, module: str) -> None:
        root = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        )  # fmt: skip
        self._turn = threading.Lock()
        self._run, self._opened = run, False
        self.used = time.monotonic()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def busy(self) -> bool:
        return self._turn.locked()

    def ask(self, question: Mapping[str, Any]) -> Drawn:
        with self._turn:
            self.used = time.monotonic()
            if not self._opened:
                self._answer({"run": str(self._run)}, START_SECONDS)
                self._opened = True
            drawn = self._answer(question, ANSWER_SECONDS)
            self.used = time.monotonic()
            return drawn

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        with self._turn:  # whoever waits for an answer hears of the end first
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def _answer(self, question: Mapping[str, Any], seconds: float) -> Drawn:
        until = time.monotonic() + seconds
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
        except (OSError, ValueError):  # ended, or closed by whoever made room for another
            raise _Ended(_BROKEN) from None
        head = json.loads(self._line(until))
        if "problem" in head:
            raise UserError(str(head["problem"]))
        shape = [int(size) for size in head["shape"]]
        data = self._read(int(np.prod(shape)), until)
        return Drawn(np.frombuffer(data, np.uint8).reshape(shape), head.get("about", {}))

    def _line(self, until: float) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._read(1, until)
        return line

    def _read(self, size: int, until: float) -> bytes:
        assert self._process.stdout is not None
        if size > _BYTES:
            raise _Ended(_BROKEN)
        data = bytearray()
        while len(data) < size:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise _Ended(_SLOW)
            piece = os.read(self._process.stdout.fileno(), size - len(data))
            if not piece:
                raise _Ended(_BROKEN)
            data += piece
        return bytes(data)
