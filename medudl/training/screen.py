"""What the person who waits sees: lines, and a bar with the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

TOLD = 10  # lines that a counter writes into a file
NOTES_SHOWN = 10
MOVED = 0.1  # seconds between two moves of the bar, which eyes cannot tell apart and short steps would pay for


class Screen:
    """Writes to stderr. shown: False on all ranks but the first. progress=False hides the bar, never the lines."""

    def __init__(self, shown: bool, progress: bool) -> None:
        self.console = Console(stderr=True, quiet=not shown)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figure]}"),
            console=self.console,
            disable=not (shown and progress),
        )

    def tell(self, line: str) -> None:
        """One line, above the bar."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def tell_notes(self, notes: Sequence[str]) -> None:
        """The first of many lines, and how many more there are."""
        for note in notes[:NOTES_SHOWN]:
            self.tell(note)
        if len(notes) > NOTES_SHOWN:
            self.tell(f"... and {len(notes) - NOTES_SHOWN} more")

    def counter(self, what: str) -> Callable[[int, int], None]:
        """A bar for something else: call it with (done, of). In a file, where a bar cannot move, a line each tenth."""
        task: list[TaskID] = []
        lines = not self.console.is_terminal and not self._bar.disable

        def count(done: int, of: int) -> None:
            if lines and done * TOLD // max(of, 1) > (done - 1) * TOLD // max(of, 1):
                self.tell(f"{what}: {done} of {of}")
            if not task:
                self._bar.start()
                task.append(self._bar.add_task(what, total=of, figure=""))
            self._bar.update(task[0], completed=done)

        return count

    def start(self, step: int, total: int) -> None:
        """Show the bar at `step` of `total`."""
        self._bar.start()
        self._task = self._bar.add_task("training", total=total, completed=step, figure="")
        self._total, self._moved = total, time.monotonic()

    def step(self, step: int, figure: str = "") -> None:
        """Move the bar; `figure` is the text behind it, kept where empty."""
        now = time.monotonic()
        if not figure and step < self._total and now < self._moved + MOVED:
            return
        self._moved = now
        if figure:
            self._bar.update(self._task, completed=step, figure=figure)
        else:
            self._bar.update(self._task, completed=step)

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
