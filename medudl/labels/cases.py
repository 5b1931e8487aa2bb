"""Which cases a cohort holds, by names that last, and which patients are the random test set."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medudl.data.cohort import Series
from medudl.data.duplicates import linked_subjects
from medudl.labels.events import LabelCase

Unit = Literal["series", "study"]
_STAND_IN = re.compile(r"row-\d+")  # what `Cohort.read` writes where a table made by hand names no series


def key_of(series: Series) -> str:
    """Series and path of a row, which tell it from all others of its cohort."""
    return f"{series.series}|{series.path}"


def case_id(series: Series, unit: str) -> str:
    """16 hexadecimal digits of a SHA-256 of subject and study; for a series also its name and contrast, or its path.

    The path counts only where the series has no name of its own, so that the id lasts when scans move.
    """
    parts = [series.subject, series.study]
    if unit == "series":
        nameless = not series.series or _STAND_IN.fullmatch(series.series)
        parts += ["" if nameless else series.series, series.contrast, series.path if nameless else ""]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def natural_unit(series: Sequence[Series]) -> Unit:
    """The study where one holds several usable series: a radiologist then answers once for all of them."""
    many = Counter((one.subject, one.study) for one in series if one.usable)
    return "study" if any(count > 1 for count in many.values()) else "series"


def group_rows(series: Iterable[Series], unit: str) -> dict[str, list[Series]]:
    """Case id -> usable rows, in the cohort's order."""
    found: dict[str, list[Series]] = defaultdict(list)
    for one in series:
        if one.usable:
            found[case_id(one, unit)].append(one)
    return dict(found)


@dataclass(frozen=True)
class Side:
    """How test patients are found. given: by the cohort's split "test"; else `share` of them drawn by `seed`."""

    given: bool
    share: float
    seed: int


def cases_of(series: Sequence[Series], unit: str, side: Side, known: Mapping[str, bool]) -> list[LabelCase]:
    """The cases of these rows. known: subject -> test of the patients whose side has been fixed before."""
    tested = test_subjects(series, side, known)
    return [
        LabelCase(id, rows[0].subject, rows[0].study, tuple(key_of(row) for row in rows), rows[0].subject in tested)
        for id, rows in group_rows(series, unit).items()
    ]


def test_subjects(series: Sequence[Series], side: Side, known: Mapping[str, bool]) -> set[str]:
    """The test patients. A patient in `known` keeps its side; copies of one follow it, to the test set if in doubt."""
    links = linked_subjects(series)
    fixed: dict[str, bool] = {}
    for subject, test in known.items():
        group = links.get(subject, subject)
        fixed[group] = fixed.get(group, False) or test
    usable = {links[one.subject] for one in series if one.usable}
    fresh = usable - fixed.keys()
    if side.given:
        chosen = {links[one.subject] for one in series if one.split == "test"} & fresh
    else:
        wanted = round(side.share * len(usable | fixed.keys())) - sum(fixed.values())
        if not fixed and len(fresh) > 1 and 0 < side.share:
            wanted = max(wanted, 1)
        # By hash, so that the draw depends on the seed and the names alone.
        order = sorted(fresh, key=lambda group: hashlib.sha256(f"{side.seed}\0{group}".encode()).hexdigest())
        chosen = set(order[: max(wanted, 0)])
    return {s for s, group in links.items() if known.get(s, fixed.get(group, False) or group in chosen)}
