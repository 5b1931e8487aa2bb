"""A literal table of names -> classes, and options checked against the class's own signature."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from medudl.config import nearest
from medudl.errors import UserError


def load_class(table: Mapping[str, str], name: str, kind: str) -> type:
    """The class that `table` ("module:Class") gives for `name`; it is imported only now. UserError: unknown name."""
    if name not in table:
        raise UserError(f"unknown {kind} {name}; {nearest(name, list(table))}")
    module, _, attribute = table[name].partition(":")
    found: type = getattr(importlib.import_module(module), attribute)
    return found


def option_names_of(cls: type) -> list[str]:
    """Names of the keyword-only parameters of `cls.__init__`: its options, in their order."""
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def choices(cls: type, option: str) -> tuple[Any, ...]:
    """The values of an option that takes one of several words (`Literal`)."""
    return get_args(get_type_hints(cls.__init__)[option])  # type: ignore[misc]


def check_options(cls: type, options: Mapping[str, Any], where: str, *, later: Collection[str] = ()) -> dict[str, Any]:
    """Options converted to the kinds that `cls.__init__` declares, ranges included (pydantic reads `Annotated`).

    where: the place that an error names, such as "method". later: options that may still be missing.
    UserError: unknown option (the nearest is named), an option without default left out, a value of the wrong kind or
    out of its range.
    """
    known = option_names_of(cls)
    hints = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    for name in options:
        if name not in known:
            raise UserError(f"unknown key {where}.{name}; {nearest(name, known)}")
    parameters = inspect.signature(cls).parameters
    for name in known:
        if name not in (*options, *later) and parameters[name].default is inspect.Parameter.empty:
            raise UserError(f"{where}.{name} is missing")
    return {name: _convert(hints[name], value, f"{where}.{name}") for name, value in options.items()}


def _convert(hint: Any, value: Any, place: str) -> Any:
    # pydantic would read `true` as 1 where a number is wanted; that is always a slip.
    if isinstance(value, bool) and hint is not bool:
        raise UserError(f"{place}: {str(value).lower()} is not among its values")
    try:
        # Not strict, because YAML reads 1e-3 (no dot) as a word.
        return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        raise UserError(f"{place}: {error.errors()[0]['msg']}, got {value!r}") from None
