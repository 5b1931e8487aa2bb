"""The course of a training: log.jsonl for programs, TensorBoard events for eyes. Numbers only, no images, no names."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TextIO

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

HELD = 0.5  # seconds that lines of training steps wait for one another: many small writes would slow short steps


class Log:
    """Appends to log.jsonl and writes a new event file below events/.

    Where there is a log already, {"kind": "resume", "step": step} is appended: its lines of later steps count no more
    (`course.read_log`).
    written: False on all ranks but the first, which write nothing.
    torch's SummaryWriter is not used because it puts the machine's name into the file's name.
    """

    def __init__(self, folder: Path, step: int, *, written: bool = True) -> None:
        self._lines: TextIO | None = None
        self._held: list[tuple[float, str, int, dict[str, Any]]] = []  # time, kind, step, values
        self._flushed = time.monotonic()
        if not written:
            return
        path = folder / "log.jsonl"
        before = path.read_bytes() if path.is_file() else b""
        lines = self._lines = path.open("a", encoding="utf-8")
        if before and not before.endswith(b"\n"):  # killed in the middle of a line: close it, readers skip it
            lines.write("\n")
        (folder / "events").mkdir(exist_ok=True)
        count = len(list((folder / "events").iterdir()))
        self._file = (folder / "events" / f"events.out.tfevents.{count:06d}").open("wb")
        self._events = RecordWriter(self._file)
        self._event(Event(file_version="brain.Event:2", wall_time=time.time()))
        if before:
            start = SessionLog(status=SessionLog.START)  # TensorBoard drops what it has of this and later steps
            self._event(Event(session_log=start, step=step + 1, wall_time=time.time()))
            self.write("resume", step, {})
        self.flush()

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """One line {"kind", "step", ...}; numbers also as TensorBoard scalars "kind/name".

        Lines of kind "train" come often and wait for one another, half a second at most; others are written at once.
        """
        if self._lines is None:
            return
        self._held.append((time.time(), kind, step, values))
        if kind != "train" or time.monotonic() > self._flushed + HELD:
            self.flush()

    def flush(self) -> None:
        """Give everything to the operating system: what a checkpoint's step has behind it must not be lost."""
        if self._lines is None:
            return
        for wall_time, kind, step, values in self._held:
            self._lines.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
            numbers = {name: value for name, value in values.items() if isinstance(value, float)}
            scalars = [Summary.Value(tag=f"{kind}/{name}", simple_value=value) for name, value in numbers.items()]
            if scalars:
                self._event(Event(summary=Summary(value=scalars), step=step, wall_time=wall_time))
        self._held.clear()
        self._lines.flush()
        self._events.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Close both files."""
        if self._lines is not None:
            self.flush()
            self._lines.close()
            self._file.close()

    def _event(self, event: Event) -> None:
        self._events.write(event.SerializeToString())
