"""Cases: which series go into the network together, and which cases may be learnt from."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from medudl.config import Data
from medudl.data.identity import safe_name, unique_names

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort, Series


@dataclass(frozen=True)
class Case:
    """One input of the network: a series, or the series of a study that make its channels.

    id: unique in its cohort and safe as a file name, `sub-<subject>[_ses-<study>][_<contrast or series>]`.
    channels: one series a channel, None where the study lacks it (`missing: zero`).
    names: the channels' contrasts, in the same order.
    grid: the series whose grid the others are put on and outputs belong to.
    """

    id: str
    subject: str
    study: str
    channels: tuple[Series | None, ...]
    names: tuple[str, ...]
    grid: Series
    label: str
    split: str

    @property
    def present(self) -> tuple[Series, ...]:
        """The channels that exist."""
        return tuple(series for series in self.channels if series is not None)

    @property
    def masked(self) -> tuple[Series, ...]:
        """The series with a lesion mask, the grid series first."""
        return tuple(s for s in dict.fromkeys((self.grid, *self.present)) if s.mask)


def cases_of(cohort: Cohort, data: Data) -> tuple[list[Case], list[str]]:
    """The cases that `data` asks for, and sentences that name who was left out or chosen among, and why."""
    series, notes = _usable(cohort.select(data.where).series(), data)
    if data.channels:
        cases, more = _by_study(series, data)
        notes += more
    else:
        cases = _by_series(series)
    names = unique_names(case.id for case in cases)  # hostile names may coincide once they are safe for a file
    return [replace(case, id=name) for case, name in zip(cases, names, strict=True)], notes


def is_healthy(case: Case, data: Data) -> bool:
    """Whether the case counts as healthy: by its label, or, without `healthy_labels`, by having no lesion mask."""
    return case.label in data.healthy_labels if data.healthy_labels else not case.masked


def training_cases(cases: list[Case], data: Data) -> tuple[list[Case], list[str]]:
    """The cases a model of healthy anatomy may learn from, and sentences that name who was left out.

    Healthy cases; with `lesion_free_slices` also cases that have a lesion mask, of which the loader takes the slices
    away from it. Without a label or a mask nobody knows where lesions are, so such cases are left out then.
    """
    kept, notes = [], []
    for case in cases:
        if data.lesion_free_slices:
            known = bool(case.masked) or case.label in data.healthy_labels
            reason = "has neither a lesion mask nor a healthy label, so its lesion-free slices are unknown"
        else:
            known, reason = is_healthy(case, data), "is not healthy"
        kept += [case] if known else []
        notes += [] if known else [f"{case.id} {reason}: not learnt from"]
    return kept, notes


def _usable(series: list[Series], data: Data) -> tuple[list[Series], list[str]]:
    """Leave out what the index found wrong; with `repair` reading decides, since much of it can be mended."""
    kept = [s for s in series if s.usable or data.repair]
    return kept, [f"{s.path}: left out: {s.problems}" for s in series if not (s.usable or data.repair)]


def _by_series(series: list[Series]) -> list[Case]:
    count = Counter((s.subject, s.study, s.contrast) for s in series)
    cases = []
    for s in series:
        alone = bool(s.contrast) and count[s.subject, s.study, s.contrast] == 1
        name = _case_id(s.subject, s.study, s.contrast if alone else s.series)
        channel = s.contrast or s.modality
        cases.append(Case(name, s.subject, s.study, (s,), (channel,), s, s.label, s.split))
    return cases


def _by_study(series: list[Series], data: Data) -> tuple[list[Case], list[str]]:
    studies: dict[tuple[str, str], dict[str, list[Series]]] = defaultdict(lambda: defaultdict(list))
    for s in series:
        if s.contrast in data.channels:
            studies[s.subject, s.study][s.contrast].append(s)
    cases, notes = [], []
    for (subject, study), found in studies.items():
        name = _case_id(subject, study, "")
        lacking = [c for c in data.channels if c not in found]
        if lacking and data.missing == "skip":
            notes.append(f"{name} lacks {' and '.join(lacking)}: left out")
            continue
        notes += [
            f"{name} has {len(s)} series of {c}: the one with most voxels is used"
            for c, s in found.items()
            if len(s) > 1
        ]
        channels = tuple(_largest(found[c]) if c in found else None for c in data.channels)
        wanted = [data.grid or data.channels[0], *data.channels]
        grid = next(channels[data.channels.index(c)] for c in wanted if c in found)
        label = next((s.label for s in (grid, *channels) if s is not None and s.label), "")
        assert grid is not None
        cases.append(Case(name, subject, study, channels, tuple(data.channels), grid, label, grid.split))
    return cases, notes


def _largest(series: list[Series]) -> Series:
    return min(series, key=lambda s: (-prod(s.shape), s.series))


def _case_id(subject: str, study: str, last: str) -> str:
    parts = [f"sub-{safe_name(subject)}"]
    parts += [f"ses-{safe_name(study)}"] if study else []
    parts += [safe_name(last)] if last else []
    return "_".join(parts)
