"""Which labelled scans a supervised method learns from: all, a share of the patients, or so many of each class."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from medudl.config import Train
from medudl.data.cases import Case
from medudl.data.duplicates import linked_subjects


def labelled_cases(cases: Sequence[Case], classes: Sequence[str] | None) -> tuple[list[Case], list[str]]:
    """The cases with a label (one of `classes` where they are given), and a sentence on those left out."""
    kept = [case for case in cases if case.label and (classes is None or case.label in classes)]
    lost = Counter(case.label or "no label" for case in cases if case not in kept)
    told = ", ".join(f"{count} with {label}" for label, count in sorted(lost.items()))
    return kept, [f"not learnt from: scans of no class of method.classes ({told})"] if lost else []


def chosen_of(cases: Sequence[Case], settings: Train) -> list[Case]:
    """Those of the labelled cases of one split that `train.labels` or `train.labels_per_class` asks for."""
    if settings.labels_per_class is not None:
        return per_class(cases, settings.labels_per_class, settings.seed)
    return share_of(cases, settings.labels, settings.seed)


def share_of(cases: Sequence[Case], share: float, seed: int) -> list[Case]:
    """The cases of `share` of the patients, in each class as many in proportion, and one at least.

    Patients are ordered by a hash of the seed, so that a larger share holds the smaller one of the same seed. Patients
    with a copy of another's scan go with them.
    """
    links = linked_subjects([case.grid for case in cases])
    labels: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        labels[links[case.subject]].add(case.label)
    classes: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for group, found in labels.items():
        classes[tuple(sorted(found))].append(group)
    kept: set[str] = set()
    for groups in classes.values():
        groups.sort(key=_drawn(seed))
        kept.update(groups[: max(1, round(share * len(groups)))])
    return [case for case in cases if links[case.subject] in kept]


def per_class(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """The cases of `count` patients of each class, or of all where there are fewer; never more.

    Patients are ordered as in `share_of`, so that more hold fewer of the same seed, and those with a copy of another's
    scan go with them as one. Of a patient with scans of several classes only those of the class are taken for which
    she was drawn. Where a cohort knows no patients, each scan is one of its own.
    """
    links = linked_subjects([case.grid for case in cases])
    groups: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        groups[case.label].add(links[case.subject])
    kept = {label: set(sorted(found, key=_drawn(seed))[:count]) for label, found in groups.items()}
    return [case for case in cases if links[case.subject] in kept[case.label]]


def _drawn(seed: int) -> Callable[[str], str]:
    """An order of groups by a hash of the seed."""
    return lambda group: hashlib.sha256(f"{seed}\0{group}".encode()).hexdigest()
