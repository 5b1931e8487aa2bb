"""medudl's loop beside a bare PyTorch loop: the same networks, data, losses and optimiser, in turns, in one process.

    python benchmarks/loop.py [--rounds 30] [--chunk 10] [--threads 1] [--clock cpu|wall] [--out loop.json]

The bare loop is what one writes by hand: forward, zero_grad, backward, step, and a look at the loss every tenth step.
medudl's does that and watches for NaN, measures the gradient's norm every tenth step, follows a schedule, writes the
log and moves the bar. Each round times a chunk of either, in alternating order, in CPU seconds of the process (other
programs on the machine would blur wall seconds; `--clock wall` takes those); the figure is the median of the rounds'
ratios. Goal: at most 5 % over.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
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

# name, options, image shape, batch size: small networks, where what a loop costs itself shows most
CASES: list[tuple[str, dict[str, Any], tuple[int, ...], int]] = [
    ("autoencoder", {"latent": 16, "width": 8, "levels": 2}, (1, 28, 28), 16),
    ("autoencoder", {"latent": 32, "width": 16, "levels": 3}, (1, 64, 64), 16),
    ("denoising_autoencoder", {"width": 16, "levels": 3}, (3, 96, 96), 16),
    ("denoising_autoencoder", {"width": 32, "levels": 3}, (1, 64, 64), 16),
]
GOAL = 1.05


class Repeated:
    """One batch again and again: no loader, which both loops would share."""

    def __init__(self, shape: tuple[int, ...], size: int) -> None:
        image = torch.rand(size, *shape, generator=torch.Generator().manual_seed(0))
        foreground = torch.ones(size, 1, *shape[1:], dtype=torch.bool)
        self.batch: Batch = {"image": image, "foreground": foreground, "id": [f"{i}" for i in range(size)]}

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Without end."""
        while True:
            yield self.batch

    def __len__(self) -> int:
        return 1_000_000


def ours(method: Method, batches: Repeated, folder: Path, options: dict[str, Any]) -> Callable[[int], None]:
    """A function that takes some steps in medudl's loop."""
    never = 10**9
    train = {"steps": never, "validate_every": never, "checkpoint_every": never, "sample_every": never, "device": "cpu"}
    config = validate_config({"method": options, "train": train}, "benchmark")
    run = Run.create(folder, config, Cohort.of(folder.parent, [Series("01", series="a", path="a")]))
    trainer = Trainer(launch(config.train), run, method, [], batches, batches)
    trainer.screen = Screen(shown=True, progress=True)
    trainer.screen.start(0, never)
    trainer.log, trainer.stop = Log(run.path, 0), StopSignals()
    stream = trainer.batches()

    def steps(count: int) -> None:
        for _ in range(count):
            trainer.step(next(stream))
            trainer.after_step(never)

    return steps


def bare(method: Method, batches: Repeated) -> Callable[[int], None]:
    """A function that takes some steps in a loop written by hand."""
    optimiser = torch.optim.Adam(method.parameters(), 1e-4, fused=True)
    stream = batches.epoch(0)
    done = 0

    def steps(count: int) -> None:
        nonlocal done
        for _ in range(count):
            loss = _loss(method, next(stream))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
            if done % 10 == 0:
                loss.item()

    return steps


def _loss(method: Any, batch: Batch) -> Tensor:
    loss: Tensor = method._loss(batch).mean()
    return loss


def measure(
    case: tuple[str, dict[str, Any], tuple[int, ...], int], rounds: int, chunk: int, clock: Callable[[], float]
) -> dict[str, Any]:
    """Median milliseconds a step of either loop, and the median of the rounds' ratios with their quartiles."""
    name, options, shape, size = case
    torch.manual_seed(0)
    method = build(name, shape, options)
    batches = Repeated(shape, size)
    times: dict[str, list[float]] = {"medudl": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            "bare": bare(copy.deepcopy(method), batches),
            "medudl": ours(method, batches, Path(folder) / "run", {"name": name, **options}),
        }
        for steps in loops.values():
            steps(10)
        for turn in range(rounds):
            for which in sorted(loops, reverse=bool(turn % 2)):
                start = clock()
                loops[which](chunk)
                times[which].append((clock() - start) / chunk * 1e3)
    ratios = [a / b for a, b in zip(times["medudl"], times["bare"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "method": name, **options, "shape": shape, "batch": size,
        "medudl_ms": statistics.median(times["medudl"]), "bare_ms": statistics.median(times["bare"]),
        "ratio": middle, "ratio_quartiles": [low, high], "within_goal": middle <= GOAL,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--chunk", type=int, default=10, help="steps of one loop before it is the other's turn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    results = []
    print(f"{'method':<24}{'image':<16}{'batch':>6}{'bare ms':>10}{'medudl ms':>11}{'ratio':>8}  quartiles")
    for case in CASES:
        r = measure(case, arguments.rounds, arguments.chunk, clock)
        results.append(r)
        low, high = r["ratio_quartiles"]
        print(f"{r['method']:<24}{'x'.join(map(str, r['shape'])):<16}{r['batch']:>6}{r['bare_ms']:>10.2f}"
              f"{r['medudl_ms']:>11.2f}{r['ratio']:>8.3f}  {low:.3f}-{high:.3f}")  # fmt: skip
    report = {
        "torch": torch.__version__,
        "threads": arguments.threads,
        "clock": arguments.clock,
        "goal": GOAL,
        "results": results,
    }
    print(json.dumps(report))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
