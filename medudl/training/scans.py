"""Which scans a training learns from, and which choose its best weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from medudl.config import Config
from medudl.data.cases import Case, cases_of, training_cases
from medudl.data.cohort import Cohort
from medudl.data.sides import Side, pair_cases, side_cases
from medudl.errors import UserError
from medudl.methods import method_class
from medudl.training.labelled import chosen_of, labelled_cases


@dataclass(frozen=True)
class Plan:
    """Which scans are learnt from (train) and which choose the best weights (val), and who was left out and why.

    Of a translation without pairs these are the source side's, and those of the other side stand beside them. Of a
    semi-supervised method, train holds all scans; those learnt from without a label have none in it.
    """

    cohort: Cohort
    train: list[Case]
    val: list[Case]
    notes: list[str]
    target_train: list[Case] = field(default_factory=list)
    target_val: list[Case] = field(default_factory=list)


def choose_scans(config: Config, cohort: Cohort) -> Plan:
    """The scans to train and to validate on. Raises UserError where either is empty.

    Healthy ones; for a supervised method those with a label, of `train.labels` of their patients in either split, or of
    `train.labels_per_class` patients of each class in either, so that the choice of weights costs no more labels than
    that; a semi-supervised method learns from the other scans of the train split too, without their labels; for a
    translation all that have its contrasts, sick ones too, since it will be shown them.
    """
    rows = cohort.select(config.data.where)
    if config.data.target:
        return _sides(config, rows)
    cases, notes = cases_of(rows, config.data)
    if not cases:
        told = f" ({notes[0]})" if notes else ""
        raise UserError(f"the cohort has no scan for data.where and data.channels{told}; see its contrast column")
    method = method_class(config.method["name"])
    supervised = method.supervised_by(config.data.condition)
    if not supervised and (config.train.labels < 1 or config.train.labels_per_class is not None):
        raise UserError(f"train.labels: {config.method['name']} learns without labels; leave it out")
    chosen: dict[str, list[Case]] = {}
    for split in ("train", "val"):
        found = [case for case in cases if case.split == split]
        unlabelled = method.semi_supervised and split == "train"
        chosen[split], more = _eligible(found, config, supervised, unlabelled)
        notes = [*notes, *more]
    if not any(case.split for case in cases):
        raise UserError("the cohort has no splits; run `medudl index ... --split 70/15/15`, or train with --folds")
    lacking = next((split for split, found in chosen.items() if not found), None)
    if lacking is not None and config.data.lesion_free_slices:
        raise UserError(
            f"no scan with known lesion-free slices in the {lacking} split: they take a lesion mask or healthy label,"
            " in two patients at least, one to train on and one to validate; add masks, or leave out another patient"
        )
    if lacking is not None and supervised:
        raise UserError(
            f"no labelled scan in the {lacking} split; see the label column, `medudl index --labels CSV`, and"
            " method.classes"
        )
    if not chosen["train"]:
        raise UserError("no healthy scan in the train split; see the label and mask columns and data.healthy_labels")
    if not chosen["val"]:
        raise UserError(
            "no healthy scan in the val split, which chooses the best weights; run `medudl index ... --split 70/15/15`"
            " or train with --folds"
        )
    return Plan(rows, chosen["train"], chosen["val"], notes)


def _sides(config: Config, rows: Cohort) -> Plan:
    """The scans of a translation: studies that have both sides, or the scans of each."""
    if method_class(config.method["name"]).paired:
        cases, notes = pair_cases(rows, config.data)
        train, val = _split(cases, " and ".join([*config.data.channels, *config.data.target]), notes)
        return Plan(rows, train, val, notes)
    found: dict[Side, tuple[list[Case], list[Case]]] = {}
    notes = []
    wanted: dict[Side, list[str]] = {"source": config.data.channels, "target": config.data.target}
    for side, names in wanted.items():
        cases, more = side_cases(rows, config.data, side)
        notes += more
        found[side] = _split(cases, " and ".join(names), more)
    return Plan(rows, *found["source"], notes, *found["target"])


def _split(cases: Sequence[Case], names: str, notes: Sequence[str]) -> tuple[list[Case], list[Case]]:
    """Those to train on and those to validate on. Raises UserError where either is empty."""
    if not cases:
        told = f" ({notes[0]})" if notes else ""
        raise UserError(f"the cohort has no scan of {names}{told}; see its contrast and modality columns")
    if not any(case.split for case in cases):
        raise UserError("the cohort has no splits; run `medudl index ... --split 70/15/15`, or train with --folds")
    train, val = ([case for case in cases if case.split == split] for split in ("train", "val"))
    if not train or not val:
        lacking = "val split, which chooses the best weights" if train else "train split"
        raise UserError(f"no scan of {names} in the {lacking}; index more patients with --split, or train with --folds")
    return train, val


def _eligible(
    cases: Sequence[Case], config: Config, supervised: bool, unlabelled: bool
) -> tuple[list[Case], list[str]]:
    """The cases of one split that may be learnt from, and sentences on those left out.

    unlabelled: cases without a label are learnt from as well, as long as there are some with one.
    """
    if not supervised:
        return training_cases(list(cases), config.data)
    kept, notes = labelled_cases(cases, config.method.get("classes"))
    chosen = chosen_of(kept, config.train)
    if unlabelled and chosen:
        told = f"{len(chosen)} of {len(cases)} scans of the train split are learnt from with their label, all without"
        return _blanked(cases, chosen), [told, *_lacking(kept, config)]
    return chosen, [*notes, *_lacking(kept, config)]


def _blanked(cases: Sequence[Case], labelled: Sequence[Case]) -> list[Case]:
    """All the cases; those that are not among the labelled ones have no label."""
    known = {case.id for case in labelled}
    return [case if case.id in known else replace(case, label="") for case in cases]


def _lacking(labelled: Sequence[Case], config: Config) -> list[str]:
    """A sentence on the classes with fewer patients than `train.labels_per_class`."""
    patients: dict[str, set[str]] = defaultdict(set)
    for case in labelled:
        patients[case.label].add(case.subject)
    few = config.train.labels_per_class or 0
    lacking = [f"{len(found)} of {label}" for label, found in sorted(patients.items()) if len(found) < few]
    split = labelled[0].split if labelled else ""
    return [f"train.labels_per_class is {few}: the {split} split has only {' and '.join(lacking)}"] if lacking else []
