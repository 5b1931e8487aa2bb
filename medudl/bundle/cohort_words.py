"""Counts, settings and ranges of a cohort in words; nothing points to a patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from medudl.config import Data, Intensity
from medudl.data.cases import Case
from medudl.data.cohort import Series

FEWEST = 5  # patients: of fewer, age and sex would point to persons
VIEWS = {
    "slices": "single slices", "slices_25d": "slices with their neighbours as channels",
    "patches": "overlapping 3-D patches", "volume": "whole volumes",
}  # fmt: skip


def people(cases: Sequence[Case]) -> str:
    """How many there are: 12 patients."""
    return count(len({case.subject for case in cases}), "patient")


def count(number: int, word: str) -> str:
    """A number with its word: 1 scan, 2 scans, 2 pairs of scans."""
    first, *rest = word.split(" ", 1)
    return " ".join([str(number), first + ("" if number == 1 else "s"), *rest])


def where(data: Data, left_out: Sequence[str]) -> str:
    """The choice of rows, in brackets; columns that are left out without their values."""
    told = [f"{column} = {value}" for column, value in data.where.items() if column not in left_out]
    told += [f"some values of {column}" for column in left_out]
    return f" ({'; '.join(told)})" if told else ""


def subsets(data: Data) -> str:
    """What a scan is seen as."""
    if data.view == "volume":
        return "whole volumes"
    return f"{VIEWS[data.view]} with at least {data.min_foreground:.0%} foreground"


def disjoint(rows: Sequence[Series]) -> str:
    """What the rows show, whoever made the splits."""
    if not any(row.split for row in rows):
        return ""
    sides: dict[str, set[str]] = {}
    for row in rows:
        for name in (f"patient {row.subject}", f"file {row.sha256}" if row.sha256 else ""):
            sides.setdefault(name, set()).add(row.split)
    both = sum(1 for name, found in sides.items() if name and len(found - {""}) > 1)
    if both:
        return f"not disjoint: {both} patients or files lie in more than one split"
    return "by patient; no patient, and no file of equal content, lies in more than one split"


def acquisition(series: Sequence[Series]) -> str:
    """Scanners, and the voxel sizes from lowest to highest."""
    scanners = sorted({s.scanner for s in series if s.scanner})
    spacings = [s.spacing for s in series if s.spacing]
    told = f"scanners: {listed(scanners)}" if scanners else "scanners: not in the files"
    if not spacings:
        return told
    dims = min(len(s) for s in spacings)
    ranges = (f"{min(s[a] for s in spacings):.3g} to {max(s[a] for s in spacings):.3g}" for a in range(dims))
    return f"{told}; voxels (mm): {' x '.join(ranges)}"


def reference(labels: Mapping[str, int], masked: int, healthy: int) -> str:
    """What says which scans are healthy. labels: how many scans of each. masked, healthy: scans."""
    told = [f"labels in the cohort: {counts(labels)}"] if labels else []
    told += [f"lesion masks for {count(masked, 'scan')}"] if masked else []
    return "; ".join([*told, f"{count(healthy, 'scan')} taken for healthy"])


def demography(series: Sequence[Series]) -> str:
    """Sex and median age over patients; nothing of a handful, whom it would point to."""
    by_patient = {s.subject: s for s in series if s.sex or s.age}
    if len(by_patient) < FEWEST:
        return ""
    sexes = Counter(s.sex for s in by_patient.values() if s.sex)
    ages = sorted(int(digits) for s in by_patient.values() if (digits := "".join(filter(str.isdigit, s.age))))
    told = [f"sex: {counts(sexes)}"] if sexes else []
    told += [f"median age {ages[len(ages) // 2]} ({len(ages)} known)"] if len(ages) >= FEWEST else []
    return "; ".join(told)


def intensities(data: Data) -> list[Intensity]:
    """One for all contrasts, or one each."""
    return [data.intensity] if isinstance(data.intensity, Intensity) else list(data.intensity.values())


def scales(data: Data) -> list[str]:
    """How intensities are scaled, a sentence each."""
    if isinstance(data.intensity, Intensity):
        return [_intensity(data.intensity)]
    return [f"{name}: {_intensity(one)}" for name, one in data.intensity.items()]


def _intensity(one: Intensity) -> str:
    clip = ", clipped" if one.clip else ", brighter voxels may exceed 1"
    if one.kind == "zscore":
        return f"zscore, {one.width:g} standard deviations to either side to [0, 1]{clip}"
    return f"{one.kind} {one.low:g} to {one.high:g} to [0, 1]{clip}"


def counts(numbers: Mapping[str, int]) -> str:
    """{"b": 4, "a": 3}: "a 3, b 4"."""
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))


def listed(words: Sequence[str], otherwise: str = "not stated") -> str:
    """["a", "b"]: "a, b"."""
    return ", ".join(words) or otherwise
