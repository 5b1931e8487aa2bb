"""What one condition of a conditional generator can be, and which numbers say so."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, model_validator

from medudl.config import nearest
from medudl.errors import UserError

UNKNOWN = "unknown"


class Condition(BaseModel):
    """One thing that both networks are told of an image, as training learnt it from the scans of the train split.

    values: the words that it can be; a word is that many zeros and a one in its place, an unknown one zeros alone.
    Without values it is a number x, told as (x - low) / (high - low), where it is not known as that of `mean`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    mean: float | None = None  # absent where every image has one

    @model_validator(mode="after")
    def _either(self) -> Condition:
        if not self.values and (self.low is None or self.high is None or self.low >= self.high):
            raise ValueError(f"{self.name} needs values, or low below high")
        return self

    @property
    def size(self) -> int:
        """How many numbers say it."""
        return len(self.values) or 1

    def numbers(self, text: str) -> list[float]:
        """Those of a word, or of a number in its own unit; "" is not known. Raises UserError: it is no number."""
        if self.values:
            return [float(text == value) for value in self.values]
        number = number_of(text) if text else self.mean
        if number is None:
            raise UserError(f"{self.name}: {text!r} is no number; mend it, or leave it empty")
        low, high = self._ends()
        return [(number - low) / (high - low)]

    def asked(self, text: str) -> list[float]:
        """As `numbers`. Raises UserError where it is none of the values, or outside of what was learnt from."""
        if self.values:
            if text not in self.values:
                raise UserError(f"{self.name}={text}: no such value; {nearest(text, self.values, 'there are')}")
            return self.numbers(text)
        number, (low, high) = number_of(text), self._ends()
        if number is None or not low <= number <= high:
            raise UserError(f"{self.name}={text}: ask for a number from {low:g} to {high:g}, as in the training scans")
        return self.numbers(text)

    def words(self, numbers: Sequence[float]) -> str:
        """What these numbers say: "contrast=T1", "slice_position=.50", "sex=unknown"."""
        if self.values:
            place = max(range(len(self.values)), key=lambda k: numbers[k])
            return f"{self.name}={self.values[place] if numbers[place] > 0.5 else UNKNOWN}"
        low, high = self._ends()
        decimals = max(0, 2 - math.floor(math.log10(high - low)))
        told = f"{low + numbers[0] * (high - low):.{decimals}f}"
        return f"{self.name}={told[1:] if told.startswith('0.') else told}"

    def _ends(self) -> tuple[float, float]:
        assert self.low is not None and self.high is not None
        return self.low, self.high


def number_of(text: str) -> float | None:
    """The finite number that a text is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
