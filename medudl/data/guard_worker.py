"""The worker's side of `guard`: set limits, then answer one item after another over a pipe."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import struct
import time
from typing import Any, BinaryIO

from medudl.errors import UserError

try:
    import resource
except ImportError:  # no such limits on Windows: the wall time of `guard` remains
    resource = None  # type: ignore[assignment]

_HEADER = struct.Struct("<Q")
# Small results travel together: waking the other side for each would cost more than reading a header.
_FLUSH_BYTES = 1 << 18
_FLUSH_SECONDS = 0.05


def work(seconds: str, memory_mb: str) -> None:
    """Read a pickled function, or lists of items for it, from stdin; write (kind, value) an item to stdout.

    kind: "loaded", "result", or why there is none: "refused" (a UserError's line), "memory", "deep", "broken". At the
    start of each item one byte goes to stderr, so that it is known which one was the last.
    """
    source, sink, marker = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", _FLUSH_BYTES), os.dup(2)
    # What a library prints must not break the protocol, and may name a patient: it goes nowhere.
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    function: Any = None
    timer = _Timer(float(seconds))
    while (message := _receive(source)) is not None:
        if callable(message):
            function = message
            _reply(sink, "loaded", None)
            sink.flush()
            _limit_memory(int(memory_mb))
            continue
        flushed = time.monotonic()
        for item in message:
            os.write(marker, b".")
            timer.start()
            _reply(sink, *_answer(function, item))
            if time.monotonic() - flushed > _FLUSH_SECONDS:
                sink.flush()
                flushed = time.monotonic()
        sink.flush()


def _answer(function: Any, item: Any) -> tuple[str, Any]:
    try:
        return "result", function(item)
    except UserError as error:
        return "refused", str(error)
    except MemoryError:
        return "memory", ""
    except RecursionError:
        return "deep", ""
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # Rust's panics too; told by type: the text may hold what the file says of a patient
        return "broken", type(error).__name__


def _receive(source: BinaryIO) -> Any:
    head = source.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    return pickle.loads(source.read(_HEADER.unpack(head)[0]))


def _reply(sink: BinaryIO, kind: str, value: Any) -> None:
    try:
        message = pickle.dumps((kind, value), protocol=5)
    except MemoryError:
        message = pickle.dumps(("memory", ""))
    sink.write(_HEADER.pack(len(message)))
    sink.write(message)


def _limit_memory(memory_mb: int) -> None:
    if resource is not None:
        with contextlib.suppress(ValueError, OSError):  # a stricter limit of the system stays
            resource.setrlimit(resource.RLIMIT_DATA, (memory_mb * 2**20, memory_mb * 2**20))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Timer:
    """Has the kernel end this process once an item has used so much processor time (whole seconds, rounded up)."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.limit = seconds, 0

    def start(self) -> None:
        """Begin with an item."""
        limit = math.ceil(time.process_time() + self.seconds)
        if resource is not None and limit != self.limit:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
            self.limit = limit
