"""medudl's rbm beside scikit-learn's BernoulliRBM: the same data, sizes and rate, in turns, in one process.

    python benchmarks/rbm.py [--rounds 9] [--threads 1] [--clock cpu|wall] [--out rbm.json]

One epoch over 10,000 black-and-white images of 784 pixels, drawn by code, 256 hidden units, float32, CD-1 here and
persistent CD-1 (all it has) there, at batches of 10 and of 100. Three runners: scikit-learn's `fit`; the bare update,
`method.step` and its optimiser alone; and medudl's training loop, which is what a user gets: it also watches for NaN,
measures the gradient's norm, follows a schedule, writes the log and moves the bar. CPU seconds of the process (other
programs on the machine would blur wall seconds); the figure is the median of the rounds' ratios to scikit-learn.
Goal, for the loop: at most .5 at batches of 10, at most 1 at batches of 100.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sklearn
import torch
from sklearn.neural_network import BernoulliRBM
from threadpoolctl import threadpool_limits
from torch import Tensor

from medudl.batch import Batch
from medudl.config import validate_config
from medudl.data.cohort import Cohort, Series
from medudl.methods import build
from medudl.methods.method import Method
from medudl.run import Run
from medudl.training.distributed import launch
from medudl.training.log import Log
from medudl.training.screen import Screen
from medudl.training.stop import StopSignals
from medudl.training.trainer import Trainer

IMAGES, SIDE, HIDDEN, RATE = 10_000, 28, 256, 0.01
GOALS = {10: 0.5, 100: 1.0}  # batch size -> ratio of the loop to scikit-learn


def strokes() -> Tensor:
    """(IMAGES, 1, SIDE, SIDE) of 0 and 1: two thick straight strokes each."""
    generator = torch.Generator().manual_seed(0)
    along = torch.arange(SIDE) / (SIDE - 1)
    y, x = along[:, None], along[None, :]
    images = torch.zeros(IMAGES, SIDE, SIDE)
    for _ in range(2):
        a, b = 0.15 + 0.7 * torch.rand(2, 2, IMAGES, 1, 1, generator=generator)
        d = b - a
        t = (((y - a[0]) * d[0] + (x - a[1]) * d[1]) / d.square().sum(0).clamp(min=1e-6)).clamp(0, 1)
        distance = (y - a[0] - t * d[0]).square() + (x - a[1] - t * d[1]).square()
        images = torch.maximum(images, (distance < 0.05**2).float())
    return images[:, None]


class InOrder:
    """The images in batches, in their order, epoch after epoch, as scikit-learn takes them."""

    def __init__(self, images: Tensor, size: int) -> None:
        self.batches: list[Batch] = [
            {"image": part, "id": [str(i) for i in range(len(part))]} for part in images.split(size)
        ]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """All of them, from number `start` on."""
        return iter(self.batches[start:])

    def __len__(self) -> int:
        return len(self.batches)


def scikit_learn(images: Tensor, size: int) -> Callable[[], None]:
    """A function that takes an epoch there."""
    table = images.flatten(1).numpy()
    machine = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=size, n_iter=1, random_state=0)
    return lambda: machine.fit(table)


def bare(method: Method, batches: InOrder) -> Callable[[], None]:
    """A function that takes an epoch of the update alone."""
    optimiser = torch.optim.SGD(method.parameters(), RATE, fused=True)
    parameters = dict(method.players()["machine"].named_parameters())

    def epoch() -> None:
        for batch in batches.epoch(0):
            for objective in method.step(batch):
                for name, gradient in (objective.gradients or {}).items():
                    parameters[name].grad = gradient
                optimiser.step()

    return epoch


def loop(method: Method, batches: InOrder, folder: Path) -> Callable[[], None]:
    """A function that takes an epoch in medudl's loop."""
    never = 10**9
    sgd = {"name": "sgd", "lr": RATE, "betas": [0.0, 0.0]}
    train = {"steps": never, "validate_every": never, "checkpoint_every": never, "sample_every": never, "device": "cpu"}
    options = {"name": "rbm", "hidden": HIDDEN}
    config = validate_config({"method": options, "train": {**train, "optimiser": sgd}}, "benchmark")
    run = Run.create(folder, config, Cohort.of(folder.parent, [Series("01", series="a", path="a")]))
    trainer = Trainer(launch(config.train), run, method, [], batches, batches)
    trainer.screen = Screen(shown=True, progress=True)
    trainer.screen.start(0, never)
    trainer.log, trainer.stop = Log(run.path, 0), StopSignals()
    stream = trainer.batches()

    def epoch() -> None:
        for _ in range(len(batches)):
            trainer.step(next(stream))
            trainer.after_step(never)

    return epoch


def measure(images: Tensor, size: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Median seconds an epoch of each runner, and the medians of the rounds' ratios with their quartiles."""
    torch.manual_seed(0)
    method = build("rbm", (1, SIDE, SIDE), {"hidden": HIDDEN})
    batches = InOrder(images, size)
    times: dict[str, list[float]] = {"scikit-learn": [], "update": [], "loop": []}
    with tempfile.TemporaryDirectory() as folder:
        runners = {
            "scikit-learn": scikit_learn(images, size),
            "update": bare(copy.deepcopy(method), batches),
            "loop": loop(method, batches, Path(folder) / "run"),
        }
        for turn in range(rounds + 1):  # the first is to warm up
            for which in sorted(runners, reverse=bool(turn % 2)):
                start = clock()
                runners[which]()
                times[which].append(clock() - start)
    found: dict[str, Any] = {"batch": size, "seconds": {k: statistics.median(v[1:]) for k, v in times.items()}}
    for which in ("update", "loop"):
        ratios = [a / b for a, b in zip(times[which][1:], times["scikit-learn"][1:], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        found[which] = {"ratio": middle, "quartiles": [low, high]}
    return {**found, "goal": GOALS[size], "within_goal": found["loop"]["ratio"] <= GOALS[size]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # NumPy's own threads too: those that wait by spinning would count as scikit-learn's CPU seconds.
    threadpool_limits(arguments.threads)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    images, results = strokes(), []
    print(f"{'batch':>5}{'scikit-learn s':>16}{'update s':>10}{'loop s':>8}{'update':>8}{'loop':>7}  quartiles    goal")
    for size in GOALS:
        r = measure(images, size, arguments.rounds, clock)
        results.append(r)
        low, high = r["loop"]["quartiles"]
        print(f"{size:>5}{r['seconds']['scikit-learn']:>16.2f}{r['seconds']['update']:>10.2f}{r['seconds']['loop']:>8.2f}"
              f"{r['update']['ratio']:>8.3f}{r['loop']['ratio']:>7.3f}  {low:.3f}-{high:.3f}  {r['goal']:>4}"
              f" {'met' if r['within_goal'] else 'missed'}")  # fmt: skip
    report = {
        "torch": torch.__version__, "scikit-learn": sklearn.__version__, "python": platform.python_version(),
        "threads": arguments.threads, "clock": arguments.clock, "results": results,
    }  # fmt: skip
    print(json.dumps(report))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
