"""The scans of a training made ready once, on the first rank, and the loaders of every rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from medudl.condition import Condition
from medudl.data.cache import Cache
from medudl.data.cases import Case
from medudl.data.conditions import Told
from medudl.data.loaders import Loader
from medudl.data.mixed import MixedLoader
from medudl.data.sides import Side
from medudl.data.unpaired import UnpairedLoader
from medudl.errors import UserError
from medudl.methods import method_class
from medudl.run import Run
from medudl.training.card import environment, write_card
from medudl.training.distributed import gather
from medudl.training.estimate import size_in_words
from medudl.training.scans import Plan
from medudl.training.screen import Screen
from medudl.training.sides import describe_sides

CACHE = ".medudl_cache"  # beside the run folder, so that runs and folds share what they can
AnyLoader = Loader | UnpairedLoader | MixedLoader
_OTHER_ORDER = 1_000_003  # added to the seed of the target side's order, and of the labelled scans'


@dataclass(frozen=True)
class Part:
    """Scans that are prepared alike: all of them, or one side of a translation without pairs."""

    side: Side | None
    train: list[Case]
    val: list[Case]
    cache: Cache


def prepare(fabric: Fabric, run: Run, plan: Plan, screen: Screen) -> tuple[AnyLoader, AnyLoader, AnyLoader]:
    """Loaders of training, of validation, and of the training scans once in order for `settle`.

    Writes fitted.json, scans.json, environment.json and card.md; of a translation sides.json. UserError: nothing to
    learn from or to choose by, scans that differ in size.
    """
    parts = [_usable(fabric, run, part, screen) for part in _parts(fabric, run, plan, screen)]
    first = parts[0]
    if fabric.is_global_zero:
        run.update({"classes": run.config.options.get("classes") or _classes(first.train)})
    fabric.barrier()
    run.meta = Run.open(run.path).meta
    train, val = (_joined([_loader(fabric, run, part, training) for part in parts]) for training in (True, False))
    if train.shape != val.shape:
        raise UserError("scans of the train and val split differ in size; set data.size, and data.spacing if needed")
    if fabric.is_global_zero:
        _write(fabric, run, parts, train, val)
    fabric.barrier()
    run.meta = Run.open(run.path).meta
    return train, val, _joined([_loader(fabric, run, part, None) for part in parts])


def _parts(fabric: Fabric, run: Run, plan: Plan, screen: Screen) -> list[Part]:
    """What is prepared alike, with the cache of each; what intensities teach is learnt first."""
    data = run.config.data
    root = Path(data.cache) if data.cache else run.path.parent / CACHE
    wanted: list[tuple[Side | None, list[Case], list[Case]]] = [(None, plan.train, plan.val)]
    if plan.target_train:
        wanted = [("source", plan.train, plan.val), ("target", plan.target_train, plan.target_val)]
    if fabric.is_global_zero and not (run.path / "fitted.json").is_file():
        fitted: dict[str, Any] = {}
        for side, train, _ in wanted:
            pipeline = run.pipeline(side, fitted={})
            pipeline.fit(plan.cohort, train, screen.counter("learning intensities"))
            state = pipeline.state()
            fitted = {**state, "histogram": {**fitted.get("histogram", {}), **state["histogram"]}}
        run.write_json("fitted.json", fitted)
    fabric.barrier()
    return [Part(side, train, val, Cache(root, run.pipeline(side), plan.cohort)) for side, train, val in wanted]


def _usable(fabric: Fabric, run: Run, part: Part, screen: Screen) -> Part:
    """The part with the scans that could be prepared."""
    ready = gather(fabric, _fill(part, screen) if fabric.is_global_zero else set())[0]
    train, val = ([case for case in cases if case.id in ready] for cases in (part.train, part.val))
    if not train or not val:
        of = "" if part.side is None else f" on the {part.side} side"
        split = "val" if train else "train"
        raise UserError(f"not one scan of the {split} split{of} can be used; see the lines above")
    return replace(part, train=train, val=val)


def _fill(part: Part, screen: Screen) -> set[str]:
    """Ids of the cases that are ready."""
    cases = [*part.train, *part.val]
    needed = part.cache.estimate(cases)
    if needed:
        screen.tell(f"preparing scans: up to {size_in_words(needed)} in {part.cache.root}")
    ready, notes = part.cache.fill(cases, screen.counter("preparing scans"))
    screen.tell_notes(notes)
    return {case.id for case in ready}


def _loader(fabric: Fabric, run: Run, part: Part, training: bool | None) -> Loader | MixedLoader:
    """training: of training, of validation, or (None) of the training scans in order, all of them on each rank."""
    cases = part.val if training is False else part.train
    if not (training and method_class(run.config.method["name"]).semi_supervised):
        return _loader_of(fabric, run, part, cases, training)
    labelled = [case for case in cases if case.label]
    return MixedLoader(*(_loader_of(fabric, run, part, half, training, half is labelled) for half in (labelled, cases)))


def _loader_of(
    fabric: Fabric, run: Run, part: Part, cases: Sequence[Case], training: bool | None, other: bool = False
) -> Loader:
    """Of these cases of the part. other: in an order that has nothing to do with the first."""
    data, train, cache = part.cache.pipeline.data, run.config.train, part.cache
    cls = method_class(run.config.method["name"])
    numbers = {name: i for i, name in enumerate(run.meta["classes"])}
    conditions = [Condition.model_validate(one) for one in run.config.options.get("conditions") or ()]
    return Loader(
        [cache.get(case) for case in cases],
        data,
        labels={case.id: numbers[case.label] for case in cases if case.label in numbers},
        told=Told.of(conditions, cache.cohort, cases) if conditions else None,
        sources=len(run.config.data.channels) if cls.paired else None,
        batch_size=train.batch_size if training else max(train.batch_size, cls.validation_batch),
        seed=train.seed + (_OTHER_ORDER if part.side == "target" or other else 0),
        shuffle=bool(training),
        augment=bool(training),
        workers=train.workers,
        lesion_free=data.lesion_free_slices,
        rank=0 if training is None else fabric.global_rank,
        world=1 if training is None else fabric.world_size,
    )


def _joined(loaders: Sequence[Loader | MixedLoader]) -> AnyLoader:
    if len(loaders) == 1:
        return loaders[0]
    source, target = loaders
    assert isinstance(source, Loader) and isinstance(target, Loader)
    if source.shape[1:] != target.shape[1:]:
        raise UserError(
            f"the two sides differ in size ({_words(source.shape)} and {_words(target.shape)}, channels first); set"
            " data.size, and data.spacing if voxel sizes differ"
        )
    return UnpairedLoader(source, target)


def _write(fabric: Fabric, run: Run, parts: Sequence[Part], train: AnyLoader, val: AnyLoader) -> None:
    """What tells of the run which scans it has learnt from."""
    run.update({"shape": list(train.shape)})
    ids: dict[str, list[str]] = {}
    for part in parts:
        before = "target_" if part.side == "target" else ""
        ids |= {before + "train": [case.id for case in part.train], before + "val": [case.id for case in part.val]}
    if method_class(run.config.method["name"]).semi_supervised:
        ids["labelled"] = [case.id for case in parts[0].train if case.label]
    run.write_json("scans.json", ids)
    if run.config.data.target:
        run.write_json("sides.json", describe_sides(run, [(part.side, part.train, part.cache) for part in parts]))
    both = [case for part in parts for case in part.train], [case for part in parts for case in part.val]
    write_card(run, *both, (len(train.items), len(val.items)), parts[0].cache.root)
    run.write_json("environment.json", environment(fabric, run.config.train))


def _classes(cases: Sequence[Case]) -> list[str]:
    return sorted({case.label for case in cases if case.label})


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
