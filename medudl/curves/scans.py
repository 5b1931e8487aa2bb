"""The prepared scans of a label curve, and how they are dealt out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medudl.curves.arms import Arm
from medudl.data.cache import Cache
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.data.loaders import Loader
from medudl.data.mixed import MixedLoader
from medudl.data.pairs import pipeline_of
from medudl.data.pipeline import Prepared
from medudl.errors import UserError
from medudl.methods import method_class
from medudl.report.label_curve import Unit
from medudl.training.labelled import labelled_cases, per_class, share_of
from medudl.training.preparing import CACHE
from medudl.training.trainer import Batches

__all__ = ["Chosen", "Scans", "same_test"]

_OTHER_ORDER = 1_000_003  # added to the seed of the labelled half, whose order has nothing to do with the other's


@dataclass(frozen=True)
class Chosen:
    """The labelled scans of one point: those that are learnt from, and those that choose the weights."""

    train: list[Case]
    val: list[Case]


class Scans:
    """Of all splits: `labelled`, and `train`, which holds those without a label too where the arm learns from them."""

    def __init__(self, arm: Arm, cohort: Cohort) -> None:
        self.data, self.batch_size = arm.config.data, arm.config.train.batch_size
        self.workers = arm.config.train.workers
        self.classes: list[str] = arm.config.method["classes"]
        cases = cases_of(cohort, self.data)[0]
        known = {case.id for case in labelled_cases(cases, self.classes)[0]}
        self.semi_supervised = method_class(arm.config.method["name"]).semi_supervised
        wanted = [case for case in cases if case.id in known or (self.semi_supervised and case.split == "train")]
        root = Path(self.data.cache) if self.data.cache else arm.run.path.parent / CACHE
        cache = Cache(root, pipeline_of(self.data, arm.run.read_json("fitted.json")), cohort)
        ready, _ = cache.fill(wanted)
        self.prepared: dict[str, Prepared] = {case.id: cache.get(case) for case in ready}
        self.train = [case for case in ready if case.split == "train"]
        self.labelled = {
            name: [case for case in ready if case.split == name and case.id in known]
            for name in ("train", "val", "test")
        }
        lacking = [name for name, found in self.labelled.items() if not found]
        if lacking:
            raise UserError(f"a label curve takes labelled scans in train, val and test; {lacking[0]} has none")
        items = self.loader(self.labelled["test"], training=False, seed=0).items
        tested = [self.labelled["test"][place] for place in sorted({item.case for item in items})]
        self.tested = [case.id for case in tested]
        self.subjects = [case.subject for case in tested]
        self.truth: NDArray[np.int64] = np.array([self.classes.index(case.label) for case in tested])

    def chosen(self, amount: float, unit: Unit, seed: int) -> Chosen:
        """Of the patients of train and val, the same for every arm; larger amounts hold the smaller ones."""
        return Chosen(*(_dealt(self.labelled[split], amount, unit, seed) for split in ("train", "val")))

    def training(self, labelled: Sequence[Case], seed: int) -> Batches:
        """The labelled scans; beside them, for a method that learns from those too, all train scans without a label."""
        if not self.semi_supervised:
            return self.loader(labelled, training=True, seed=seed)
        known = self.loader(labelled, training=True, seed=seed + _OTHER_ORDER)
        return MixedLoader(known, self.loader(self.train, training=True, seed=seed, labels={}))

    def settling(self, labelled: Sequence[Case]) -> Loader:
        """What `training` shows, once in order and not augmented."""
        cases = self.train if self.semi_supervised else labelled
        return self.loader(cases, training=False, seed=0, labels=self.labels(labelled))

    def loader(
        self, cases: Sequence[Case], *, training: bool, seed: int, labels: dict[str, int] | None = None
    ) -> Loader:
        """labels: those that are told; default, of all cases that have one."""
        return Loader(
            [self.prepared[case.id] for case in cases],
            self.data,
            labels=self.labels(cases) if labels is None else labels,
            batch_size=self.batch_size,
            seed=seed,
            shuffle=training,
            augment=training,
            workers=self.workers,
        )

    def labels(self, cases: Sequence[Case]) -> dict[str, int]:
        """Class numbers by case."""
        return {case.id: self.classes.index(case.label) for case in cases}


def same_test(scans: Sequence[Scans]) -> None:
    """Raise UserError where arms would be tested on different scans, or know different classes."""
    if any(one.tested != scans[0].tested or one.classes != scans[0].classes for one in scans):
        raise UserError(
            "the runs look at different scans of the test split, or at other classes; compare runs of the same"
            " data.where and method.classes"
        )


def _dealt(cases: Sequence[Case], amount: float, unit: Unit, seed: int) -> list[Case]:
    return share_of(cases, amount, seed) if unit == "share" else per_class(cases, int(amount), seed)
