"""An epoch of medudl's variational autoencoder beside pythae's at the same architecture, and beside a bare loop.

    python benchmarks/vae.py [--rounds 7] [--images 10000] [--batches 10 100] [--clock cpu|wall] [--out vae.json]

One network in all of them: 784 - 512 - 2 x 16 and back, ReLU, 829,232 parameters, Bernoulli likelihood with divergence,
Adam, float32, images of 28 x 28 drawn from a seed. Each takes its data as it does in use: medudl from its own cache,
loader and loop (log, bar, watch for NaN, gradient norm at a look); pythae 0.1.2 from its BaseTrainer; the bare PyTorch
loop from a TensorDataset and DataLoader, with fused Adam and a look at the loss every tenth step. Each round times one
epoch of every loop, the order turned by one each round, in CPU seconds of the process; figures are medians, and medians
of the ratios. Goals: no slower than pythae, at most 5 % over the bare loop.

"same batches" is the bare loop on the batches of medudl's loader: what medudl's loop alone costs. "default Adam" is the
bare loop with the optimiser as torch makes it where nothing is said, which is not the fused one.

pythae is no dependency of medudl. To have it measured too: `pip install --no-deps --target FOLDER pythae==0.1.2
cloudpickle imageio` and PYTHONPATH=FOLDER.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.util
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from medudl.batch import Batch
from medudl.config import validate_config
from medudl.data.cache import Cache
from medudl.data.cases import cases_of
from medudl.data.cohort import Cohort, Series
from medudl.data.loaders import Loader
from medudl.data.pipeline import Pipeline
from medudl.losses.divergence import kl_to_standard_normal
from medudl.losses.reconstruction import bernoulli_cross_entropy
from medudl.methods import build
from medudl.run import Run
from medudl.training.distributed import launch
from medudl.training.log import Log
from medudl.training.screen import Screen
from medudl.training.stop import StopSignals
from medudl.training.trainer import Trainer

SIDE, LATENT, RATE = 28, 16, 1e-3
METHOD = {"network": "dense", "hidden": [512], "latent": LATENT, "likelihood": "bernoulli"}
GOALS = {"pythae": 1.0, "bare": 1.05}
MISSING = (
    "pythae is not importable and is left out; to have it: `pip install --no-deps --target FOLDER pythae==0.1.2"
    " cloudpickle imageio` and PYTHONPATH=FOLDER"
)

Epoch = Callable[[], object]


def images_of(count: int) -> Tensor:
    """(count, 1, 28, 28): blobs of unequal place and size, 8 bits deep."""
    generator = torch.Generator().manual_seed(0)
    line = torch.linspace(-1, 1, SIDE)
    centre, width = (
        torch.rand(count, 2, generator=generator) - 0.5,
        2 + 8 * torch.rand(count, 1, 1, generator=generator),
    )
    y, x = line[None, :, None] - centre[:, 0, None, None], line[None, None, :] - centre[:, 1, None, None]
    return (torch.exp(-width * (x * x + y * y)) * 255).round()[:, None] / 255


def network() -> Any:
    """The method, its activations as pythae's are."""
    torch.manual_seed(0)
    method: Any = build("variational_autoencoder", (1, SIDE, SIDE), METHOD)
    for part in (method.encoder.body, method.decoder.body):
        for name, layer in part.named_children():
            if isinstance(layer, nn.SiLU):
                setattr(part, name, nn.ReLU())
    return method


def loader_of(folder: Path, images: Tensor, batch: int) -> Loader:
    """The way of a training: volumes of 500 slices on disk, its cache, its loader."""
    import nibabel

    rows, step = [], 500
    for number, start in enumerate(range(0, len(images), step)):
        voxels = (images[start : start + step, 0] * 255).numpy().astype(np.int16)
        path = folder / f"{number:03}.nii"
        nibabel.save(nibabel.Nifti1Image(voxels.T, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
        rows.append(Series(f"{number:03}", series=f"{number:03}", path=path.name, format="nifti", modality="MR"))
    config = validate_config({"method": {"name": "none"}, "data": DATA}, "benchmark")
    cohort = Cohort.of(folder, rows)
    cache = Cache(folder / "cache", Pipeline(config.data), cohort)
    ready, notes = cache.fill(cases_of(cohort, config.data)[0])
    assert not notes, notes
    return Loader([cache.get(case) for case in ready], config.data, batch_size=batch, shuffle=True)


DATA = {"foreground": "none", "min_foreground": 0, "intensity": {"kind": "window", "low": 0, "high": 255}}


def medudl(folder: Path, loader: Loader) -> Epoch:
    """An epoch of medudl's training."""
    never = 10**9
    train = {
        "steps": never, "validate_every": never, "checkpoint_every": never, "sample_every": never, "device": "cpu",
        "optimiser": {"lr": RATE}, "batch_size": loader.batch_size,
    }  # fmt: skip
    tree = {"method": {"name": "variational_autoencoder", **METHOD}, "data": DATA, "train": train}
    config = validate_config(tree, "benchmark")
    run = Run.create(folder / "run", config, Cohort.of(folder, [Series("01", series="a", path="a")]))
    trainer = Trainer(launch(config.train), run, network(), [], loader, loader)
    trainer.screen, trainer.log, trainer.stop = Screen(shown=True, progress=True), Log(run.path, 0), StopSignals()
    trainer.screen.start(0, never)
    stream = trainer.batches()

    def epoch() -> None:
        for _ in range(len(loader)):
            trainer.step(next(stream))
            trainer.after_step(never)

    return epoch


def bare(batches: Callable[[], Iterable[Tensor]], fused: bool = True) -> Epoch:
    """An epoch of a loop as one writes it by hand."""
    method = network()
    optimiser = torch.optim.Adam(method.parameters(), RATE, fused=fused or None)

    def epoch() -> None:
        for step, image in enumerate(batches()):
            mean, log_var = method.encoder(image).chunk(2, dim=1)
            z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
            nll = bernoulli_cross_entropy(method.decoder(z), image)
            loss = (nll + kl_to_standard_normal(mean, log_var)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 10 == 0:
                loss.item()

    return epoch


def pythae(folder: Path, images: Tensor, batch: int) -> Epoch:
    """An epoch of pythae's trainer."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    model = VAE(VAEConfig(input_dim=(1, SIDE, SIDE), latent_dim=LATENT, reconstruction_loss="bce"))
    ours = sum(p.numel() for p in network().parameters())
    assert sum(p.numel() for p in model.parameters()) == ours, "not the same architecture"
    config = BaseTrainerConfig(
        output_dir=str(folder / "pythae"), per_device_train_batch_size=batch, learning_rate=RATE, no_cuda=True
    )
    trainer = BaseTrainer(model, BaseDataset(images, torch.zeros(len(images))), training_config=config)
    trainer.prepare_training()

    def epoch() -> None:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # its bar
            trainer.train_step(0)

    return epoch


def loops_of(folder: Path, images: Tensor, batch: int) -> dict[str, Epoch]:
    """What is measured, by name."""
    loader = loader_of(folder, images, batch)
    by_hand = DataLoader(TensorDataset(images), batch_size=batch, shuffle=True)

    def same() -> Iterable[Tensor]:
        batches: Iterable[Batch] = loader.epoch(0)
        return (b["image"] for b in batches)

    loops = {
        "medudl": medudl(folder, loader),
        "bare": bare(lambda: (image for (image,) in by_hand)),
        "default Adam": bare(lambda: (image for (image,) in by_hand), fused=False),
        "same batches": bare(same),
    }
    if importlib.util.find_spec("pythae"):
        loops["pythae"] = pythae(folder, images, batch)
    return loops


def measure(images: Tensor, batch: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Median seconds of an epoch of each, and medudl's ratio to each with quartiles."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        loops = loops_of(Path(folder), images, batch)
        names = sorted(loops)
        for turn in range(rounds + 1):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                begun = clock()
                loops[name]()
                times.setdefault(name, []).append(clock() - begun)
    result: dict[str, Any] = {"batch": batch, "seconds": {}, "ratio": {}, "quartiles": {}}
    ours = times["medudl"][1:]  # the first round warms up
    for name, seconds in times.items():
        result["seconds"][name] = statistics.median(seconds[1:])
        if name != "medudl":
            low, middle, high = statistics.quantiles([a / b for a, b in zip(ours, seconds[1:], strict=True)], n=4)
            result["ratio"][name], result["quartiles"][name] = middle, [low, high]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batches", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    if not importlib.util.find_spec("pythae"):
        print(MISSING, file=sys.stderr)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    images, results = images_of(options.images), []
    for batch in options.batches:
        results.append(measure(copy.deepcopy(images), batch, options.rounds, clock))
        show(results[-1])
    report = {"torch": torch.__version__, "clock": options.clock, "images": options.images, "rounds": options.rounds,
              "goals": GOALS, "results": results}  # fmt: skip
    print(json.dumps(report))
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def show(result: dict[str, Any]) -> None:
    print(f"batch {result['batch']}: medudl {result['seconds']['medudl']:.2f} s an epoch")
    for name, ratio in result["ratio"].items():
        low, high = result["quartiles"][name]
        goal = f", goal {GOALS[name]}: {'met' if ratio <= GOALS[name] else 'missed'}" if name in GOALS else ""
        print(
            f"  {name:<13}{result['seconds'][name]:6.2f} s, medudl takes {ratio:.3f} of it ({low:.3f}-{high:.3f}){goal}"
        )


if __name__ == "__main__":
    main()
