"""Reading log.jsonl: the lines that still count, all at once or as they come. Imports nothing heavy."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of log.jsonl that still count: those that a resume went back behind are left out."""
    kept: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off by a kill
        if entry["kind"] == "resume":
            kept = [earlier for earlier in kept if earlier["step"] <= entry["step"]]
        kept.append(entry)
    return kept


@dataclass
class Curve:
    """One quantity over the steps, ascending; a value may be NaN or infinite."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))


class Course:
    """A log.jsonl that is followed while it grows: each `update` reads what is new, and only that.

    curves: by (kind, name), such as ("validation", "loss"); a resume cuts off later steps, as in `read_log`. step: of
    the last line. resumed: step at which the last session began. stages: first steps of the phases after the first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin_anew(0)

    def _begin_anew(self, inode: int) -> None:
        self._inode, self._offset = inode, 0
        self.curves: dict[tuple[str, str], Curve] = {}
        self.step, self.resumed, self._phase = 0, 0, 0
        self.stages: list[int] = []

    def update(self) -> bool:
        """Read on; whether anything has changed. A log that was replaced, cut short or deleted is read anew.

        Raises OSError where it cannot be read; an absent one is empty.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            had = bool(self._offset)
            self._begin_anew(0)
            return had
        if status.st_ino != self._inode or status.st_size < self._offset:
            self._begin_anew(status.st_ino)
        if status.st_size == self._offset:
            return False
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            whole = stream.read().rpartition(b"\n")[0] + b"\n"
        if whole == b"\n":  # the first line is still being written
            return False
        self._offset += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            self._add(line)
        return True

    def _add(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # cut off by a kill
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            return
        kind, self.step = str(entry.pop("kind", "")), entry.pop("step")
        if kind == "resume":
            self._cut()
        phase = entry.pop("phase", self._phase)
        if phase != self._phase:
            self._phase = phase
            self.stages.append(self.step)
        for name, value in entry.items():
            if isinstance(value, (int, float)):
                curve = self.curves.setdefault((kind, name), Curve())
                curve.steps.append(self.step)
                curve.values.append(value)

    def _cut(self) -> None:
        self.resumed = self.step
        for curve in self.curves.values():
            end = bisect_right(curve.steps, self.step)
            del curve.steps[end:], curve.values[end:]
        kept = [step for step in self.stages if step <= self.step]
        self._phase -= len(self.stages) - len(kept)
        self.stages = kept
