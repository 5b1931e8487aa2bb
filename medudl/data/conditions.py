"""What a conditional generator is told of each item: columns of cohort.csv and the place of the slice, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medudl.condition import Condition, number_of
from medudl.config import SLICE_POSITION, nearest
from medudl.data.cases import Case
from medudl.data.cohort import COLUMNS, EXTRA, Cohort
from medudl.data.items import Item
from medudl.data.pipeline import Prepared
from medudl.errors import UserError

_WORDS = ("modality", "contrast", "label", "sex")  # of a few words, even where these are digits
_NEVER = [name for name in COLUMNS if name not in _WORDS]  # which scan it is, and how it is stored
_MOST = 32  # words of a column; one of more is free text


def learnt(names: Sequence[str], cohort: Cohort, cases: Sequence[Case]) -> tuple[Condition, ...]:
    """What each name of `data.condition` can be, from the scans learnt from: the words of a column, or its range.

    A column of numbers alone is a number, except modality, contrast, label and sex. Of several channels the row of the
    grid series counts. Raises UserError: no such column, one that names a scan or a patient, or that says nothing.
    """
    known = [*(str(name) for name in cohort.table if name not in _NEVER), SLICE_POSITION]
    for name in names:
        if name not in known:
            why = "says which scan it is, not what it shows" if name in _NEVER else "is no column of the cohort"
            raise UserError(f"data.condition: {name} {why}; {nearest(name, known, 'there are')}")
    return tuple(
        Condition(name=name, low=0, high=1) if name == SLICE_POSITION else _learnt(name, cohort, cases)
        for name in names
    )


def _learnt(name: str, cohort: Cohort, cases: Sequence[Case]) -> Condition:
    values = _column(name, cohort, cases)
    known = [value for value in values if value]
    if not known:
        raise UserError(
            f"data.condition: {name} is empty in every scan learnt from; fill the column in, or leave it out"
        )
    words, numbers = sorted(set(known)), [number_of(value) for value in known]
    if len(set(numbers) if name not in _WORDS and None not in numbers else {*words, *values}) == 1:
        raise UserError(
            f"data.condition: {name} is {words[0]} in every scan learnt from, which says nothing; leave it out"
        )
    found = [number for number in numbers if number is not None]
    if name not in _WORDS and len(found) == len(known):
        mean = float(f"{np.mean(found):.6g}") if len(known) < len(values) else None
        return Condition(name=name, low=min(found), high=max(found), mean=mean)
    _refuse_names(name, values, cases)
    return Condition(name=name, values=tuple(words))


def _refuse_names(name: str, values: Sequence[str], cases: Sequence[Case]) -> None:
    """A word of its own for each patient would have the generator told whom to show."""
    pairs = {(value, case.subject) for value, case in zip(values, cases, strict=True) if value}
    words, patients = ({pair[side] for pair in pairs} for side in (0, 1))
    if len(words) > _MOST:
        raise UserError(
            f"data.condition: {name} has {len(words)} different words, and {_MOST} is the most; is it a text?"
        )
    if name not in (*_WORDS, *EXTRA) and len(words) == len(patients) == len(pairs) > 2:
        raise UserError(f"data.condition: {name} is another word for every patient, so it says who it is; leave it out")


def _column(name: str, cohort: Cohort, cases: Sequence[Case]) -> list[str]:
    if name == "label":  # of whichever channel has one, as for classes
        return [case.label for case in cases]
    table = cohort.table
    rows = dict(zip(zip(table["series"], table["path"], strict=True), table[name], strict=True))
    return [str(rows[case.grid.series, case.grid.path]).strip() for case in cases]


@dataclass(frozen=True)
class Told:
    """What is told of scans. of_case: {case id: (K,)}; slice_place: which of the K numbers is the slice's, if any."""

    of_case: Mapping[str, NDArray[np.float32]]
    slice_place: int | None

    @classmethod
    def of(cls, conditions: Sequence[Condition], cohort: Cohort, cases: Sequence[Case]) -> Told:
        """Raises UserError where a column of numbers holds something else."""
        parts: list[list[list[float]]] = []
        slice_place = None
        for condition in conditions:
            if condition.name == SLICE_POSITION:
                slice_place = sum(one.size for one in conditions[: len(parts)])
                parts.append([[0.0]] * len(cases))
            else:
                parts.append([condition.numbers(value) for value in _column(condition.name, cohort, cases)])
        rows = [np.concatenate(row).astype(np.float32) for row in zip(*parts, strict=True)]
        return cls({case.id: row for case, row in zip(cases, rows, strict=True)}, slice_place)

    def of_items(self, prepared: Sequence[Prepared], items: Sequence[Item]) -> NDArray[np.float32]:
        """(N, K). A slice's number is 0 at the first slice with foreground and 1 at the last, and never beyond.

        Raises UserError where every scan is a single slice, so that there is no place along it.
        """
        found = np.stack([self.of_case[prepared[item.case].case_id] for item in items])
        if self.slice_place is not None:
            ends = [_ends(one) for one in prepared]
            if all(first == last for first, last in ends):
                raise UserError("data.condition: each scan is one slice, so slice_position says nothing; leave it out")
            found[:, self.slice_place] = [_place(item.index, *ends[item.case]) for item in items]
        return found


def _ends(prepared: Prepared) -> tuple[int, int]:
    slices = np.flatnonzero(prepared.foreground[0].any(axis=(1, 2)))
    return int(slices[0]), int(slices[-1])


def _place(index: int, first: int, last: int) -> float:
    return min(max((index - first) / max(1, last - first), 0.0), 1.0)
