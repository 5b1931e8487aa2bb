"""Study `label_queue`: does the queue reach an equal error with fewer labels than a random order?

Protocol, fixed before the first run.
Data: chest_xray_split.csv, two questions: two classes (NORMAL or not), and three (NORMAL, BACTERIA, VIRUS). Pool: the
films of train; test set: those of val, other patients, drawn at random.
Model: logistic regression (scikit-learn, C = .1, balanced classes) on frozen features: EfficientNet-Lite0 (ImageNet),
112 pixels a side, mean over the film of each channel of the last stage (320), each film's percentiles .5 and 99.5
mapped to 0 and 1, features standardised over the pool. Classes without a label have probability 0.
Orders: queue = `medudl.labels.queue.rank` (codes: the standardised features; ten at a time; near = .5, what was
shipped until this study was known), random = the rest of
`cold_start`. Both begin with the same 10 films of `cold_start`, drawn by the seed; then 10 labels a step up to 200, a
training after each step. Beside them `margin`: the ten least margins, copies or not. Seeds 0 to 9, paired.
Measure: error = 1 - balanced accuracy on the test set. Main figure: difference of queue and random, mean over the
steps from 20 to 200 labels; second: labels that the queue takes to reach random's mean error at 100 and at 200 labels.
95 % intervals: bootstrap over test patients and seeds together (2,000), both paired.
Goal: the interval of the difference below 0, in both questions. The settings of `rank` were chosen on the digits and
the breast-cancer table of scikit-learn, none of them on these films; C and the features were not chosen.
CPU size = GPU size: about 8 minutes on one core, half of them for features.

    make study NAME=label_queue
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

from medudl.labels.events import LabelCase
from medudl.labels.queue import cold_start, rank
from medudl.metrics.classification import balanced_accuracy, confusion
from medudl.metrics.intervals import Estimate, bootstrap, resamples
from medudl.networks.feature_network import ImageNetFeatures
from studies import queue
from studies.where import real_data

Array = NDArray[np.float64]
Pick = Callable[["Films", list[int], list[int], Array, int], list[int]]

SIDE, STEP, MOST = 112, 10, 200
SEEDS = range(10)
QUESTIONS: Mapping[str, Mapping[str, int]] = {
    "two classes": {"NORMAL": 0, "BACTERIA": 1, "VIRUS": 1},
    "three classes": {"NORMAL": 0, "BACTERIA": 1, "VIRUS": 2},
}
REPEATS = 2000


@dataclass(frozen=True)
class Films:
    """code: (N, 320), standardised over the pool. label: names of the folders. pool: those that may be labelled."""

    code: Array
    label: list[str]
    subject: list[str]
    pool: NDArray[np.bool_]


def films(source: Path, kept: Path, most: int | None = None) -> Films:
    """The films' features, from `kept` where they were computed before. most: films of each split, for a short test."""
    rows = pd.read_csv(source / "chest_xray_split.csv")
    if most is not None:
        rows = rows.groupby("split", group_keys=False).sample(most, random_state=0)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"part-{kept.name}")
        np.save(part, _features(source / "chest_xray_224", rows["path"].tolist()))
        part.replace(kept)
    raw, pool = np.load(kept), (rows["split"] == "train").to_numpy()
    code = (raw - raw[pool].mean(0)) / (raw[pool].std(0) + 1e-6)
    return Films(code, rows["label"].tolist(), rows["subject"].tolist(), pool)


def _features(folder: Path, paths: Sequence[str]) -> Array:
    network = ImageNetFeatures((1, SIDE, SIDE), [7], SIDE)
    parts = []
    for start in range(0, len(paths), 64):
        images = np.stack([_film(folder / path) for path in paths[start : start + 64]])
        with torch.inference_mode():
            grid = network(torch.from_numpy(images)[:, None])[0]
        parts.append(grid.flatten(2).mean(2).double().numpy())
    return np.concatenate(parts)


def _film(path: Path) -> NDArray[np.float32]:
    image = np.asarray(Image.open(path).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    low, high = np.percentile(image, [0.5, 99.5])
    made: NDArray[np.float32] = np.clip((image - low) / max(high - low, 1), 0, 1).astype(np.float32)
    return made


def by_queue(films: Films, left: list[int], labelled: list[int], chance: Array, seed: int) -> list[int]:
    """The product's own."""
    names = [str(at) for at in left]
    test = [str(at) for at in np.flatnonzero(~films.pool)]
    picked = rank(names, chance[left], films.code[left], films.code[labelled], n=STEP, seed=seed, test=test, near=0.5)
    return [int(one.case) for one in picked]


def by_margin(films: Films, left: list[int], labelled: list[int], chance: Array, seed: int) -> list[int]:
    """Uncertainty alone; ties at random."""
    ordered = np.sort(chance[left], axis=1)
    tie = np.random.default_rng(seed).permutation(len(left))
    return [left[at] for at in np.lexsort((tie, ordered[:, -1] - ordered[:, -2]))[:STEP]]


def at_random(films: Films, left: list[int], labelled: list[int], chance: Array, seed: int) -> list[int]:
    """The rest of the cold start: `left` keeps its order."""
    return left[:STEP]


ORDERS: Mapping[str, Pick] = {"queue": by_queue, "random": at_random, "margin": by_margin}


def predictions(films: Films, question: Mapping[str, int], pick: Pick, seed: int, most: int = MOST) -> Array:
    """Predicted classes of the test films after 10, 20 ... labels: (steps, test films)."""
    truth = np.array([question[name] for name in films.label])
    cases = [LabelCase(str(at), films.subject[at], "", (), False) for at in np.flatnonzero(films.pool)]
    order = [int(name) for name in cold_start(cases, seed)]
    labelled, left, made = order[:STEP], order[STEP:], []
    while True:
        chance = _chance(films.code, labelled, truth)
        made.append(chance[~films.pool].argmax(1))
        if len(labelled) >= most:
            return np.stack(made)
        fresh = pick(films, left, labelled, chance, seed)
        labelled = labelled + fresh
        left = [at for at in left if at not in set(fresh)]


def _chance(code: Array, labelled: list[int], truth: NDArray[np.int64]) -> Array:
    chance = np.zeros((len(code), int(truth.max()) + 1))
    seen = np.unique(truth[labelled])
    if len(seen) == 1:
        chance[:, seen] = 1
        return chance
    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000).fit(code[labelled], truth[labelled])
    chance[:, model.classes_] = model.predict_proba(code)
    return chance


@dataclass(frozen=True)
class Comparison:
    """What one study asks: its questions (classes by label), its orders by name, and which of these the goal judges."""

    questions: Mapping[str, Mapping[str, int]]
    orders: Mapping[str, Pick]
    judged: str

    def jobs(self) -> list[dict[str, Any]]:
        """Seed by seed, so that a study that is stopped has whole rows."""
        return [
            {"question": name, "order": order, "seed": seed}
            for seed in SEEDS
            for name in self.questions
            for order in self.orders
        ]

    def work(self, job: queue.Job, films: Films, most: int = MOST) -> dict[str, Any]:
        """Label, train, label; what was predicted at each step."""
        torch.set_num_threads(1)
        question, pick = self.questions[job["question"]], self.orders[job["order"]]
        return {"predicted": predictions(films, question, pick, int(job["seed"]), most).tolist()}

    def table(self, results: Sequence[Mapping[str, Any]], films: Films) -> str:
        """Curves, the differences, and labels to equal error."""
        return "\n".join(
            line
            for name, classes in self.questions.items()
            for line in lines(results, films, name, classes, list(self.orders), self.judged)
        )


def lines(
    results: Sequence[Mapping[str, Any]], films: Films, question: str, classes: Mapping[str, int],
    orders: Sequence[str], judged: str,
) -> list[str]:  # fmt: skip
    """Of one question. orders: "random" among them, with which each other is compared; judged: by the goal."""
    truth = np.array([classes[name] for name in films.label])[~films.pool]
    names, who = np.unique(np.array(films.subject)[~films.pool], return_inverse=True)
    weights = np.concatenate([np.ones((1, len(truth))), _drawn(truth, who, len(names))[:, who]])
    found = {order: [np.array(r["predicted"]) for r in results if r["question"] == question and r["order"] == order]
             for order in orders}  # fmt: skip
    seeds = min(len(each) for each in found.values())
    curves = {order: _curves(truth, each[:seeds], weights) for order, each in found.items()}
    labels = STEP * np.arange(1, 1 + curves[judged].shape[-1])
    told = [f"{question}: {len(truth)} test images of {len(names)} patients, {seeds} seeds; error after n labels"]
    for order, curve in curves.items():
        each = [f"n = {n}: {_text(curve[:, at])}" for at, n in enumerate(labels) if n in (10, 20, 50, 100, 150, 200)]
        told.append(f"  {order}: {'; '.join(each)}")
    means = {order: curve[:, 1:].mean(1) for order, curve in curves.items()}
    told += [
        f"  {order} - random, mean over n: {_signed(means[order] - means['random'])}"
        for order in orders
        if order != "random"
    ]
    goal = _estimate(means[judged] - means["random"]).high < 0
    told.append(f"  goal (interval below 0): {'met' if goal else 'missed'}")
    return [*told, *(_to_equal(curves, labels, n, judged) for n in (100, 200) if n in labels)]


def _drawn(truth: NDArray[np.int64], who: NDArray[np.intp], patients: int) -> Array:
    """How often each patient is drawn, among those of the same class."""
    strata = np.zeros(patients, np.int64)
    strata[who] = truth
    return resamples(strata, REPEATS, 0).astype(np.float64)


def _curves(truth: NDArray[np.int64], each: Sequence[NDArray[np.int64]], weights: Array) -> Array:
    """Mean error over seeds, (1 + REPEATS, steps): first as it is, then of drawn patients and drawn seeds."""
    classes, seeds = int(truth.max()) + 1, len(each)
    errors = np.stack([
        np.stack([1 - balanced_accuracy(confusion(truth, step, classes, weights)) for step in one], -1) for one in each
    ])  # (seeds, 1 + REPEATS, steps)  # fmt: skip
    drawn = np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), REPEATS) / seeds
    share = np.concatenate([np.full((1, seeds), 1 / seeds), drawn])
    made: Array = np.einsum("rs,srn->rn", share, errors)
    return made


def _to_equal(curves: Mapping[str, Array], labels: NDArray[np.int64], n: int, judged: str) -> str:
    """Fewest labels at which the mean error of the order judged is no higher than random's at n."""
    at = int(np.flatnonzero(labels == n)[0])
    reached = curves[judged] <= curves["random"][:, at : at + 1]
    needed = np.where(reached.any(1), labels[reached.argmax(1)], np.inf)
    value, low, high = needed[0], *np.quantile(needed[1:], [0.025, 0.975], method="closest_observation")
    words = [f"{each:.0f}" if np.isfinite(each) else f"more than {labels[-1]}" for each in (value, low, high)]
    return f"  random's error at {n} labels: {judged} takes {words[0]} ({words[1]} to {words[2]})"


def _estimate(values: Array) -> Estimate:
    return bootstrap(float(values[0]), values[1:], len(values))


def _text(values: Array) -> str:
    return _estimate(values).text(3)


def _signed(values: Array) -> str:
    found = _estimate(values)
    return f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


ASKED = Comparison(QUESTIONS, ORDERS, "queue")


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    torch.set_num_threads(1)
    looked = films(real_data(), out / "features.npy")
    print(ASKED.table(queue.run(ASKED.jobs(), lambda job, _: ASKED.work(job, looked), out), looked))


if __name__ == "__main__":
    main()
