"""The protocol that the studies `chest` and `pneumoniamnist` share: sick films, told from healthy ones alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medudl.metrics.intervals import Estimate
from studies import queue, scores
from studies.scores import GROUPS, SHIFTS, Films

SEEDS = range(5)
SELECT_SHARE = 0.25  # of the healthy training patients, for the choice
SELECT_SICK = 300  # training films of sick patients, for the choice alone

PIXEL: Mapping[str, Mapping[str, Any]] = {
    "autoencoder": {"name": "autoencoder", "latent": 64, "width": 16, "levels": 4},
    "denoising autoencoder": {
        "name": "denoising_autoencoder", "width": 16, "levels": 3, "patch": 2, "norm": "batch", "residual": True,
        "grid": 8,
    },
    "sparse autoencoder": {"name": "sparse_autoencoder"},
    "variational autoencoder": {"name": "variational_autoencoder", "latent": 64, "width": 16, "levels": 4},
    "RBM": {"name": "rbm", "hidden": 256},
}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """train: healthy and sick films; val: looked at once. small: the same two for methods on pixels."""

    train: Films
    val: Films
    small_train: Films
    small_val: Films
    sides: Sequence[int]
    steps: int
    goal: str


def jobs(pixel: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """select, then features on all training patients and five draws of them, then the rest."""
    draws = [{"part": "features", "draw": draw} for draw in range(1 + len(SEEDS))]
    pixels = [{"part": "pixel", "method": method, "seed": seed} for method in pixel for seed in SEEDS]
    return [{"part": "select"}, *draws, {"part": "trivial"}, *pixels]


def run(question: Question, out: Path, pixel: Mapping[str, Mapping[str, Any]] = PIXEL) -> None:
    """Do what is missing, print the table."""
    torch.set_num_threads(1)  # tiny convolutions are slower on two
    results = queue.run(jobs(pixel), lambda job, _: _work(question, job, out, pixel), out)
    print(table(question, results))


def _work(question: Question, job: queue.Job, out: Path, pixel: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if job["part"] == "select":
        return select(question, out)
    if job["part"] == "features":
        return _features(question, out, int(job["draw"]))
    healthy = question.small_train[~question.small_train.sick]
    if job["part"] == "trivial":
        return {"scores": _listed(scores.trivial(healthy, question.small_val))}
    method = scores.trained(pixel[job["method"]], healthy.stretched(), int(job["seed"]), steps=question.steps)
    return {"scores": _listed(scores.scored(method, question.small_val.stretched()))}


def select(question: Question, out: Path) -> dict[str, Any]:
    """The worst AUROC over the shifts of every setting, on held-out training films; and the best setting by it."""
    train = question.train
    kept, held = held_out(train)
    found: dict[str, dict[str, float]] = {}
    for side in question.sides:
        fitted = scores.features(train[kept], side, "none", out / "cache" / "fit")
        looked = {shift: scores.features(train[held], side, shift, out / "cache" / "held") for shift in SHIFTS}
        for group in GROUPS:
            for name, score in scores.scorers(scores.joined(fitted, group)).items():
                values = {s: scores.joined(stages, group) for s, stages in looked.items()}
                key = f"{side} / {'+'.join(map(str, group))} / {name}"
                found[key] = {s: _plain_auroc(train[held], score(p)) for s, p in values.items()}
    worst = {key: min(values.values()) for key, values in found.items()}
    best = max(worst, key=lambda key: worst[key])
    linear = max((key for key in worst if "linear" in key), key=lambda key: worst[key])
    single = max((k for k in worst if "linear" in k and "+" not in k), key=lambda key: worst[key])
    told = {"candidates": found, "best": best, "linear": linear, "single": single}
    return {**told, "n_fit": int(kept.sum()), "n_held": int(held.sum())}


def held_out(train: Films) -> tuple[Any, Any]:
    """Healthy films to fit on; films to choose on: other healthy patients and some sick ones. Seed 0."""
    random = np.random.default_rng(0)
    patients = np.unique(train.subject[~train.sick])
    chosen = random.permutation(patients)[: round(SELECT_SHARE * len(patients))]
    apart = np.isin(train.subject, chosen)
    held = apart & ~train.sick
    sick = random.permutation(np.flatnonzero(train.sick))[:SELECT_SICK]
    held[sick] = True
    return ~train.sick & ~apart, held


def _plain_auroc(films: Films, score: Any) -> float:
    from medudl.metrics.curves import auroc

    return auroc(films.sick, score)


def chosen_setting(out: Path) -> dict[str, Any]:
    """What `select` wrote."""
    import json

    found: dict[str, Any] = json.loads((out / "part-select.json").read_text())
    return found


def _features(question: Question, out: Path, draw: int) -> dict[str, Any]:
    """Val with the settings chosen; draw 0 fits on all healthy training films, others on their patients redrawn."""
    chosen = chosen_setting(out)
    healthy = question.train[~question.train.sick]
    rows = np.arange(len(healthy)) if draw == 0 else _redrawn(healthy, draw)
    told: dict[str, Any] = {}
    for role in ("best", "linear", "single"):
        side, group, name = chosen[role].split(" / ")
        stages = [int(s) for s in group.split("+")]
        fitted = scores.joined(scores.features(healthy, int(side), "none", out / "cache" / "healthy"), stages)
        score = scores.scorers(fitted[torch.from_numpy(rows)])[name]
        shifts = SHIFTS if draw == 0 else ["none"]
        looked = {s: scores.features(question.val, int(side), s, out / "cache" / "val") for s in shifts}
        told[role] = {s: score(scores.joined(p, stages)).tolist() for s, p in looked.items()}
    return {"scores": {role: values["none"] for role, values in told.items()}, "shifted": told if draw == 0 else {}}


def _redrawn(films: Films, draw: int) -> Any:
    patients = np.unique(films.subject)
    drawn = np.random.default_rng(draw).choice(patients, len(patients))
    return np.concatenate([np.flatnonzero(films.subject == patient) for patient in drawn])


def table(question: Question, results: Sequence[dict[str, Any]]) -> str:
    """Each score's AUROC on val, mean over seeds, interval by patient, and the seeds' range."""
    select_told = results[0]
    lines = [
        f"goal: {question.goal}",
        f"chosen on {select_told['n_held']} held-out training films by the worst AUROC over {', '.join(SHIFTS)}:",
    ]
    for role in ("best", "linear", "single"):
        values = select_told["candidates"][select_told[role]]
        lines.append(f"  {role}: {select_told[role]}: " + ", ".join(f"{s} {v:.3f}" for s, v in values.items()))
    val = question.val
    lines += ["", f"AUROC on val, n = {len(val)} films ({int(val.sick.sum())} sick) of {len(np.unique(val.subject))}"]
    features = [r for r in results if r["part"] == "features"]
    for role in ("best", "linear", "single"):
        whole = scores.auroc(val, [np.array(features[0]["scores"][role])])
        redrawn = [scores.auroc(val, [np.array(r["scores"][role])]).value for r in features[1:]]
        lines.append(_line(f"features, {role}: {select_told[role]}", whole, redrawn, "training patients redrawn"))
        under = {s: scores.auroc(val, [np.array(v)]).value for s, v in features[0]["shifted"][role].items()}
        lines.append("    under shift: " + ", ".join(f"{s} {v:.3f}" for s, v in under.items()))
    for result in results:
        if result["part"] == "trivial":
            lines += [_line(name, scores.auroc(val, [np.array(s)]), [], "") for name, s in result["scores"].items()]
    for method in dict.fromkeys(r["method"] for r in results if r["part"] == "pixel"):
        rows = [r for r in results if r.get("method") == method]
        for name in rows[0]["scores"]:
            seeds = [np.array(r["scores"][name]) for r in rows]
            each = [scores.auroc(val, [s]).value for s in seeds]
            lines.append(_line(f"{method}, {name}", scores.auroc(val, seeds), each, f"{len(each)} seeds"))
    return "\n".join(lines)


def _line(name: str, value: Estimate, several: Sequence[float], of: str) -> str:
    spread = f"; {of} {min(several):.3f} to {max(several):.3f}" if several else ""
    return f"{name:<60} {value.value:.3f} ({value.low:.3f} to {value.high:.3f}){spread}"


def _listed(found: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: np.asarray(value).tolist() for name, value in found.items()}
