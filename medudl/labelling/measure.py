"""How right a model is: on the labelled cases of the random test set alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medudl.labels.store import LabelStore
from medudl.metrics.classification import balanced_accuracy, confusion
from medudl.metrics.intervals import Estimate, bootstrap, resamples

__all__ = ["Measured", "measure"]

REPEATS, SEED = 2000, 0


@dataclass(frozen=True)
class Measured:
    """How right a model is on the labelled cases of the random test set. None: too few to tell."""

    cases: int
    patients: int
    balanced_accuracy: Estimate | None
    error: Estimate | None

    def tree(self) -> dict[str, Any]:
        """As JSON values."""
        found = {"balanced_accuracy": self.balanced_accuracy, "error": self.error}
        return {"cases": self.cases, "patients": self.patients} | {
            name: None if one is None else one.as_dict() for name, one in found.items()
        }

    def text(self) -> str:
        """One sentence."""
        where = f"{self.cases} labelled cases of {self.patients} patients of the random test set"
        if self.balanced_accuracy is None:
            return f"Nothing can be said of how right it is yet: {where}; it takes two classes among them."
        return f"Balanced accuracy {self.balanced_accuracy.text()} on {where} (95 % interval, by patient)."


def measure(store: LabelStore, opinions: Mapping[str, Mapping[str, float]]) -> Measured:
    """On test cases alone: others were picked, and a model's figure on picked cases says nothing of the rest."""
    truth = store.truth()
    tested = [case for case in store.cases() if case.test and case.id in truth and case.id in opinions]
    _, place = np.unique([case.subject for case in tested], return_inverse=True)
    patients = int(place.max()) + 1 if len(tested) else 0
    said = np.array([store.classes.index(truth[case.id]) for case in tested], np.int64)
    if len(set(said.tolist())) < 2:
        return Measured(len(tested), patients, None, None)
    called = [max(opinions[case.id], key=lambda name: opinions[case.id][name]) for case in tested]
    predicted = np.array([store.classes.index(name) for name in called], np.int64)
    strata = [str(sorted(set(said[place == patient].tolist()))) for patient in range(patients)]
    weight = resamples(strata, REPEATS, SEED)[:, place].astype(np.float64)
    counts = [confusion(said, predicted, len(store.classes), w) for w in (np.ones(len(said)), weight)]
    wrong = [1 - np.trace(c, axis1=-2, axis2=-1) / c.sum((-2, -1)) for c in counts]
    balanced = [balanced_accuracy(c) for c in counts]
    return Measured(
        len(tested), patients, bootstrap(float(balanced[0]), balanced[1], patients),
        bootstrap(float(wrong[0]), wrong[1], patients),
    )  # fmt: skip
