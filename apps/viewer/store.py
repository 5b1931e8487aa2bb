"""Decoded volumes, within a limit of bytes: decoded once, in workers, and kept in files without a name."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TypeVar

from apps.viewer.content import Contents, Signature, sentence
from apps.viewer.order import NAME, Decoded, Job, Order, decode, measure, too_large, warm
from apps.viewer.source import Source
from medudl.data.guard import Guard
from medudl.errors import UserError

Result = TypeVar("Result")
SECONDS, MEMORY_MB = 120.0, 8192  # processor time and memory of a worker: a scan larger than that is refused
_WAIT_SECONDS = 60.0  # for room, while all that is held is being sent to somebody


class Held:
    """One decoded volume: raw voxels in a file that has no name, so that nothing of a patient outlives the server."""

    def __init__(self, key: str, decoded: Decoded, file: IO[bytes]) -> None:
        self.key, self.decoded, self._file = key, decoded, file
        weakref.finalize(self, file.close)

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from `offset` on; safe from any thread."""
        return os.pread(self._file.fileno(), count, offset)

    @property
    def slice_bytes(self) -> int:
        """Bytes of one slice along Z."""
        return self.decoded.bytes // self.decoded.shape[2]


class Store:
    """Holds decoded volumes; at most `limit` bytes of them, those being decoded included.

    places: files outside these folders are refused. What was asked for longest ago goes first. Volumes are
    read-only, and are found by their content: a file that changes is another volume.
    """

    def __init__(self, limit: int, places: Sequence[Path] | None = None, *, workers: int = 2) -> None:
        self.limit = limit
        self._contents = Contents(places)
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._flights: dict[Signature, Future[Held]] = {}
        self._bytes = 0  # held, still being sent, or promised to a decoder
        # Reentrant: a volume may be freed, and counted, by a thread that holds the lock.
        self._free = threading.Condition(threading.RLock())
        self._guards = [Guard(workers=1, seconds=SECONDS, memory_mb=MEMORY_MB) for _ in range(workers)]
        self._idle = threading.Semaphore(workers)
        self._hashers = ThreadPoolExecutor(workers, "hash")
        self.decodings = 0

    @property
    def bytes(self) -> int:
        """Bytes held, still being sent, or promised to a decoder."""
        return self._bytes

    def warm(self) -> None:
        """Start the workers, one after another: the first scan then does not wait for their imports."""
        for _ in range(len(self._guards)):
            with self._worker(first=True) as guard:
                next(guard.map(warm, [(NAME, None)]))

    def close(self) -> None:
        """End the workers and let go of all volumes."""
        with self._free:
            self._held.clear()
        self._hashers.shutdown(wait=False, cancel_futures=True)
        for guard in self._guards:
            guard.close()

    def open(self, source: Source) -> Held:
        """The volume of a source; decoded if it is not held, once however many ask. Blocks.

        Raises UserError: absent, outside the folder, unreadable, too large. The sentence holds no path.
        """
        try:
            signature = self._contents.sign(source)
            return self._known(signature) or self._shared(source, signature)
        except UserError as error:
            raise UserError(sentence(str(error), source)) from None

    def _known(self, signature: Signature) -> Held | None:
        with self._free:
            key = self._contents.known(signature)
            if key is None or key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key]

    def _shared(self, source: Source, signature: Signature) -> Held:
        with self._free:
            flight = self._flights.get(signature)
            if mine := flight is None:
                flight = self._flights[signature] = Future()
        assert flight is not None
        if mine:
            try:
                flight.set_result(self._known(signature) or self._decoded(source, signature))
            except BaseException as error:
                flight.set_exception(error)
            finally:
                with self._free:
                    del self._flights[signature]
        return flight.result()

    def _decoded(self, source: Source, signature: Signature) -> Held:
        # Hashing and decoding read the same files: side by side the disk is read once.
        content = self._hashers.submit(self._contents.hash, source, signature)
        with self._worker() as guard:
            order = Order(
                files=source.files, format=source.format, fragment=source.fragment, recipe=source.recipe,
                grid=source.grid, grid_format=source.grid_format, limit=self.limit,
            )  # fmt: skip
            voxels = _answer(guard, measure, order)
            if voxels > self.limit:
                raise too_large(voxels, self.limit)
            with self._promised(min(4 * voxels, self.limit)), _file() as (file, target):
                self.decodings += 1
                decoded = _answer(guard, decode, Order(**{**vars(order), "target": target}))
                key = content.result()
                if self._contents.sign(source) != signature:
                    raise UserError(f"{NAME} changed while it was being read; open it again")
                held = Held(key, decoded, file)
        return self._keep(held)

    def _keep(self, held: Held) -> Held:
        with self._free:
            if held.key in self._held:  # another source with the same content came first
                return self._held[held.key]
            self._make_room(held.decoded.bytes)
            self._bytes += held.decoded.bytes
            weakref.finalize(held, self._release, held.decoded.bytes)
            self._held[held.key] = held
            return held

    @contextmanager
    def _promised(self, count: int) -> Iterator[None]:
        with self._free:
            self._make_room(count)
            self._bytes += count
        try:
            yield
        finally:
            self._release(count)

    def _make_room(self, count: int) -> None:
        """Let go of what was used longest ago; wait for what is still being sent."""
        while self._bytes + count > self.limit:
            if self._held:
                self._held.popitem(last=False)
            elif not self._free.wait(_WAIT_SECONDS):
                raise UserError(f"{NAME} has to wait: the viewer is busy with others; open it again in a moment")

    def _release(self, count: int) -> None:
        with self._free:
            self._bytes -= count
            self._free.notify_all()

    @contextmanager
    def _worker(self, *, first: bool = False) -> Iterator[Guard]:
        """A worker of one's own; the one used last is the next, unless `first` asks for the one idle longest."""
        with self._idle:
            with self._free:
                guard = self._guards.pop(0 if first else -1)
            try:
                yield guard
            finally:
                with self._free:
                    self._guards.append(guard)


def _answer(guard: Guard, function: Callable[[Job], Result], order: Order) -> Result:
    (result,) = guard.map(function, [(NAME, order)])
    if isinstance(result, UserError):
        raise result
    return result


@contextmanager
def _file() -> Iterator[tuple[IO[bytes], str]]:
    """An open file for the voxels, and where a worker finds it; open still after this ends, unless that was an error.

    Linux opens it through this process's table of files, so it never has a name; elsewhere it loses its name here.
    """
    with ExitStack() as stack:
        if os.path.exists("/proc/self/fd"):
            file: IO[bytes] = tempfile.TemporaryFile()
            target = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        else:
            private = stack.enter_context(tempfile.TemporaryDirectory(prefix="medudl-"))  # 0700
            target = os.path.join(private, "voxels")
            file = open(target, "w+b")
        try:
            yield file, target
        except BaseException:
            file.close()
            raise
