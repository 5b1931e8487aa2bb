"""A bar with the time that is left, and lines for a program that started this one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from medudl.data.index_progress import VARIABLE, Lines

T = TypeVar("T")


def counted(items: Iterable[T], what: str, total: int, progress: bool) -> Iterator[T]:
    """The items one by one: a bar on stderr where `progress`, lines where the environment names a file for them."""
    path = os.environ.get(VARIABLE)
    if path:
        items = Lines(Path(path)).track(items, what, total)
    yield from track(items, what, total=total, console=Console(stderr=True), disable=not progress)
