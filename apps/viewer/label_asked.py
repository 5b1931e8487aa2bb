"""What a page's question holds, each part checked: a case, a text, seconds, the reader."""

from __future__ import annotations

import math
import re
from typing import Any

from apps.viewer.label_desk import Pool
from medudl.labels.events import reader_name

_CASE = re.compile(r"[0-9a-f]{16}")
_TEXT = 200
_MOST = 64  # cases that a page holds at once

Asked = dict[str, Any]


class Bad(Exception):
    """A question that no page asks."""


def case_in(pool: Pool, asked: Asked) -> str:
    """A case of this store. Raises Bad."""
    case = text_in(asked, "case", _CASE)
    if case not in pool.cases:
        raise Bad
    return case


def cases_in(pool: Pool, asked: Asked, name: str) -> list[str]:
    """The cases of this store in a list. Raises Bad: no list, or too long."""
    found = asked.get(name, [])
    if not isinstance(found, list) or len(found) > _MOST or not all(isinstance(one, str) for one in found):
        raise Bad
    return [case for case in found if case in pool.cases]


def text_in(asked: Asked, name: str, form: re.Pattern[str] | None = None) -> str:
    """A text of at most 200 letters, of that form. Raises Bad."""
    value = asked.get(name)
    if not isinstance(value, str) or len(value) > _TEXT or (form and not form.fullmatch(value)):
        raise Bad
    return value


def seconds_in(asked: Asked) -> float | None:
    """Seconds from shown to key, None where nobody knows."""
    value = asked.get("seconds")
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return min(max(float(value), 0.0), 36_000.0)


def named(asked: Asked) -> str:
    """Who asks. Raises UserError for a name that no reader can have."""
    return reader_name(text_in(asked, "reader"))
