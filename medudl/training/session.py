"""One training from its parts: devices, data, method, trainer; and the files of its run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from medudl.condition import Condition
from medudl.config import Config
from medudl.data.cache import Cache
from medudl.data.cases import Case
from medudl.data.conditions import Told
from medudl.data.loaders import Loader
from medudl.data.pipeline import Pipeline
from medudl.errors import UserError
from medudl.methods import build
from medudl.run import Run
from medudl.training import random_state
from medudl.training.card import environment, write_card
from medudl.training.checkpoint import load_checkpoint
from medudl.training.distributed import gather, launch
from medudl.training.estimate import estimate, size_in_words
from medudl.training.lock import only_one
from medudl.training.log import Log
from medudl.training.resolve import source_of
from medudl.training.screen import Screen
from medudl.training.settle import settle
from medudl.training.stop import StopSignals
from medudl.training.train import Plan
from medudl.training.trainer import Trainer
from medudl.tricks import build_tricks

NOTES_SHOWN = 10
CACHE = ".medudl_cache"  # beside the run folder, so that runs and folds share what they can


def train(config: Config, plan: Plan, out: Path, *, resume: bool, progress: bool) -> Run:
    """See `fit`."""
    fabric = launch(config.train)
    with Screen(fabric.is_global_zero, progress) as screen:
        _tell_notes(screen, plan.notes)
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
        train, val, settling = _data(fabric, run, plan, screen)
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


def _data(fabric: Fabric, run: Run, plan: Plan, screen: Screen) -> tuple[Loader, Loader, Loader]:
    """Prepare the scans, once, on the first rank; then the loaders of every rank. Writes fitted.json and card.md.

    Loaders: of training, of validation, and the training scans once in order for `settle`.
    """
    data = run.config.data
    root = Path(data.cache) if data.cache else run.path.parent / CACHE
    if fabric.is_global_zero and not (run.path / "fitted.json").is_file():
        pipeline = Pipeline(data)
        pipeline.fit(plan.cohort, plan.train, screen.counter("learning intensities"))
        run.write_json("fitted.json", pipeline.state())
    fabric.barrier()
    cache = Cache(root, run.pipeline(), plan.cohort)
    ready = gather(fabric, _fill(cache, plan, screen) if fabric.is_global_zero else set())[0]
    train, val = ([case for case in cases if case.id in ready] for cases in (plan.train, plan.val))
    if not train or not val:
        raise UserError(f"not one scan of the {'val' if train else 'train'} split can be used; see the lines above")
    if fabric.is_global_zero:
        run.update({"classes": run.config.options.get("classes") or _classes(train)})
    fabric.barrier()
    run.meta = Run.open(run.path).meta
    loaders = _loader(fabric, run, cache, train, True), _loader(fabric, run, cache, val, False)
    if loaders[0].shape != loaders[1].shape:
        raise UserError("scans of the train and val split differ in size; set data.size, and data.spacing if needed")
    if fabric.is_global_zero:
        run.update({"shape": list(loaders[0].shape)})
        run.write_json("scans.json", {"train": [case.id for case in train], "val": [case.id for case in val]})
        write_card(run, train, val, (len(loaders[0].items), len(loaders[1].items)), root)
        run.write_json("environment.json", environment(fabric, run.config.train))
    fabric.barrier()
    run.meta = Run.open(run.path).meta
    return *loaders, _loader(fabric, run, cache, train, False, everywhere=True)


def _fill(cache: Cache, plan: Plan, screen: Screen) -> set[str]:
    """Ids of the cases that are ready."""
    cases = [*plan.train, *plan.val]
    needed = cache.estimate(cases)
    if needed:
        screen.tell(f"preparing scans: up to {size_in_words(needed)} in {cache.root}")
    ready, notes = cache.fill(cases, screen.counter("preparing scans"))
    _tell_notes(screen, notes)
    return {case.id for case in ready}


def _loader(
    fabric: Fabric, run: Run, cache: Cache, cases: Sequence[Case], training: bool, everywhere: bool = False
) -> Loader:
    """everywhere: each rank gets all of it."""
    data, train = run.config.data, run.config.train
    numbers = {name: i for i, name in enumerate(run.meta["classes"])}
    conditions = [Condition.model_validate(one) for one in run.config.options.get("conditions") or ()]
    return Loader(
        [cache.get(case) for case in cases],
        data,
        labels={case.id: numbers[case.label] for case in cases if case.label in numbers},
        told=Told.of(conditions, cache.cohort, cases) if conditions else None,
        batch_size=train.batch_size,
        seed=train.seed,
        shuffle=training,
        augment=training,
        workers=train.workers,
        lesion_free=data.lesion_free_slices,
        rank=0 if everywhere else fabric.global_rank,
        world=1 if everywhere else fabric.world_size,
    )


def _classes(cases: Sequence[Case]) -> list[str]:
    return sorted({case.label for case in cases if case.label})


def _trainer(fabric: Fabric, run: Run, train: Loader, val: Loader, *, fresh: bool) -> Trainer:
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


def _tell_notes(screen: Screen, notes: Sequence[str]) -> None:
    for note in notes[:NOTES_SHOWN]:
        screen.tell(note)
    if len(notes) > NOTES_SHOWN:
        screen.tell(f"... and {len(notes) - NOTES_SHOWN} more")
