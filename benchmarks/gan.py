"""Images a second of a DCGAN step: medudl's loop beside plain loops of the same mathematics, in turns, in one process.

    python benchmarks/gan.py [--rounds 15] [--chunk 4] [--device auto|cpu|cuda] [--cases small full] [--out gan.json]

A step is one update of the discriminator and one of the generator, Adam (betas .5, .999), codes drawn in each turn.
Cases: small (32 x 32, width 16, batch 16) and full (64 x 64, width 64, batch 64), one channel. Loops:

plain  as one writes it by hand, eager float32: enlarge, then convolve; in the generator's turn the discriminator's
       weights get their gradients too, and nobody uses them; a look at the losses every tenth step.
same   the same loop with medudl's networks: what they are worth.
medudl all of its loop: log, bar, watch for NaN, gradient norm at a look; on a GPU also with bf16, and with bf16 and
       compiled.

All begin from equal weights on equal batches. Each round times a chunk of every loop, the order turned by one a round;
on a CPU in CPU seconds of the process on one thread, on a GPU in wall seconds between two synchronisations. Figures are
medians of the rounds, ratios medians of the rounds' ratios with quartiles. On a GPU the share of the chip's dense peak
is given: multiplications and additions of the plain loop's step, counted by torch, over the time a step took. Work that
medudl leaves out counts as done, so the share says how fast the step comes, not how busy the chip is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from medudl.batch import Batch
from medudl.config import validate_config
from medudl.data.cohort import Cohort, Series
from medudl.methods import build
from medudl.networks.dcgan import ResizeConv
from medudl.run import Run
from medudl.training.distributed import launch
from medudl.training.log import Log
from medudl.training.screen import Screen
from medudl.training.stop import StopSignals
from medudl.training.trainer import Trainer

CASES = {"small": (32, 16, 16), "full": (64, 64, 64)}  # side, width, batch
LATENT, RATE, BETAS = 100, 2e-4, (0.5, 0.999)
PEAK = {"H100": 989e12, "H200": 989e12}  # dense bf16 operations a second, by the maker's data sheets
NEVER = 10**9

Chunk = Callable[[int], None]


class Repeated:
    """One batch again and again: no loader, which all would share."""

    def __init__(self, side: int, size: int, device: torch.device) -> None:
        image = torch.rand(size, 1, side, side, generator=torch.Generator().manual_seed(0)).to(device)
        self.batch: Batch = {"image": image, "id": [f"{i}" for i in range(size)]}

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Without end."""
        while True:
            yield self.batch

    def __len__(self) -> int:
        return NEVER


class TwoSteps(nn.Module):
    """Enlarge, then convolve, with the weights of a `ResizeConv`."""

    def __init__(self, layer: ResizeConv) -> None:
        super().__init__()
        self.conv = layer.conv

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *2S)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def network(side: int, width: int) -> Any:
    """The method, from one seed."""
    torch.manual_seed(0)
    return build("gan", (1, side, side), {"latent": LATENT, "width": width})


def in_two_steps(method: Any) -> Any:
    """The same with plain layers in place of `ResizeConv`."""
    for stage in method.generator.body:
        if isinstance(stage[0], ResizeConv):
            stage[0] = TwoSteps(stage[0])
    return method


def by_hand(method: Any, batch: Batch, device: torch.device) -> Chunk:
    """A loop as one writes it."""
    generator, discriminator = method.generator.to(device), method.discriminator.to(device)
    optimisers = [torch.optim.Adam(p.parameters(), RATE, betas=BETAS, fused=True) for p in (discriminator, generator)]
    done = 0

    def step() -> tuple[Tensor, Tensor]:
        real = 2 * batch["image"] - 1
        with torch.no_grad():
            fake = generator(torch.randn(len(real), LATENT, device=device))
        told = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()
        optimisers[0].zero_grad()
        told.backward()
        optimisers[0].step()
        made = F.softplus(-discriminator(generator(torch.randn(len(real), LATENT, device=device)))).mean()
        optimisers[1].zero_grad()
        made.backward()
        optimisers[1].step()
        return told, made

    def chunk(steps: int) -> None:
        nonlocal done
        for _ in range(steps):
            losses = step()
            done += 1
            if done % 10 == 0:
                for loss in losses:
                    loss.item()

    return chunk


def ours(folder: Path, case: str, device: torch.device, precision: str, compiled: bool) -> Chunk:
    """All of medudl's loop."""
    side, width, size = CASES[case]
    train = {
        "steps": NEVER, "validate_every": NEVER, "checkpoint_every": NEVER, "sample_every": NEVER, "batch_size": size,
        "device": device.type, "precision": precision, "compile": compiled, "optimiser": {"lr": RATE, "betas": BETAS},
    }  # fmt: skip
    config = validate_config({"method": {"name": "gan", "latent": LATENT, "width": width}, "train": train}, "benchmark")
    run = Run.create(folder / f"{case}-{precision}-{compiled}", config, Cohort.of(folder, [Series("01", path="a")]))
    batches = Repeated(side, size, device)
    trainer = Trainer(launch(config.train), run, network(side, width).to(device), [], batches, batches)
    trainer.screen, trainer.log, trainer.stop = Screen(shown=True, progress=True), Log(run.path, 0), StopSignals()
    trainer.screen.start(0, NEVER)
    stream = trainer.batches()

    def chunk(steps: int) -> None:
        for _ in range(steps):
            trainer.step(next(stream))
            trainer.after_step(NEVER)

    return chunk


def loops_of(folder: Path, case: str, device: torch.device) -> dict[str, Chunk]:
    """What is timed, by name."""
    side, width, size = CASES[case]
    batch = Repeated(side, size, device).batch
    loops = {
        "plain": by_hand(in_two_steps(network(side, width)), batch, device),
        "same": by_hand(network(side, width), batch, device),
        "medudl": ours(folder, case, device, "fp32", False),
    }
    if device.type == "cuda":
        loops["medudl bf16"] = ours(folder, case, device, "bf16", False)
        loops["medudl bf16 compiled"] = ours(folder, case, device, "bf16", True)
    return loops


def clock(device: torch.device) -> float:
    """Seconds: of the process on a CPU, on the wall once a GPU is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def operations(case: str) -> int:
    """Multiplications and additions of one plain step."""
    side, width, size = CASES[case]
    device = torch.device("cpu")
    chunk = by_hand(in_two_steps(network(side, width)), Repeated(side, size, device).batch, device)
    with FlopCounterMode(display=False) as counter:
        chunk(1)
    return int(counter.get_total_flops())


def measure(case: str, device: torch.device, rounds: int, chunk: int) -> dict[str, Any]:
    """Images a second of each loop, and how many times the plain one's that is, with quartiles."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        loops = loops_of(Path(folder), case, device)
        names = list(loops)
        for turn in range(rounds + 1):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                begun = clock(device)
                loops[name](chunk)
                times.setdefault(name, []).append((clock(device) - begun) / chunk)
    seconds = {name: found[1:] for name, found in times.items()}  # the first round warms up, and compiles
    size = CASES[case][2]
    result: dict[str, Any] = {"case": case, "images_per_second": {}, "times_plain": {}, "quartiles": {}}
    for name, found in seconds.items():
        result["images_per_second"][name] = size / statistics.median(found)
        low, middle, high = statistics.quantiles([a / b for a, b in zip(seconds["plain"], found, strict=True)], n=4)
        result["times_plain"][name], result["quartiles"][name] = middle, [low, high]
    peak = None
    if device.type == "cuda":
        peak = next((most for name, most in PEAK.items() if name in torch.cuda.get_device_name()), None)
    if peak is not None:
        counted = operations(case)
        result["operations"] = counted
        result["share_of_peak"] = {n: counted / statistics.median(found) / peak for n, found in seconds.items()}
    return result


def show(result: dict[str, Any]) -> None:
    """One line a loop."""
    print(f"{result['case']}: side, width, batch = {CASES[result['case']]}")
    for name, rate in result["images_per_second"].items():
        low, high = result["quartiles"][name]
        share = result.get("share_of_peak", {}).get(name)
        told = "" if share is None else f", {100 * share:.1f} % of the peak"
        print(
            f"  {name:<21}{rate:9.1f} images/s, {result['times_plain'][name]:.2f} of plain ({low:.2f}-{high:.2f}){told}"
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--chunk", type=int, default=4, help="steps of each loop in a round")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON too")
    options = parser.parse_args()
    cuda = torch.cuda.is_available() if options.device == "auto" else options.device == "cuda"
    device = torch.device("cuda" if cuda else "cpu")
    torch.set_num_threads(1)
    results = []
    for case in options.cases:
        results.append(measure(case, device, options.rounds, options.chunk))
        show(results[-1])
    name = torch.cuda.get_device_name() if cuda else "cpu"
    report = {"torch": torch.__version__, "device": name, "rounds": options.rounds, "chunk": options.chunk,
              "results": results}  # fmt: skip
    print(json.dumps(report))
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
