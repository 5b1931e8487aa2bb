"""Progress of a long pass over files: a bar on a terminal, lines in a file for another process, silence elsewhere."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
VARIABLE = "MEDUDL_PROGRESS"  # names the file that a process started by a program writes its progress to
_EVERY = 0.2  # seconds between two lines


class Progress:
    """Says nothing. `track` hands the items on."""

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """The items, one by one; `what` names the pass."""
        yield from items


class Bar(Progress):
    """A rich bar with count and remaining time on standard error, if that is a terminal; it vanishes at the end."""

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """The items, one by one, each moving the bar."""
        if not sys.stderr.isatty() or not total:
            yield from items
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            for item in items:
                yield item
                bar.advance(task)


class Lines(Progress):
    """A JSON line now and then: {"what": the pass, "done": items, "total": items, "seconds": of this pass}."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """The items, one by one; a line at both ends, and at most five a second between them."""
        begun = last = time.monotonic()
        self._write(what, 0, total, 0.0)
        done = 0
        for item in items:
            yield item
            done += 1
            now = time.monotonic()
            if now - last >= _EVERY:
                last = now
                self._write(what, done, total, now - begun)
        self._write(what, done, total, time.monotonic() - begun)

    def _write(self, what: str, done: int, total: int, seconds: float) -> None:
        line = json.dumps({"what": what, "done": done, "total": total, "seconds": round(seconds, 3)})
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def shown() -> Progress:
    """Lines where the environment names a file for them, else a bar."""
    path = os.environ.get(VARIABLE)
    return Lines(Path(path)) if path else Bar()
