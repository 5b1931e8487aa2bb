"""Run untrusted parsing in worker processes, under limits of processor time, wall time and memory.

A file that crashes its reader, never ends, or asks for all memory costs one worker and one line; the other files go on.
Workers are fresh interpreters (no fork of a process that may hold threads, no import of the caller's main module) that
live as long as their Guard, so that a file costs microseconds beside its parsing.
"""

from __future__ import annotations

import pickle
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from medudl.data.fault import show
from medudl.data.guard_process import CHUNK, Worker
from medudl.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Guard:
    """A pool of workers.

    seconds: processor time an item may take; memory_mb: private memory a worker may hold. Use it as a context.
    """

    def __init__(self, *, workers: int = 2, seconds: float = 10.0, memory_mb: int = 1024) -> None:
        self.workers, self.seconds, self.memory_mb = workers, seconds, memory_mb
        self._idle: list[Worker] = []

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

    def _take(self) -> Worker:
        return self._idle.pop() if self._idle else Worker(self.seconds, self.memory_mb)


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
        chunk = max(1, min(CHUNK, len(items) // (4 * guard.workers)))
        self.waiting = [range(i, min(i + chunk, len(items))) for i in range(0, len(items), chunk)][::-1]
        self.busy: dict[Worker, list[int]] = {}  # items without an answer
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
        while self.waiting and len(self.busy) < self.guard.workers and self.waiting[-1][0] < index + 4 * CHUNK:
            worker, chunk = self.guard._take(), list(self.waiting.pop())
            self.busy[worker] = chunk
            self.selector.register(worker.output, selectors.EVENT_READ, worker)
            worker.send(self.function, [self.items[i] for i in chunk])

    def _collect(self) -> None:
        now = time.monotonic()
        wait = min(worker.deadline for worker in self.busy) - now
        for key, _ in self.selector.select(max(0.0, wait)):
            worker: Worker = key.data
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
            self._lost(worker, f"did not end within {worker.allowed:g} s")

    def _lost(self, worker: Worker, cause: str) -> None:
        """Blame the item that was begun last; the others of its chunk are to be done again."""
        chunk = self._drop(worker)
        last = max(0, worker.begun() - worker.answered - 1)
        worker.kill()
        if not worker.loaded:
            raise RuntimeError(f"a worker could not start or import its function: {cause}")
        if chunk:
            self.done[chunk[last]] = self._error(chunk[last], "lost", cause)
        for part in (chunk[last + 1 :], chunk[:last]):
            if part:
                self.waiting.append(range(part[0], part[-1] + 1))
        self.waiting.sort(key=lambda part: -part[0])  # what is to be handed out first is wanted first

    def _drop(self, worker: Worker) -> list[int]:
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
