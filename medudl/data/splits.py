"""Training, validation and test by patient, and the guard against patients or copies on two sides."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medudl.data.cohort import SPLITS, Series
from medudl.data.duplicates import duplicate_groups, linked_subjects
from medudl.errors import UserError

_SPELLINGS = {
    "train": "train", "training": "train", "tr": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test", "ts": "test",
}  # fmt: skip
_SHOWN = 10  # how many names an error's line holds; all of them are in its lists


@dataclass(frozen=True)
class Leak:
    """A patient, or a set of copies, that lies in more than one split."""

    kind: str  # "patient" or "copies"
    name: str  # the subject, or the paths joined by " = "
    splits: tuple[str, ...]
    paths: tuple[str, ...]


class LeakError(UserError):
    """Raised by `check_leaks`; `leaks` holds every patient and every set of copies found on two sides."""

    def __init__(self, message: str, leaks: Sequence[Leak]):
        super().__init__(message)
        self.leaks = tuple(leaks)


def parse_shares(text: str) -> dict[str, float]:
    """{"train": 0.7, "val": 0.15, "test": 0.15} of "70/15/15". Raises UserError on anything else."""
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or min(numbers) < 0 or not 0 < sum(numbers) < float("inf"):
        raise UserError(f"--split {text}: write the shares of train/val/test, such as 70/15/15 (0 is allowed)")
    return {name: number / sum(numbers) for name, number in zip(SPLITS, numbers, strict=True)}


def spelled(text: str) -> str:
    """The split that an array's name stands for, "" where it stands for none."""
    return _SPELLINGS.get(text.lower(), "")


def split_name(text: str) -> str:
    """train, val or test for its usual spellings, "" for none. Raises UserError on any other."""
    if text and not spelled(text):
        raise UserError(f"split {text!r}: is none of {', '.join(SPLITS)}; rename it, or leave the column out")
    return spelled(text)


def assign(series: Sequence[Series], shares: Mapping[str, float], seed: int = 0) -> list[Series]:
    """The series with `split` set: by patient, copies together, each label in about the same shares.

    Patients that share voxels are one group. Groups are sorted by label, shuffled by `seed` within a label, and dealt
    one by one to the split that lies furthest behind its share; so the counts of each label and the total are off by
    at most one or two patients. A split with a share above 0 gets at least one group while there are enough.
    """
    links = linked_subjects(series)
    labels: dict[str, set[str]] = defaultdict(set)
    for one in series:
        labels[links[one.subject]].add(one.label)
    order = sorted(labels, key=lambda group: (sorted(labels[group]), _shuffled(group, seed)))
    split_of = _deal(order, {name: share for name, share in shares.items() if share > 0})
    return [replace(one, split=split_of[links[one.subject]]) for one in series]


def find_leaks(series: Sequence[Series]) -> list[Leak]:
    """Patients, then sets of copies, that lie in more than one split. Series without a split do not count."""
    rows = [one for one in series if one.split]
    by_subject: dict[str, list[Series]] = defaultdict(list)
    for one in rows:
        by_subject[one.subject].append(one)
    copies = [[rows[i] for i in group] for group in duplicate_groups(rows)]
    leaks = [_leak("patient", subject, group) for subject, group in by_subject.items()]
    leaks += [_leak("copies", " = ".join(one.path for one in group), group) for group in copies]
    return [leak for leak in leaks if len(leak.splits) > 1]


def check_leaks(series: Sequence[Series], reading: str) -> None:
    """Raise LeakError, which names them, if a patient or a copy lies in two splits.

    reading: how a patient is told from another, for the message ("{subject} of the pattern ...").
    """
    leaks = find_leaks(series)
    if not leaks:
        return
    parts = [part for kind in ("patient", "copies") if (part := _named([k for k in leaks if k.kind == kind]))]
    where = Counter(" and ".join(leak.splits) for leak in leaks).most_common(1)[0][0]
    raise LeakError(
        f"leak between {where}: {' and '.join(parts)}; patients are told apart by {reading}; split anew with --split "
        "70/15/15, or give a clean split with --labels CSV",
        leaks,
    )


def _named(leaks: Sequence[Leak]) -> str:
    """Say "2 patients in more than one split (A, B)", with the first ten names."""
    if not leaks:
        return ""
    what = "patient" if leaks[0].kind == "patient" else "set of equal images"
    many = what if len(leaks) == 1 else what.replace("patient", "patients").replace("set", "sets")
    rest = f" and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
    return f"{len(leaks)} {many} in more than one split ({', '.join(leak.name for leak in leaks[:_SHOWN])}{rest})"


def _leak(kind: str, name: str, group: Sequence[Series]) -> Leak:
    splits = tuple(split for split in SPLITS if any(one.split == split for one in group))
    return Leak(kind, name, splits, tuple(one.path for one in group))


def _shuffled(group: str, seed: int) -> str:
    # A hash instead of a random generator: adding a patient does not change the order of the others.
    return hashlib.sha256(f"{seed}\0{group}".encode()).hexdigest()


def _deal(order: Sequence[str], shares: Mapping[str, float]) -> dict[str, str]:
    dealt: dict[str, str] = {}
    counts = dict.fromkeys(shares, 0)
    for n, group in enumerate(order, start=1):
        behind = max(shares, key=lambda name: shares[name] * n - counts[name])
        dealt[group] = behind
        counts[behind] += 1
    for name in shares:
        fullest = max(counts, key=lambda other: counts[other])
        if counts[name] == 0 and counts[fullest] > 1:
            moved = next(group for group in reversed(order) if dealt[group] == fullest)
            dealt[moved] = name
            counts[name] += 1
            counts[fullest] -= 1
    return dealt
