"""Tables of a folder that the viewer shows, which another process may be writing."""

from __future__ import annotations

import csv
import io
from collections.abc import Set
from pathlib import Path

from medudl.errors import UserError


def rows_of(file: Path, needed: Set[str], gone: str, damaged: str) -> list[dict[str, str]]:
    """The rows of a CSV with a header, as text, "" where a row is too short.

    needed: columns. Raises UserError: `gone` where the file is not there, `damaged` where it is no such table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise UserError(gone) from None
    except (OSError, UnicodeDecodeError, csv.Error):
        rows = []
    if not rows or not set(rows[0]) >= needed:
        raise UserError(damaged)
    return [{name: value if isinstance(value, str) else "" for name, value in row.items()} for row in rows]
