"""Evaluate a classifier: its figures with intervals by patient, beside trivial ones, and a verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.data.pipeline import Prepared
from medudl.errors import UserError
from medudl.metrics import classification as measures
from medudl.metrics.intervals import Estimate, bootstrap, difference, resamples, short
from medudl.report.verdict import FEWEST
from medudl.run import Run
from medudl.tasks.classify import Classification, learnt_from, taught_by
from medudl.tasks.detector import shown
from medudl.tasks.folds import runs_of
from medudl.tasks.outputs import Folder, without_paths
from medudl.tasks.pixels import Trivial, coarse_pixels, mean_intensity
from medudl.version import VERSION

Array = NDArray[np.float64]
REPEATS, SEED = 2000, 0
MODEL = "the model"
FEATURES: dict[str, Callable[[Prepared], Array]] = {
    "logistic regression on 28 x 28 pixels": coarse_pixels,
    "mean intensity": mean_intensity,
}
Figures = dict[str, tuple[float, Array]]  # by measure: the value, and the values over the resamples


@dataclass(frozen=True)
class Tested:
    """Test scans: truth (N,) class numbers, patients, and {who: probability (N, K)}, the model under MODEL."""

    truth: NDArray[np.int64]
    subjects: list[str]
    cases: list[str]
    chance: dict[str, Array]


def evaluate_classifier(
    run: str | Path, cohort: str | Path | None = None, *, split: str = "test", out: str | Path,
    device: str = "auto", progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write OUT/report.json and OUT/report.html; returns the former's content. See `report.evaluate.evaluate`.

    run: a classifier, or the folder of its folds, whose held-out patients are pooled. Scans without a label, or with
    one that the run does not know, are left out and counted. Raises UserError: nothing in the split to evaluate on.
    """
    from medudl.report.classification_page import page

    runs = runs_of(run)
    rows = None if cohort is None else Cohort.read(Path(cohort))
    folder = Folder.create(out)
    models = [Classification(one, device) for one in runs]
    if any(model.classes != models[0].classes for model in models):
        raise UserError(f"{run}: its folds know different classes; train them with method.classes given")
    parts, notes = [], []
    for model in models:
        found, told = _tested(model, rows or model.run.cohort(), split, progress)
        parts.append(found)
        notes += told
    tree = {**summarise(_pooled(parts), models[0], split), "notes": list(dict.fromkeys(notes))}
    folder.text("report.json", json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    folder.text("report.html", page(tree))
    return tree


def _tested(model: Classification, cohort: Cohort, split: str, progress: bool) -> tuple[Tested, list[str]]:
    """The model's and the trivial classifiers' probabilities of the labelled scans of a split, and notes."""
    cases, notes = cases_of(cohort, model.data)
    known = [case for case in cases if case.split == split and case.label in model.classes]
    others = sum(case.split == split for case in cases) - len(known)
    notes = [without_paths(note, cohort, cohort.series()) for note in notes]
    notes += [f"{others} scans of the split have no label that the run knows: left out"] if others else []
    if not known:
        raise UserError(f"split {split}: no scan with one of the labels {', '.join(model.classes)}; name another split")
    _not_learnt_from(model.run, known, split)
    temperature = model.temperature()
    fitted = _trivial(model, progress)
    chance: dict[str, list[Array]] = {name: [] for name in (MODEL, *fitted)}
    kept: list[Case] = []
    for case in shown(known, "evaluating", progress):
        try:
            logits = model.logits(cohort, case)
        except UserError as error:
            notes.append(without_paths(f"{case.id} left out: {error}", cohort, case.present))
            continue
        kept.append(case)
        chance[MODEL].append(np.exp(measures.scan_log_probability(logits, temperature)))
        prepared = model.prepared(cohort, case)
        for name, judge in fitted.items():
            chance[name].append(judge(prepared))
    if not kept:
        raise UserError(f"split {split}: not one scan could be read ({notes[-1]})")
    truth = np.array([model.classes.index(case.label) for case in kept])
    probabilities = {name: np.array(rows) for name, rows in chance.items()}
    return Tested(truth, [case.subject for case in kept], [case.id for case in kept], probabilities), notes


def _not_learnt_from(run: Run, cases: Sequence[Case], split: str) -> None:
    learnt = {case.subject for case in learnt_from(run, run.cohort(), "train")}
    both = sorted({case.subject for case in cases} & learnt)
    if both and split == "test":
        raise UserError(
            f"the model was trained on {len(both)} of these patients ({', '.join(both[:5])}), which would flatter it;"
            " evaluate on patients that it has not seen"
        )


def _trivial(model: Classification, progress: bool) -> dict[str, Callable[[Prepared], Array]]:
    """Classifiers that need no network, fitted on the scans whose labels the run itself learnt from."""
    sides = []
    cohort = model.run.cohort()
    for split in ("train", "val"):
        cases = [case for case in taught_by(model.run, cohort, split) if case.label in model.classes]
        features: dict[str, list[Array]] = {name: [] for name in FEATURES}
        for case in shown(cases, "trivial classifiers", progress):
            prepared = model.prepared(cohort, case)
            for name, read in FEATURES.items():
                features[name].append(read(prepared))
        sides.append(({name: np.array(rows) for name, rows in features.items()}, _numbers(cases, model.classes)))
    (train, numbers), (val, held_out) = sides
    made: dict[str, Callable[[Prepared], Array]] = {}
    for name, read in FEATURES.items():
        fitted = Trivial.fit((train[name], numbers), (val[name], held_out), len(model.classes))
        made[name] = _judge(fitted, read)
    share = np.bincount(numbers, minlength=len(model.classes)) / len(numbers)
    made["the most frequent class, always"] = lambda prepared: share
    return made


def _judge(fitted: Trivial, read: Callable[[Prepared], Array]) -> Callable[[Prepared], Array]:
    return lambda prepared: fitted.probability(read(prepared)[None])[0]


def _numbers(cases: Sequence[Case], classes: Sequence[str]) -> list[int]:
    return [classes.index(case.label) for case in cases]


def _pooled(parts: Sequence[Tested]) -> Tested:
    chance = {name: np.concatenate([part.chance[name] for part in parts]) for name in parts[0].chance}
    return Tested(
        np.concatenate([part.truth for part in parts]), [s for part in parts for s in part.subjects],
        [c for part in parts for c in part.cases], chance,
    )  # fmt: skip


def summarise(tested: Tested, model: Classification, split: str) -> dict[str, Any]:
    """The content of report.json. Its `verdict` is the closing line, `beats` true, false or null."""
    names, place = np.unique(tested.subjects, return_inverse=True)
    strata = [str(sorted(set(tested.truth[place == patient]))) for patient in range(len(names))]
    weight = resamples(strata, REPEATS, SEED)[:, place].astype(np.float64)
    n = len(names)
    figures = {name: _figures(tested.truth, chance, weight) for name, chance in tested.chance.items()}
    rows = [
        {"name": name, **{measure: bootstrap(*pair, n).as_dict() for measure, pair in found.items()}}
        for name, found in figures.items()
    ]
    text, beats, best, paired = _verdict(figures, n)
    return {
        "medudl": VERSION, "method": model.name, "task": "classification", "split": split, "classes": model.classes,
        "scans": len(tested.truth), "patients": n,
        "bootstrap": {"repeats": REPEATS, "seed": SEED, "unit": "patient", "level": 0.95},
        "calibration": model.run.read_json("classification.json"), "figures": rows,
        "confusion": _confusion(tested, model.classes, weight, n),
        "cases": [
            {"case": case, "subject": subject, "label": model.classes[truth], "probability": chance.round(6).tolist()}
            for case, subject, truth, chance in zip(
                tested.cases, tested.subjects, tested.truth, tested.chance[MODEL], strict=True
            )
        ],
        "verdict": text, "beats": beats, "measure": "balanced accuracy", "best_baseline": best,
        "difference": paired.as_dict(),
    }  # fmt: skip


def _figures(truth: NDArray[np.int64], chance: Array, weight: Array) -> Figures:
    once = np.ones(len(truth))
    counts = [measures.confusion(truth, chance.argmax(1), chance.shape[1], w) for w in (once, weight)]
    both = {
        "balanced_accuracy": [measures.balanced_accuracy(c) for c in counts],
        "macro_f1": [measures.macro_f1(c) for c in counts],
        "auroc": [measures.auroc_one_vs_rest(truth, chance, w) for w in (once, weight)],
        "calibration_error": [measures.calibration_error(truth, chance, w) for w in (once, weight)],
    }
    return {name: (float(value), samples) for name, (value, samples) in both.items()}


def _confusion(tested: Tested, classes: Sequence[str], weight: Array, n: int) -> list[dict[str, Any]]:
    """Of each true class: scans called each class, and the share of each with its interval."""
    predicted, size = tested.chance[MODEL].argmax(1), len(classes)
    counts = measures.confusion(tested.truth, predicted, size, np.ones(len(tested.truth)))
    drawn = measures.confusion(tested.truth, predicted, size, weight)
    rows = []
    for k, name in enumerate(classes):
        total, among = counts[k].sum(), drawn[:, k].sum(1)
        shares = np.divide(drawn[:, k], among[:, None], out=np.full_like(drawn[:, k], np.nan), where=among[:, None] > 0)
        share = counts[k] / total if total else np.full(size, math.nan)
        called = [bootstrap(float(share[j]), shares[:, j], n).as_dict() for j in range(size)]
        rows.append({"label": name, "called": counts[k].astype(int).tolist(), "shares": called})
    return rows


def _verdict(figures: dict[str, Figures], n: int) -> tuple[str, bool | None, str, Estimate]:
    """By balanced accuracy, against the best trivial classifier; paired by patient."""
    value, samples = figures[MODEL]["balanced_accuracy"]
    others = {name: found["balanced_accuracy"] for name, found in figures.items() if name != MODEL}
    best = max(others, key=lambda name: others[name][0])
    paired = difference(value, others[best][0], samples, others[best][1], n)
    told = f"balanced accuracy {short(value)} against {short(others[best][0])}"
    if n < FEWEST:
        few = "1 test patient is" if n == 1 else f"{n} test patients are"
        return f"No verdict: {few} too few, {FEWEST} are the least ({told} of {best}).", None, best, paired
    beats = paired.low > 0
    signed = [("-" if x < 0 else "+") + short(abs(x)) for x in (paired.value, paired.low, paired.high)]
    word = "beats" if beats else "does not beat"
    text = (
        f"The model {word} the best trivial classifier ({told}, difference {signed[0]},"
        f" 95 % interval {signed[1]} to {signed[2]}, n = {n} patients). The trivial one, {best}, was picked on these"
        " very scans, which favours it."
    )
    return text, beats, best, paired
