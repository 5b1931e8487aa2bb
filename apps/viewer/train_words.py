"""What a training says, without what could tell who a patient is or where the machine keeps things."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from apps.viewer.house import house
from apps.viewer.words import Names, faceless
from medudl.data.cohort import Cohort
from medudl.errors import UserError


def safe(text: str, run: Path | None = None) -> str:
    """A sentence for the screen: as it is where the privacy switch is off, else without paths and guessed names."""
    if not house().settings.private:
        return text
    for name in _guessed(run) if run else ():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "a patient", text)
    return faceless(text)


def shown(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run for the screen: without the place of its cache."""
    data = settings.get("data")
    if house().settings.private and isinstance(data, dict) and data.get("cache"):
        return {**settings, "data": {**data, "cache": "a folder of its own"}}
    return settings


def _guessed(run: Path) -> tuple[str, ...]:
    """Patients' names that were only guessed from files and may be real ones, the longest first."""
    table = run / "cohort.csv"
    try:
        return _names(table, table.stat().st_mtime_ns)
    except (OSError, UserError):
        return ()  # no folder yet: nothing was read that could be named


@lru_cache(maxsize=16)
def _names(table: Path, written: int) -> tuple[str, ...]:
    cohort = Cohort.read(table)
    if not Names(cohort, True).guessed:
        return ()
    return tuple(sorted({str(name) for name in cohort.table["subject"] if name}, key=len, reverse=True))
