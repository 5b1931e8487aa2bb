"""Study `few_labels`: how well does each method of the house tell sick from healthy with 5, 10 or 50 labels a class?

Protocol, fixed before the first run.
Data: pneumoniamnist (28 x 28, train and val, films of val that are copies of a film of train removed; images stand for
patients) and chest (chest_xray_split.csv, NORMAL against the rest; 32 x 32 for methods on pixels, 224 x 224 for
features). Percentiles .5 and 99.5 of a film to 0 and 1. 5, 10 or 50 films of each class of train have a label, drawn by
seeds 0 to 9, the fewer among the more, the same ones for all methods; the other films of train have none. There are no
labels to choose by, so nothing is chosen: fixed settings, the last weights. Val is looked at once.
Probes: logistic regression (ridge C = .1 on features of mean squared norm 50) on pixels; on frozen EfficientNet-Lite0
features (ImageNet; means of its last stage); on the code of each method that learnt from all films of train without
labels, seed 0, PRETRAINED, 400 steps of 32. feature_autoencoder: mean and spread of stages 5 and 6, pictures of 160
(chest) and 112 pixels.
Fine-tuned: `classifier` on each of these networks, all of it learnt from the labelled films, 200 steps, begun from what
was learnt without labels, and from scratch (autoencoder's network).
semi_supervised_gan: K + 1 classes, the same network with pseudo-labels, and with the labels alone; SEMI and TRAIN.
What was looked at before: stages, ridge, SEMI and TRAIN were chosen on a quarter of train's patients, seeds 100 on.
Measure: balanced accuracy on val; 95 % intervals by bootstrap over patients and seeds together, differences paired by
both. Under shift: the same films of val with gamma .7, gamma 1.4, a crop to 85 %, noise of .05; the mean over these
four stands beside it, since val comes from the acquisition of train and flatters.
Goals: pneumoniamnist: K + 1 above logistic regression on pixels, and above the labels alone, at each number of labels.
chest: at least one method of the house above EfficientNet-Lite0 features with logistic regression at all three numbers
of labels, in the mean; told for each.
CPU size: about 2 hours on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): chest at 64 x 64, 10,000 steps, width 64.

    make study NAME=few_labels
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from medudl.metrics.intervals import bootstrap, difference, resamples, short
from studies import chest, pneumoniamnist, queue, scores
from studies.few_label_runs import Array, Numbers, Probe, balanced, called, coded, drawn, fine_tuned, semi_supervised
from studies.image_level import PIXEL
from studies.scores import SHIFTS, Films
from studies.translation_heads import size_name
from studies.where import real_data

DATA = ("pneumoniamnist", "chest")
LABELS = (5, 10, 50)
SEEDS = range(10)
SHIFTED = ("gamma .7", "gamma 1.4", "crop", "noise")
REPEATS = 1000
PRETRAINED: Mapping[str, Mapping[str, Any]] = {
    **{PIXEL[name]["name"]: PIXEL[name] for name in ("autoencoder", "sparse autoencoder", "variational autoencoder")},
    "denoising_autoencoder": {
        "name": "denoising_autoencoder", "network": "bottleneck", "noise": "gaussian", "sigma": 0.2, "latent": 64,
        "width": 16, "levels": 3,
    },
    "stacked_autoencoder": {"name": "stacked_autoencoder", "channels": [16, 32], "sizes": [64]},
    "rbm": PIXEL["RBM"],
    "deep_belief_network": {"name": "deep_belief_network", "hidden": [256, 64]},
}  # fmt: skip
ARMS = {"K + 1": "gan", "pseudo-labels": "pseudo_labels", "labels alone": "none"}
PIXELS, LITE0, FEATURES = "pixels", "EfficientNet-Lite0", "feature_autoencoder"


@dataclass(frozen=True)
class Size:
    """side: of chest films for methods on pixels; steps: without labels, fine-tuning, semi-supervised."""

    side: int
    steps: tuple[int, int, int]
    semi: Mapping[str, Any]
    train: Mapping[str, Any]


_TRAIN: Mapping[str, Any] = {
    "batch_size": 32, "device": "cpu", "optimiser": {"lr": 3e-3, "betas": [0.5, 0.999], "ema": 0.99},
    "players": {"generator": {"ema": 0}},
}  # fmt: skip
SIZES = {
    "cpu": Size(32, (400, 200, 600), {"width": 16, "noise": 0.3, "input_noise": 0.3}, _TRAIN),
    "gpu": Size(64, (4000, 500, 10_000), {"width": 64, "noise": 0.3, "input_noise": 0.3}, {**_TRAIN, "device": "cuda"}),
    "tiny": Size(16, (2, 2, 2), {"width": 2}, _TRAIN),
}


@dataclass(frozen=True)
class Question:
    """Films for features, and small ones for methods on pixels; val under each shift. looked: side of features."""

    train: Films
    val: Films
    small_train: Films
    small: Mapping[str, Films]
    looked: int

    @property
    def truth(self) -> Numbers:
        """Classes of val: 0 healthy, 1 sick."""
        return self.val.sick.astype(np.int64)


@lru_cache
def question(data: str, side: int) -> Question:
    """The films of a data set."""
    asked = {"pneumoniamnist": pneumoniamnist, "chest": chest}[data].question(real_data())
    side, looked = (side, 160) if data == "chest" else (asked.val.image.shape[-1], 112)
    small = {shift: _small(asked.val, side, shift) for shift in ("none", *SHIFTED)}
    return Question(asked.train, asked.val, _small(asked.train, side, "none"), small, looked)


def _small(films: Films, side: int, shift: str) -> Films:
    image = SHIFTS[shift](films.image)
    image = image if image.shape[-1] == side else F.interpolate(image, (side, side), mode="area")
    return Films(image, films.sick, films.subject).stretched()


def jobs(size: str) -> list[dict[str, Any]]:
    """What is quick comes first; then seed by seed, so that a study that is stopped has whole rows."""
    told: list[dict[str, Any]] = []
    for data in DATA:
        told += [{"size": size, "data": data, "part": part} for part in ("features", "scratch", *PRETRAINED)]
    for seed in SEEDS:
        told += [{"size": size, "data": data, "part": arm, "seed": seed} for data in DATA for arm in ARMS]
    return told


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """{arm: {labels: [{"answers": classes of val, "shifted": balanced accuracy of each shift}, one a seed]}}."""
    torch.set_num_threads(1)
    size, part = SIZES[job["size"]], str(job["part"])
    asked = question(job["data"], size.side)
    if part == "features":
        return {"arms": _features(asked, folder.parent / "cache" / job["data"])}
    seeds = [int(job["seed"])] if "seed" in job else list(SEEDS)
    arms: dict[str, dict[str, list[Any]]] = {}
    for name, of in _of_part(part, asked, size).items():
        arms[name] = {
            str(count): [told(asked, of(rows, seed)) for seed, rows in _draws(asked, count, seeds)]
            for count in LABELS
        }  # fmt: skip
    return {"arms": arms}


Answers = Callable[[str], Numbers]  # of a shift: the classes of val
Learner = Callable[[Numbers, int], Answers]  # labelled rows, seed


def _draws(asked: Question, count: int, seeds: Sequence[int]) -> Iterator[tuple[int, Numbers]]:
    label = asked.train.sick.astype(np.int64)
    return ((seed, drawn(label, count, seed)) for seed in seeds)


def told(asked: Question, answers: Answers) -> dict[str, Any]:
    """What is kept of one training."""
    shifted = {shift: float(balanced(asked.truth, answers(shift))) for shift in SHIFTED}
    return {"answers": "".join(map(str, answers("none").tolist())), "shifted": shifted}


def _of_part(part: str, asked: Question, size: Size) -> dict[str, Learner]:
    image, label = asked.small_train.image, asked.train.sick.astype(np.int64)
    if part in ARMS:
        options = {**size.semi, "unlabelled": ARMS[part]}

        def semi(rows: Numbers, seed: int) -> Answers:
            model = semi_supervised(image, rows, label[rows], seed, size.steps[2], options, size.train)
            return lambda shift: called(model, asked.small[shift].image)

        return {part: semi}
    section = PRETRAINED["autoencoder" if part == "scratch" else part]
    source = None if part == "scratch" else scores.trained(section, asked.small_train, 0, steps=size.steps[0])

    def tuned(rows: Numbers, seed: int) -> Answers:
        model = fine_tuned(section, source, image[rows], label[rows], seed, size.steps[1])
        return lambda shift: called(model, asked.small[shift].image)

    if source is None:
        return {"classifier from scratch": tuned}
    codes = {shift: coded(source, films.image) for shift, films in asked.small.items()}
    return {f"{part}, code": _probe(coded(source, image), codes, label), f"{part}, fine-tuned": tuned}


def _probe(everyone: Array, looked: Mapping[str, Array], label: Numbers, standardise: bool = True) -> Learner:
    def learn(rows: Numbers, _: int) -> Answers:
        probe = Probe.fit(everyone, rows, label[rows], standardise)
        return lambda shift: probe(looked[shift])

    return learn


def _features(asked: Question, cache: Path) -> dict[str, Any]:
    """Pixels, the last stage's means, and the code of feature_autoencoder."""
    label, shifts = asked.train.sick.astype(np.int64), ("none", *SHIFTED)
    fitted = scores.features(asked.train, asked.looked, "none", cache / "train")
    looked = {shift: scores.features(asked.val, asked.looked, shift, cache / "val") for shift in shifts}

    pixels = {shift: films.image.flatten(1).double().numpy() for shift, films in asked.small.items()}
    learners = {
        PIXELS: _probe(asked.small_train.image.flatten(1).double().numpy(), pixels, label, standardise=False),
        LITE0: _probe(last_stage(fitted), {shift: last_stage(stages) for shift, stages in looked.items()}, label),
        FEATURES: _probe(joined(fitted), {shift: joined(stages) for shift, stages in looked.items()}, label),
    }
    return {
        name: {
            str(count): [told(asked, of(rows, seed)) for seed, rows in _draws(asked, count, SEEDS)] for count in LABELS
        }
        for name, of in learners.items()
    }


def last_stage(stages: Sequence[Array]) -> Array:
    """(N, F): means of EfficientNet-Lite0's last stage, without the spreads."""
    return np.asarray(stages[6][:, : stages[6].shape[1] // 2], np.float64)


def joined(stages: Sequence[Array], chosen: Sequence[int] = (4, 5)) -> Array:
    """(N, F): means and spreads of stages; by default those of feature_autoencoder's code."""
    return np.concatenate([stages[stage] for stage in chosen], axis=1).astype(np.float64)


@dataclass(frozen=True)
class Cell:
    """Balanced accuracy of an arm at a number of labels, its values over the resamples, and its mean under shift."""

    value: float
    samples: Array
    shifted: float


def table(results: Sequence[dict[str, Any]]) -> str:
    """A table a data set, then its goals."""
    lines: list[str] = []
    for data in dict.fromkeys(result["data"] for result in results):
        mine = [result for result in results if result["data"] == data]
        asked = question(data, SIZES[mine[0]["size"]].side)
        cells, patients = cells_of(asked, mine)
        arms = list(dict.fromkeys(arm for arm, _ in cells))
        best = {arm: float(np.mean([cells[arm, n].value for n in LABELS])) for arm in arms}
        lines += [f"{data}: balanced accuracy on val, n = {patients} patients; in brackets 95 %; then under shift"]
        for arm in sorted(arms, key=lambda arm: -best[arm]):
            lines.append(f"{arm:<36} " + " | ".join(estimate(cells[arm, n], patients) for n in LABELS))
        lines += [*_goals(data, cells, arms, patients), ""]
    return "\n".join(lines)


def cells_of(asked: Question, results: Sequence[dict[str, Any]]) -> tuple[dict[tuple[str, int], Cell], int]:
    """A cell an arm and number of labels, and the number of patients."""
    names, place = np.unique(asked.val.subject, return_inverse=True)
    strata = [str(sorted(set(asked.truth[place == patient]))) for patient in range(len(names))]
    weight = resamples(strata, REPEATS, 0)[:, place].astype(np.float64)
    found: dict[tuple[str, int], list[Any]] = {}
    for result in results:
        for arm, counts in result["arms"].items():
            for count, rows in counts.items():
                found.setdefault((arm, int(count)), []).extend(rows)
    cells = {}
    for key, rows in found.items():
        answers = [np.array(list(row["answers"]), np.int64) for row in rows]
        share = resamples(np.zeros(len(rows)), REPEATS, 1) / len(rows)  # seeds are drawn again too
        samples = np.stack([balanced(asked.truth, answer, weight) for answer in answers], axis=1)
        value = float(np.mean([balanced(asked.truth, answer) for answer in answers]))
        shifted = float(np.mean([list(row["shifted"].values()) for row in rows]))
        cells[key] = Cell(value, (samples * share).sum(axis=1), shifted)
    return cells, len(names)


def estimate(cell: Cell, patients: int) -> str:
    """Value with its interval, and the mean under shift."""
    return f"{bootstrap(cell.value, cell.samples, patients).text(3)}, {short(cell.shifted, 3)}"


def _goals(data: str, cells: Mapping[tuple[str, int], Cell], arms: Sequence[str], patients: int) -> list[str]:
    against = [PIXELS, "labels alone"] if data == "pneumoniamnist" else [LITE0]
    made = ["K + 1"] if data == "pneumoniamnist" else [arm for arm in arms if arm not in (PIXELS, LITE0)]
    lines = []
    for arm in [arm for arm in made if arm in arms]:
        for other in [other for other in against if other in arms]:
            lines.append(gap(arm, other, cells, patients))
    return lines


def gap(arm: str, other: str, cells: Mapping[tuple[str, int], Cell], patients: int) -> str:
    """The goal: above another at each number of labels, in the mean."""
    apart = [
        difference(cells[arm, n].value, cells[other, n].value, cells[arm, n].samples, cells[other, n].samples, patients)
        for n in LABELS
    ]
    met = "met" if all(one.value > 0 for one in apart) else "missed"
    shown = ", ".join(one.text(3) for one in apart)
    return f"{arm} minus {other} at {', '.join(map(str, LABELS))} labels a class: {shown}: {met}"


def main() -> None:
    """Run what is missing and print the tables."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
