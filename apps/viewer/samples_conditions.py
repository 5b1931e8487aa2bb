"""What a conditional generator can be asked for on a walk: a class, a contrast, a place of the slice."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from apps.viewer.samples_codes import Codes
from medudl.condition import Condition
from medudl.config import read_config
from medudl.errors import UserError
from medudl.tasks.conditions import told


def conditions_of(run: Path | None) -> tuple[Condition, ...]:
    """Of the run's method, in the order of a code's last numbers, as its config says; none for most methods."""
    try:
        return () if run is None else _read(run, (run / "config.yaml").stat().st_mtime_ns)
    except (UserError, OSError, ValueError, TypeError):
        return ()  # that a run is damaged is told where something is drawn


@lru_cache(maxsize=16)
def _read(run: Path, changed: int) -> tuple[Condition, ...]:
    method = read_config(run / "config.yaml").method
    if method["name"] != "conditional_gan":
        return ()
    found = tuple(Condition.model_validate(one) for one in method.get("conditions") or ())
    return found or (Condition(name="class", values=tuple(method["classes"])),)


def numbers(conditions: tuple[Condition, ...]) -> int:
    """How many numbers at the end of a code say them."""
    return sum(one.size for one in conditions)


def offered(conditions: tuple[Condition, ...]) -> list[dict[str, Any]]:
    """JSON of what can be asked for: name, and values or low and high."""
    return [{"name": one.name, "values": list(one.values), "low": one.low, "high": one.high} for one in conditions]


def with_asked(codes: Codes, conditions: tuple[Condition, ...], asked: str) -> Codes:
    """The codes, told what was asked for: "class=NORMAL;slice_position=0.5". Raises UserError: it cannot be asked."""
    known, found = {one.name: one for one in conditions}, {}
    for part in filter(None, asked.split(";")):
        name, _, value = part.partition("=")
        if name not in known:
            raise UserError("The model is told nothing of that kind. Load the page again.")
        found[name] = known[name].asked(value)
    return np.asarray(told(codes, conditions, found), np.float32)
