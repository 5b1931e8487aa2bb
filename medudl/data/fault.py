"""One wording for files that cannot be used."""

from __future__ import annotations

from pathlib import Path

from medudl.errors import UserError


def show(path: str | Path) -> str:
    """A path fit for one line: control characters and broken encodings are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))


def unusable(path: str | Path, what: str, todo: str = "leave it out, or export it again") -> UserError:
    """UserError "<path>: <what>; <todo>". `what` never holds a value read from the file that could name a patient."""
    return UserError(f"{show(path)}: {what}; {todo}")
