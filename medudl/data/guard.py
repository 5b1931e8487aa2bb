"""Run untrusted parsing in worker processes, under limits of processor time, wall time and memory.

A file that crashes its reader, never ends, or asks for all memory costs one worker and one line; the other files go on.
Workers are fresh interpreters (no fork of a process that may hold threads, no import of the caller's main module) that
live as long as their Guard, so that a file costs microseconds beside its parsing.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from medudl.data.fault import show
from medudl.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 16  # items sent at once; results come one by one, so that a killed worker's item is known
_START = "import sys; sys.path[:] = sys.argv[3:]; from medudl.data.guard_worker import work; work(*sys.argv[1:3])"
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1"
)
_HEADER = struct.Struct("<Q")
_LOAD_SECONDS = 60.0  # importing a reader on a busy machine
_WALL = 10.0  # wall time allowed: this many times the processor time, for slow disks


class Guard:
    """A pool of workers.

    seconds: processor time an item may take; memory_mb: private memory a worker may hold. Use it as a context.
    """

    def __init__(self, *, workers: int = 2, seconds: float = 10.0, memory_mb: int = 1024) -> None:
        self.workers, self.seconds, self.memory_mb = workers, seconds, memory_mb
        self._idle: list[_Worker] = []

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        while self._idle:
            self._idle.pop().kill()

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result | UserError]:
        """function(item) of every item, in order; a UserError in place of a result that could not be had.

        `function` is a module's function (or a partial of one). An item that is a path, or a tuple that starts with
        one, is named in the error. An exception other than UserError counts as a broken file, told by its type alone:
        its text may hold what the file says of a patient.
        """
        if getattr(function, "__module__", "") == "__main__":
            raise ValueError("the function must live in a module that the worker can import")
        job = _Job(self, pickle.dumps(function), items)
        try:
            yield from job.results()
        finally:
            job.end()

    def _take(self) -> _Worker:
        return self._idle.pop() if self._idle else _Worker(self.seconds, self.memory_mb)


def guarded(function: Callable[..., Result], *args: Any, seconds: float, memory_mb: int) -> Result:
    """One call in a worker of its own. Raises UserError: the function's own, or time, memory or a crash."""
    with Guard(workers=1, seconds=seconds, memory_mb=memory_mb) as guard:
        (result,) = guard.map(_Spread(function), [args])
    if isinstance(result, UserError):
        raise result
    return result


class _Spread(Generic[Result]):
    """function(*args) of one tuple; a class at module level can be sent to a worker."""

    def __init__(self, function: Callable[..., Result]) -> None:
        self.function = function

    def __call__(self, args: tuple[Any, ...]) -> Result:
        return self.function(*args)


class _Job:
    """One `map`: which chunk is where, and what has come back."""

    def __init__(self, guard: Guard, function: bytes, items: Sequence[Any]) -> None:
        self.guard, self.function, self.items = guard, function, items
        chunk = max(1, min(_CHUNK, len(items) // (4 * guard.workers)))
        self.waiting = [range(i, min(i + chunk, len(items))) for i in range(0, len(items), chunk)][::-1]
        self.busy: dict[_Worker, list[int]] = {}  # the first is being worked on
        self.done: dict[int, Any] = {}
        self.selector = selectors.DefaultSelector()

    def results(self) -> Iterator[Any]:
        for index in range(len(self.items)):
            while index not in self.done:
                self._feed(index)
                self._collect()
            yield self.done.pop(index)

    def end(self) -> None:
        """Idle workers go back to the pool, those still at work are ended."""
        for worker in list(self.busy):
            self._drop(worker)
            worker.kill()
        self.selector.close()

    def _feed(self, index: int) -> None:
        # Results wait in memory until their turn: no worker runs far ahead.
        while self.waiting and len(self.busy) < self.guard.workers and self.waiting[-1][0] < index + 8 * _CHUNK:
            worker, chunk = self.guard._take(), list(self.waiting.pop())
            self.busy[worker] = chunk
            self.selector.register(worker.output, selectors.EVENT_READ, worker)
            worker.send(self.function, [self.items[i] for i in chunk])

    def _collect(self) -> None:
        now = time.monotonic()
        wait = min(worker.deadline for worker in self.busy) - now
        for key, _ in self.selector.select(max(0.0, wait)):
            worker: _Worker = key.data
            alive, replies = worker.receive()
            for kind, value in replies:
                if kind != "loaded":
                    index = self.busy[worker].pop(0)
                    self.done[index] = value if kind == "result" else self._error(index, kind, value)
            if not alive:
                self._lost(worker, worker.cause())
            elif not self.busy[worker]:
                self._drop(worker)
                self.guard._idle.append(worker)
        for worker in [w for w in self.busy if w.deadline < now and not w.readable()]:
            worker.kill()
            self._lost(worker, f"did not end within {worker.allowed:g} s")

    def _lost(self, worker: _Worker, cause: str) -> None:
        chunk = self._drop(worker)
        worker.kill()
        if chunk:
            self.done[chunk[0]] = self._error(chunk[0], "lost", cause)
        if chunk[1:]:
            self.waiting.append(range(chunk[1], chunk[-1] + 1))

    def _drop(self, worker: _Worker) -> list[int]:
        self.selector.unregister(worker.output)
        return self.busy.pop(worker)

    def _error(self, index: int, kind: str, value: str) -> UserError:
        if kind == "refused":
            return UserError(value)
        limit = f"needs more than {self.guard.memory_mb} MB"
        what = {"memory": limit, "deep": "nested too deeply", "broken": f"broken: cannot be read ({value})"}
        return UserError(f"{_name(self.items[index])}: {what.get(kind, value)}; leave it out, or export it again")


def _name(item: Any) -> str:
    while isinstance(item, (tuple, list)) and item:
        item = item[0]
    return show(item) if isinstance(item, (str, Path)) else type(item).__name__


class _Worker:
    """One process, its pipes and its deadline."""

    def __init__(self, seconds: float, memory_mb: int) -> None:
        command = [sys.executable, "-c", _START, str(seconds), str(memory_mb), *sys.path]
        # What a library prints about a broken file may name a patient: it goes nowhere.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_ONE_THREAD},
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        self.wall = max(_WALL * seconds, 5.0)
        self.allowed = self.deadline = 0.0
        self.buffer = bytearray()
        self.function = b""

    def send(self, function: bytes, items: list[Any]) -> None:
        self._allow(self.wall)
        try:
            if function != self.function:
                self._allow(_LOAD_SECONDS)
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
            replies.append(pickle.loads(memoryview(self.buffer)[_HEADER.size : end]))
            del self.buffer[:end]
        return bool(piece), replies

    def readable(self) -> bool:
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
        self.process.kill()
        self.process.wait()
        self.output.close()
        try:
            self.input.close()
        except BrokenPipeError:
            pass
