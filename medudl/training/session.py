"""One training from its parts: devices, data, method, trainer; and the files of its run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from medudl.config import Config
from medudl.methods import build
from medudl.run import Run
from medudl.training import random_state
from medudl.training.checkpoint import load_checkpoint
from medudl.training.distributed import launch
from medudl.training.estimate import estimate
from medudl.training.lock import only_one
from medudl.training.log import Log
from medudl.training.preparing import AnyLoader, prepare
from medudl.training.resolve import source_of
from medudl.training.screen import Screen
from medudl.training.settle import settle
from medudl.training.stop import StopSignals
from medudl.training.train import Plan
from medudl.training.trainer import Trainer
from medudl.tricks import build_tricks


def train(config: Config, plan: Plan, out: Path, *, resume: bool, progress: bool) -> Run:
    """See `fit`."""
    fabric = launch(config.train)
    with Screen(fabric.is_global_zero, progress) as screen:
        screen.tell_notes(plan.notes)
        run = _run_folder(fabric, config, plan, out, resume)
        with only_one(run.path) if fabric.is_global_zero else nullcontext():
            trainer = _trained(fabric, run, plan, screen, resume)
        screen.tell(
            f"done: {run.path}, best {trainer.method.monitor} {trainer.at.best:.4g} at step {trainer.at.best_step}"
        )
    fabric.barrier()
    return Run.open(out)


def _trained(fabric: Fabric, run: Run, plan: Plan, screen: Screen, resume: bool) -> Trainer:
    """Prepare, and train to the end."""
    with _removed_if_it_never_begins(run, fabric.is_global_zero and not resume):
        random_state.seed(run.config.train.seed)
        train, val, settling = prepare(fabric, run, plan, screen)
        state = load_checkpoint(run.path / "checkpoint", screen.tell) if resume else None
        trainer = _trainer(fabric, run, train, val, fresh=state is None)
        _begin(trainer, state, screen)
    if fabric.is_global_zero:  # whoever watches can tell from it how fast it is
        run.update({"began": {"step": trainer.at.step, "time": round(time.time(), 1)}, **trainer.standing()})
    with StopSignals() as stop:
        with closing(Log(run.path, trainer.at.step, written=fabric.is_global_zero)) as log:
            trainer(log, screen, stop)
    for note in settle(trainer, settling):
        screen.tell(note)
    return trainer


@contextmanager
def _removed_if_it_never_begins(run: Run, ours: bool) -> Iterator[None]:
    """A training that cannot begin leaves no folder, so that the same command works once the cause is mended."""
    try:
        yield
    except BaseException:
        if ours:
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def _run_folder(fabric: Fabric, config: Config, plan: Plan, out: Path, resume: bool) -> Run:
    if fabric.is_global_zero and not resume:
        Run.create(out, config, plan.cohort)
    fabric.barrier()
    return Run.open(out)


def _trainer(fabric: Fabric, run: Run, train: AnyLoader, val: AnyLoader, *, fresh: bool) -> Trainer:
    """fresh: it begins, from the weights of `method.init` where that is given."""
    tricks = build_tricks(run.config.tricks)
    method = build(run.config.method["name"], train.shape, run.config.options, tricks)
    source = source_of(run.config) if fresh else None
    if source is not None:
        method.take(source)
    return Trainer(fabric, run, method.to(fabric.device), tricks, train, val)


def _begin(trainer: Trainer, state: dict[str, Any] | None, screen: Screen) -> None:
    """From the checkpoint, or from the start with a word on how long it will take."""
    if state is not None:
        trainer.restore(state)
        screen.tell(f"going on at step {trainer.at.step} of {trainer.settings.steps}")
    else:
        screen.tell(estimate(trainer).sentence(trainer.settings.steps, trainer.run.path))
