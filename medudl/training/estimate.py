"""How long it will take and what disk it needs, from a few steps that are taken back."""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from medudl.errors import UserError
from medudl.training.checkpoint import GENERATIONS

if TYPE_CHECKING:
    from medudl.training.trainer import Trainer

WARM_UP = 2  # first steps compile, allocate, choose algorithms
TIMED = 3


@dataclass(frozen=True)
class Estimate:
    """seconds: the whole training. step: one step. bytes: what the run folder grows by."""

    seconds: float
    step: float
    bytes: int

    def sentence(self, steps: int, folder: Path) -> str:
        """The line that is told before training begins."""
        free = shutil.disk_usage(folder).free
        return (
            f"about {_duration(self.seconds)} for {steps:,} steps ({self.step:.3g} s each, validation included);"
            f" up to {size_in_words(self.bytes)} on the disk, of which {size_in_words(free)} are free"
        )


def estimate(trainer: Trainer) -> Estimate:
    """Time a few steps and a batch of validation, then put everything back, random numbers included.

    Raises UserError where the disk has no room for the checkpoints.
    """
    before = copy.deepcopy(trainer.state())
    for batch in islice(trainer.batches(), WARM_UP):
        trainer.step(batch)
    step = _timed(trainer, TIMED)
    one = trainer.validation_seconds()
    size = _bytes(trainer.state())
    trainer.restore(before)
    train = trainer.settings
    steps = train.steps - trainer.at.step
    validations = steps / train.validate_every
    needed = (GENERATIONS + 2) * size  # one more while it is written, and the weights
    free = shutil.disk_usage(trainer.run.path).free
    if free < needed:
        told = f"training needs {size_in_words(needed)} there and {size_in_words(free)} are free"
        raise UserError(f"{trainer.run.path}: {told}; make room, or train elsewhere")
    return Estimate(steps * step + validations * one, step + one / train.validate_every, needed)


def _timed(trainer: Trainer, count: int) -> float:
    wait(trainer.fabric.device)
    start = time.perf_counter()
    for batch in islice(trainer.batches(), count):
        trainer.step(batch)
    wait(trainer.fabric.device)
    return (time.perf_counter() - start) / count


def wait(device: torch.device) -> None:
    """Until the GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _bytes(tree: Any) -> int:
    if isinstance(tree, torch.Tensor):
        return tree.numel() * tree.element_size()
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return sum(_bytes(child) for child in children)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size_in_words(count: int) -> str:
    """1.2 GB, 3.4 MB or 5 kB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{max(1, round(count / 1e3))} kB"
