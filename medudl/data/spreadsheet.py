"""Text in tables that people open in a spreadsheet: what begins like a formula would be worked out there."""

from __future__ import annotations

import re

import pandas as pd

__all__ = ["guarded", "plain", "plain_frame"]

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def guarded(cell: object) -> object:
    """A text that begins with = + - @ or a tab gets an apostrophe before it, so that it stays a text; all else is kept.

    One that has such apostrophes already gets one more: `plain` gives back exactly what was there.
    """
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def plain(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def plain_frame(table: pd.DataFrame) -> pd.DataFrame:
    """A table of texts that may have been guarded, header included."""
    return table.rename(columns=lambda name: plain(str(name))).map(plain)
