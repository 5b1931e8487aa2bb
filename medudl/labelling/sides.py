"""What a store holds and how its patients are parted, in sentences: before anybody has labelled in vain."""

from __future__ import annotations

from collections.abc import Sequence

from medudl.data.index_draft import count
from medudl.labels.events import LabelCase
from medudl.labels.store import LabelStore

__all__ = ["doubts", "holds"]


def holds(store: LabelStore) -> str:
    """How many cases there are, and who is of the test set."""
    cases = store.cases()
    whose = "test set (the split of the table)" if store.given else "random test set"
    return f"{count(len(cases), 'case')}, one a {store.unit}, {sum(case.test for case in cases)} of them of the {whose}"


def doubts(store: LabelStore) -> list[str]:
    """What will keep a model from being trained or measured, and what to do."""
    cases = store.cases()
    tested, others = [case for case in cases if case.test], [case for case in cases if not case.test]
    mend = (
        "mend the column split, and make a new store"
        if store.given
        else "make a new store with another --seed or --test-share"
    )
    told = []
    if not tested:
        told.append(f"no patient is of the test set: nothing will tell how right a model is; {mend}")
    if _patients(others) < 2 * len(store.classes):
        told.append(f"outside the test set {_lie(others)}: a model takes two patients of each class there; {mend}, or"
                    " index more scans")  # fmt: skip
    elif len(tested) > len(others):
        told.append(f"most cases are of the test set, since patients stay whole: {_lie(others)} to learn from; {mend}")
    return told


def _patients(cases: Sequence[LabelCase]) -> int:
    return len({case.subject for case in cases})


def _lie(cases: Sequence[LabelCase]) -> str:
    verb = "is" if len(cases) == 1 else "are"
    return f"{verb} {count(len(cases), 'case')} of {count(_patients(cases), 'patient')}"
