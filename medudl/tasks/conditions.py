"""Conditions of samples: what was asked for put into their codes, and what codes say in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.condition import Condition
from medudl.config import nearest
from medudl.errors import UserError

Asked = Mapping[str, Sequence[float]]  # {name: its numbers}


def conditions_of(method: Any) -> tuple[Condition, ...]:
    """What the method is told, in the order of its codes' last numbers; nothing for most methods."""
    found: tuple[Condition, ...] = getattr(method, "conditions", ())
    return found


def read_asked(texts: Sequence[str], method: Any, name: str) -> dict[str, list[float]]:
    """{name: its numbers} of `--condition NAME=VALUE`.

    Raises UserError: no such condition or value, one that is named twice, a method that is told nothing.
    """
    known = {one.name: one for one in conditions_of(method)}
    asked: dict[str, list[float]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not known:
            raise UserError(f"--condition {text}: method {name} is told nothing, so nothing can be asked of it")
        if not equals or key not in known:
            raise UserError(f"--condition {text}: write NAME=VALUE; {nearest(key, list(known), 'it is told')}")
        if key in asked:
            raise UserError(
                f"--condition {text}: {key} is named twice; draw the samples of each into a folder of its own"
            )
        try:
            asked[key] = known[key].asked(value)
        except UserError as error:
            raise UserError(f"--condition {error}") from None
    return asked


def told(codes: NDArray[np.float32], conditions: Sequence[Condition], asked: Asked) -> NDArray[np.float32]:
    """The codes z ++ y (N, Z) with what was asked for in its places of y."""
    codes = codes.copy()
    for one, places in _places(codes, conditions):
        if one.name in asked:
            codes[:, places] = asked[one.name]
    return codes


def in_words(codes: NDArray[np.float32], conditions: Sequence[Condition]) -> list[str]:
    """Of each code: "contrast=T1; slice_position=.50"."""
    parts = [[one.words(row.tolist()) for row in codes[:, places]] for one, places in _places(codes, conditions)]
    return ["; ".join(row) for row in zip(*parts, strict=True)]


def _places(codes: NDArray[np.float32], conditions: Sequence[Condition]) -> list[tuple[Condition, slice]]:
    """Where each of the conditions lies; y is the end of a code."""
    ends = codes.shape[1] - np.cumsum([0, *(one.size for one in reversed(conditions))])[::-1]
    return [(one, slice(int(a), int(b))) for one, a, b in zip(conditions, ends[:-1], ends[1:], strict=True)]
