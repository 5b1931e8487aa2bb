"""A cohort as the table on the screen: one row a series, what is wrong with it, and filters over both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from apps.viewer.words import Names, advice, count, size, spacing, split_word
from medudl.data.cohort import Series

UNUSABLE, NOTED, FINE = "Not usable as it is", "With a note", "Nothing wrong"
LOST, ASIDE = "File left out", "For information"
_SHOWN = 4  # series named beside a problem


@dataclass(frozen=True)
class Filters:
    """What is to be seen; an empty part lets everything through. states: of UNUSABLE, NOTED, FINE. text: words."""

    modality: tuple[str, ...] = ()
    contrast: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    text: str = ""


def frame(rows: Sequence[Series], names: Names) -> pd.DataFrame:
    """The table of the screen, in the order of `rows`. Columns that hold nothing are left out, but for the problems."""
    table = pd.DataFrame(
        {
            "Patient": [names.subject(row) for row in rows],
            "Study": [names.study(row) for row in rows],
            "Modality": [row.modality for row in rows],
            "Series": [names.title(row) for row in rows],
            "Voxels": [size(row) for row in rows],
            "Voxel size (mm)": [spacing(row) for row in rows],
            "Label": [row.label for row in rows],
            "Split": [split_word(row.split) for row in rows],
            "Lesion mask": ["yes" if row.mask else "" for row in rows],
            "Age": [row.age for row in rows],
            "Sex": [row.sex for row in rows],
            "What is wrong": [" ".join(names.problems(row)) for row in rows],
        },
        dtype=str,
    )
    kept = [name for name in table if name in ("Patient", "Series", "What is wrong") or table[name].ne("").any()]
    return table[kept]


def state(row: Series) -> str:
    """How well a series can be used."""
    return FINE if not row.problems else NOTED if row.usable else UNUSABLE


def keep(rows: Sequence[Series], table: pd.DataFrame, filters: Filters) -> list[int]:
    """Positions of the rows that pass; every word of the text is looked for in the whole line of the screen's table."""
    lines = table.agg(" ".join, axis=1).str.lower() if len(table) and filters.text else [""] * len(rows)
    words = filters.text.lower().split()
    return [
        n
        for n, (row, line) in enumerate(zip(rows, lines, strict=True))
        if _passes(row, filters) and all(word in line for word in words)
    ]


def _passes(row: Series, filters: Filters) -> bool:
    asked = (
        (filters.modality, row.modality), (filters.contrast, row.contrast), (filters.label, row.label),
        (filters.split, row.split), (filters.states, state(row)),
    )  # fmt: skip
    return all(not wanted or value in wanted for wanted, value in asked)


def problems(rows: Sequence[Series], names: Names) -> pd.DataFrame:
    """One line for each kind of problem: what, what to do, how many series, and which; worst first."""
    groups: dict[tuple[bool, str], list[str]] = defaultdict(list)
    for row in rows:
        for note, told in names.weighed(row):
            groups[note, told].append(f"{names.subject(row)} {names.title(row)}")
    lines = [
        {
            "What is wrong": told,
            "What to do": advice(told),
            "Series": f"{len(own):,}",
            "Which": ", ".join(own[:_SHOWN]) + (f" and {len(own) - _SHOWN} more" if len(own) > _SHOWN else ""),
            "Weight": NOTED if note else UNUSABLE,
        }
        for (note, told), own in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1])))
    ]
    for (note, told), number in Counter(names.others()).items():
        weight = ASIDE if note else LOST
        which = count(number, "file or group of files", "files or groups of files")
        lines.append(
            {"What is wrong": told, "What to do": advice(told), "Series": "", "Which": which, "Weight": weight}
        )
    return pd.DataFrame(lines, columns=["Weight", "What is wrong", "What to do", "Series", "Which"])


def headline(rows: Sequence[Series], shown: list[int]) -> str:
    """Say "12 of 88 series, 40 patients"."""
    patients = len({rows[n].subject for n in shown})
    series = count(len(rows), "series", "series")
    part = series if len(shown) == len(rows) else f"{len(shown):,} of {series}"
    return f"{part}, {count(patients, 'patient')}"
