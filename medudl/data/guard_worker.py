"""The worker's side of `guard`: set limits, then answer one item after another over a pipe."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import struct
from typing import Any, BinaryIO

from medudl.errors import UserError

try:
    import resource
except ImportError:  # no such limits on Windows: the wall time of `guard` remains
    resource = None  # type: ignore[assignment]

_HEADER = struct.Struct("<Q")


def work(seconds: str, memory_mb: str) -> None:
    """Read a pickled function, or lists of items for it, from stdin; write (kind, value) an item to stdout.

    kind: "loaded", "result", or why there is none: "refused" (a UserError's line), "memory", "deep", "broken".
    """
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # A library that prints must not break the protocol.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    function: Any = None
    while (message := _receive(source)) is not None:
        if callable(message):
            function = message
            _reply(sink, "loaded", None)
            _limit_memory(int(memory_mb))
            continue
        for item in message:
            _limit_time(float(seconds))
            _reply(sink, *_answer(function, item))


def _answer(function: Any, item: Any) -> tuple[str, Any]:
    try:
        return "result", function(item)
    except UserError as error:
        return "refused", str(error)
    except MemoryError:
        return "memory", ""
    except RecursionError:
        return "deep", ""
    except Exception as error:  # told by its type: its text may hold what the file says of a patient
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
    sink.flush()


def _limit_memory(memory_mb: int) -> None:
    if resource is not None:
        with contextlib.suppress(ValueError, OSError):  # a stricter limit of the system stays
            resource.setrlimit(resource.RLIMIT_DATA, (memory_mb * 2**20, memory_mb * 2**20))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: float) -> None:
    """The kernel ends the process once it has used this much more processor time (whole seconds)."""
    if resource is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        limit = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
