"""Trainings that take a second: images made of noise, batches without a file, and a run folder around them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medudl.batch import Batch
from medudl.config import Config, validate_config
from medudl.data.cohort import Cohort, Series
from medudl.methods import build
from medudl.run import Run
from medudl.training import random_state
from medudl.training.distributed import launch
from medudl.training.log import Log
from medudl.training.screen import Screen
from medudl.training.stop import StopSignals
from medudl.training.trainer import Trainer
from medudl.tricks import build_tricks

SHAPE = (1, 8, 8)
METHODS: dict[str, dict[str, Any]] = {
    "autoencoder": {"latent": 4, "width": 4, "levels": 2, "norm": "batch"},
    "denoising_autoencoder": {"width": 4, "levels": 1, "grid": 4},
    "variational_autoencoder": {"latent": 4, "width": 4, "levels": 2, "norm": "batch", "warmup": 14},
    "rbm": {"hidden": 6, "chain": "pcd", "particles": 6},
    "deep_belief_network": {"hidden": [6, 4], "inputs": "sampled", "visible": "gaussian"},
    "sparse_autoencoder": {"latent": 8, "width": 4, "levels": 2},
    "stacked_autoencoder": {"channels": [4], "sizes": [4], "corruption": "gaussian"},
    "feature_autoencoder": {"features": "random", "stages": [1], "latent": 2, "components": 2, "bank": 8},
    "classifier": {"body": {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}, "classes": ["a", "b"]},
    "gan": {"latent": 4, "width": 4, "discriminator_steps": 2},
    "conditional_gan": {"latent": 4, "width": 4, "classes": ["a", "b"]},
    "semi_supervised_gan": {"latent": 4, "width": 4, "classes": ["a", "b"]},
    "label_spreading": {"classes": ["a", "b"], "features": "random", "stages": [1]},
    "pix2pix": {"width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16, "identity": 1.0},
    "toy_wasserstein": {"pool": 8},
    "toy_unrolled": {},
    "toy_staged_rbm": {},
}


class TinyBatches:
    """`count` images of smooth noise, shuffled by (seed, epoch), no file and no worker."""

    def __init__(self, count: int, size: int, seed: int) -> None:
        blobs = torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(seed))
        self.images = torch.nn.functional.interpolate(blobs, SHAPE[1:], mode="bilinear")
        self.size = size
        self.seed = seed

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        torch.rand(1)  # as a DataLoader does when it is started
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(self.seed + epoch))
        for chosen in order.split(self.size)[start:]:
            yield self._batch(chosen)

    def _batch(self, chosen: Tensor) -> Batch:
        image = self.images[chosen].clone()
        return {"image": image, "target": 1 - image, "foreground": torch.ones_like(image, dtype=torch.bool),
                "label": chosen % 2, "id": [f"sub-{i:02d}/0" for i in chosen.tolist()]}  # fmt: skip

    def __len__(self) -> int:
        return -(-len(self.images) // self.size)


def config(name: str, train: dict[str, Any] | None = None, tricks: list[dict[str, Any]] | None = None) -> Config:
    """A config of few steps: epochs of 5 batches, a validation and a checkpoint every 4 steps."""
    settings = {
        "steps": 20, "batch_size": 4, "validate_every": 4, "checkpoint_every": 4, "sample_every": 10, "device": "cpu",
        "optimiser": {"lr": 1e-2, "schedule": "cosine", "warmup": 3, "clip_norm": 5.0, "ema": 0.9}, **(train or {}),
    }  # fmt: skip
    tree = {"method": {"name": name, **METHODS[name]}, "train": settings, "tricks": tricks or []}
    return validate_config(tree, "tiny")


def trainer(run: Run, fabric: Fabric | None = None) -> Trainer:
    """A trainer at its beginning."""
    settings = run.config
    fabric = fabric or launch(settings.train)
    random_state.seed(settings.train.seed)
    options = {key: value for key, value in settings.method.items() if key != "name"}
    tricks = build_tricks(settings.tricks)
    method = build(settings.method["name"], SHAPE, options, tricks).to(fabric.device)
    batches = TinyBatches(18, settings.train.batch_size, seed=1 + fabric.global_rank)
    return Trainer(fabric, run, method, tricks, batches, TinyBatches(7, 4, seed=100))


def new_run(path: Path, settings: Config) -> Run:
    """A run folder with a cohort of one row."""
    run = Run.create(path, settings, Cohort.of(path.parent, [Series("01", series="a", path="a.nii.gz")]))
    run.update({"shape": list(SHAPE)})
    return run


def go(at_work: Trainer, stop: StopSignals | None = None) -> None:
    """Train to the end, as `fit` does."""
    log = Log(at_work.run.path, at_work.at.step, written=at_work.fabric.is_global_zero)
    try:
        with Screen(shown=False, progress=False) as screen:
            at_work(log, screen, stop or StopSignals())
    finally:
        log.close()


def weights(at_work: Trainer) -> dict[str, Tensor]:
    """The method's tensors."""
    return {name: value.clone() for name, value in at_work.method.state_dict().items()}


def equal(a: Any, b: Any) -> bool:
    """Trees equal bit by bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
