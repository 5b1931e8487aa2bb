"""One worker process of `guard`: its pipes, its deadline, and why it ended."""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import time
from typing import Any

from medudl.data.guard_answers import answer

CHUNK = 64  # items sent at once
_START = "import sys; sys.path[:] = sys.argv[3:]; from medudl.data.guard_worker import work; work(*sys.argv[1:3])"
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1"
)
_HEADER = struct.Struct("<Q")
_LOAD_SECONDS = 60.0  # importing a reader on a busy machine
_WALL = 10.0  # wall time allowed: this many times the processor time, for slow disks


class Worker:
    """One process, its pipes and its deadline."""

    def __init__(self, seconds: float, memory_mb: int) -> None:
        command = [sys.executable, "-c", _START, str(seconds), str(memory_mb), *sys.path]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # a byte for each item begun
            env={**os.environ, **_ONE_THREAD},
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.input, self.output, self.marks = self.process.stdin, self.process.stdout, self.process.stderr
        os.set_blocking(self.marks.fileno(), False)
        self.wall = max(_WALL * seconds, 5.0)
        self.allowed = self.deadline = 0.0
        self.buffer = bytearray()
        self.function = b""
        self.loaded = False  # it has imported the function
        self.answered = 0  # items of the present chunk

    def send(self, function: bytes, items: list[Any]) -> None:
        """Set it to work on a chunk, with a function that it keeps."""
        self._allow(self.wall)
        self.begun()  # forget the last chunk's
        self.answered = 0
        try:
            if function != self.function:
                self._allow(_LOAD_SECONDS)
                self.loaded = False
                self._write(function)
                self.function = function
            self._write(pickle.dumps(items))
        except BrokenPipeError:
            pass  # it died: receive() will see its end and say so

    def _write(self, message: bytes) -> None:
        self.input.write(_HEADER.pack(len(message)) + message)
        self.input.flush()

    def _allow(self, seconds: float) -> None:
        self.allowed, self.deadline = seconds, time.monotonic() + seconds

    def receive(self) -> tuple[bool, list[tuple[str, Any]]]:
        """Whether it lives, and the replies that are complete."""
        piece = os.read(self.output.fileno(), 1 << 20)
        self.buffer += piece
        self._allow(self.wall)
        replies = []
        while len(self.buffer) >= _HEADER.size:
            end = _HEADER.size + _HEADER.unpack_from(self.buffer)[0]
            if len(self.buffer) < end:
                break
            try:
                replies.append(answer(memoryview(self.buffer)[_HEADER.size : end]))
            except pickle.UnpicklingError:
                self.process.kill()  # it is not itself any more
                piece = b""
                break
            del self.buffer[:end]
        self.loaded = self.loaded or bool(replies)
        self.answered += sum(kind != "loaded" for kind, _ in replies)
        return bool(piece), replies

    def begun(self) -> int:
        """Items begun since this was last asked."""
        try:
            return len(os.read(self.marks.fileno(), 2 * CHUNK))
        except BlockingIOError:
            return 0

    def readable(self) -> bool:
        """Whether an answer waits."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            return bool(selector.select(0))

    def cause(self) -> str:
        """Why it ended."""
        code = self.process.wait()
        if code == -getattr(signal, "SIGXCPU", signal.SIGTERM):
            return "took too much processor time: broken, or made to exhaust its reader"
        return "crashed its reader"

    def kill(self) -> None:
        """End it, at work or not."""
        self.process.kill()
        self.process.wait()
        self.output.close()
        self.marks.close()
        try:
            self.input.close()
        except BrokenPipeError:
            pass
