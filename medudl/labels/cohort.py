"""A cohort to train on: the store's labels, its random test set, and train and val of all other patients."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from medudl.data.cohort import Cohort, Series
from medudl.data.duplicates import linked_subjects
from medudl.data.index_draft import count
from medudl.labels.cases import case_id
from medudl.labels.store import LabelStore

NOTES = "label_notes"  # where the sentences stand in the cohort's meta
_VAL = 0.25  # of the labelled patients


def labelled(store: LabelStore, cohort: Cohort) -> Cohort:
    """The rows of the store's cases, `label` and `split` from the store alone; meta["label_notes"]: who was left out.

    label: `store.truth()`, "" where there is none yet. split: test, as the store drew it; of all other patients a
    quarter of the labelled ones, and of each class at least one where it has two, are val, by a hash of their name;
    the rest is train, labelled or not. Copies stay on one side; what copies a test patient is left out.
    """
    series = cohort.series()
    cases = {case.id: case for case in store.cases()}
    truth, links = store.truth(), linked_subjects(series)
    ids = [case_id(one, store.unit) for one in series]
    unseen = set(store.flagged()) - truth.keys() - {label.case for label in store.labels()}
    tested = {case.subject for case in cases.values() if case.test}
    beside = {links[subject] for subject in tested & links.keys()}
    reasons = [
        _reason(one, id in cases, id in unseen, one.subject not in tested and links[one.subject] in beside)
        for one, id in zip(series, ids, strict=True)
    ]
    kept = [n for n, reason in enumerate(reasons) if not reason]
    classes: dict[str, set[str]] = defaultdict(set)
    for n in kept:
        if ids[n] in truth and series[n].subject not in tested:
            classes[links[series[n].subject]].add(truth[ids[n]])
    val = choose_val(classes, store.classes, store.seed)
    table = cohort.table.iloc[kept].reset_index(drop=True)
    table["label"] = [truth.get(ids[n], "") for n in kept]
    table["split"] = [
        "test" if one.subject in tested else "val" if links[one.subject] in val else "train"
        for one in (series[n] for n in kept)
    ]
    notes = [*_left_out(reasons), *_unlabelled(store, series, cases.keys() - set(ids)), *_thin(classes, store.classes)]
    return Cohort(cohort.root, table, {**cohort.meta, NOTES: notes})


def choose_val(classes: Mapping[str, set[str]], names: Sequence[str], seed: int) -> set[str]:
    """Groups of patients for validation. classes: group -> its labels. The rarest class is dealt first.

    Of a class with n groups a quarter is val, one at least, but never the last one that could teach it.
    """
    order = sorted(classes, key=lambda group: hashlib.sha256(f"{seed}\0val\0{group}".encode()).hexdigest())
    having = {name: [group for group in order if name in classes[group]] for name in names}
    val: set[str] = set()
    for name in sorted(having, key=lambda name: len(having[name])):
        wanted = max(round(_VAL * len(having[name])), 1)
        for group in having[name]:
            enough = sum(other in val for other in having[name]) >= wanted
            taught = all(any(other not in val | {group} for other in having[one]) for one in classes[group])
            if not enough and taught:
                val.add(group)
    return val


def _reason(one: Series, known: bool, flagged: bool, copy: bool) -> str:
    if not one.usable:
        return "unusable, see column problems"
    if not known:
        return "not in the store; `medudl label STORE grow` takes them in"
    if copy:
        return "copies of a test patient's"
    return "flagged and without a label" if flagged else ""


def _left_out(reasons: Sequence[str]) -> list[str]:
    told = sorted(set(reasons) - {""})
    return [f"left out: {count(reasons.count(reason), 'scan')} of {len(reasons)} ({reason})" for reason in told]


def _unlabelled(store: LabelStore, series: Sequence[Series], gone: set[str]) -> list[str]:
    notes = []
    if waiting := len(store.conflicts()):
        notes.append(f"without a label: {count(waiting, 'case')} on which readers differ; adjudicate")
    if gone:
        notes.append(f"gone: {count(len(gone), 'case')} of the store without a scan in this cohort")
    if replaced := sum(bool(one.label) for one in series):
        notes.append(f"replaced: the cohort's own labels of {count(replaced, 'scan')}, which do not count here")
    return notes


def _thin(classes: Mapping[str, set[str]], names: Sequence[str]) -> list[str]:
    counts = {name: sum(name in held for held in classes.values()) for name in names}
    return [
        f"class {name}: {'no labelled patient' if not many else 'one labelled patient, for training,'} outside the test"
        " set; label more"
        for name, many in counts.items()
        if many < 2
    ]
