"""Progress of a long pass over files: a bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


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
