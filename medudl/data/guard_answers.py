"""What a worker may answer: plain values, arrays, paths and records of this project.

A worker has read files of unknown origin. Should one of them take its reader over, then its answer must not be able to
call anything here: pickle runs whatever an answer names, so what it may name is a list.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
from typing import Any

_PLAIN = {
    ("builtins", "bytearray"), ("builtins", "complex"), ("builtins", "frozenset"), ("builtins", "set"),
    ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"),
    ("numpy", "dtype"), ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}  # fmt: skip
_OWN = ("medudl.", "apps.")


class _Answer(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        if module.startswith(_OWN) and "." not in name:
            found = super().find_class(module, name)
            # A record holds values; functions and other classes may do things.
            if isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"an answer may not hold {module}.{name}")


def answer(data: bytes | memoryview) -> Any:
    """The value in `data`. Raises pickle.UnpicklingError: it names something that no answer may hold, or is broken."""
    try:
        return _Answer(io.BytesIO(data)).load()
    except (AttributeError, EOFError, ImportError, IndexError, KeyError, TypeError, ValueError) as error:
        raise pickle.UnpicklingError(f"no answer ({type(error).__name__})") from None
