"""What are labels worth? A classifier from scratch and from each pretraining, on growing shares of the labels."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from medudl.config import Config, validate_config
from medudl.data.cache import Cache
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.data.loaders import Loader
from medudl.data.pipeline import Prepared
from medudl.errors import UserError
from medudl.methods import build
from medudl.report.label_curve import PIXELS, SHARES, Fit, summarise
from medudl.report.label_curve_page import page
from medudl.run import Run
from medudl.tasks.outputs import Folder
from medudl.tasks.pixels import Trivial, coarse_pixels
from medudl.training import random_state
from medudl.training.distributed import launch
from medudl.training.labelled import labelled_cases, share_of
from medudl.training.log import Log
from medudl.training.preparing import CACHE
from medudl.training.resolve import complete, seen_before, source_of
from medudl.training.screen import Screen
from medudl.training.stop import StopSignals
from medudl.training.trainer import Trainer

__all__ = ["label_curve"]


def label_curve(
    runs: Sequence[str | Path], settings: Config, out: str | Path, *, cohort: str | Path | None = None, seeds: int = 5,
    progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write OUT/label_curve.json and OUT/label_curve.html; returns the former's content.

    runs: pretrained ones, of any method that a classifier can stand on; the classifier of `settings` is trained from
    each of them, and from scratch with the same body, on 5, 10, 20, 50 and 100 % of the labelled patients (the smaller
    shares lie within the larger ones), `seeds` times each. Beside them logistic regression on 28 x 28 pixels. All are
    compared on the test split of `cohort` (default: that of the first run). Fits that are finished stay in OUT/fits:
    the same command goes on where it was stopped.

    Raises UserError: no run, no labelled test scan, a run that has seen the test patients, OUT of other settings.
    """
    rows = Run.open(runs[0]).cohort() if cohort is None else Cohort.read(Path(cohort))
    arms = _arms(runs, settings, rows)
    folder = Folder.create(out)
    fits = Folder.create(folder.path / "fits").path
    fabric = launch(settings.train)
    jobs = [(arm, share, seed) for seed in range(seeds) for share in SHARES for arm in arms]
    made: list[Fit] = []
    with _bar(progress) as bar, StopSignals() as stop:
        told = bar.add_task("", total=len(jobs))
        scans = {key: _Scans(arm, rows, settings) for key, arm in {arm.key: arm for arm in arms}.items()}
        _same_test([scans[arm.key] for arm in arms])
        for arm, share, seed in jobs:
            bar.update(told, description=f"{arm.name}, {share:.0%} of the labels, seed {seed}")
            made.append(_fitted(arm, share, seed, scans[arm.key], fits, fabric, stop))
            bar.advance(told)
    tested = scans[arms[0].key]
    pairs = {arm.name: arm.scratch for arm in arms if arm.scratch}
    tree = summarise(made, tested.truth, tested.subjects, tested.classes, pairs)
    folder.text("label_curve.json", json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    folder.text("label_curve.html", page(tree))
    return tree


@dataclass(frozen=True)
class _Arm:
    """One way to begin. scratch: the arm that it is compared with, for one that was pretrained; key: of its scans."""

    name: str
    config: Config
    run: Run
    key: str
    scratch: str = ""


def _arms(runs: Sequence[str | Path], settings: Config, cohort: Cohort) -> list[_Arm]:
    """Scratch before the pretrained ones of the same body, pixels last."""
    found: dict[str, _Arm] = {}
    pretrained: list[_Arm] = []
    for path in runs:
        run = Run.open(path)
        if run.meta.get("status") != "finished":
            raise UserError(f"{run.path}: its training has not ended; finish it with --resume, or give another run")
        tree = {**settings.model_dump(exclude_unset=True), "method": {**settings.method, "init": str(path)}}
        config, _ = complete(validate_config(tree, "classifier"), cohort)
        if seen := seen_before(config, cohort):
            raise UserError(
                f"{run.path}: was trained on images of {seen} of the test patients, which would flatter it; pretrain on"
                " the train split of this cohort alone"
            )
        body = json.dumps(config.method["body"], sort_keys=True)
        key = run.pipeline().key + config.data.model_dump_json(exclude={"cache", "cache_workers", "augment"})
        if body + key not in found:
            same = sum(arm.name.startswith(f"scratch: {config.method['body']['name']}") for arm in found.values())
            name = f"scratch: {config.method['body']['name']}" + (f" ({same + 1})" if same else "")
            found[body + key] = _Arm(name, _without_init(config), run, key)
        name = _unlike(run.path.resolve().name, [arm.name for arm in pretrained])
        pretrained.append(_Arm(name, config, run, key, found[body + key].name))
    first = pretrained[0]
    return [*found.values(), *pretrained, _Arm(PIXELS, first.config, first.run, first.key)]


def _without_init(config: Config) -> Config:
    return config.model_copy(update={"method": {k: v for k, v in config.method.items() if k != "init"}})


def _unlike(name: str, taken: Sequence[str]) -> str:
    return next(n for n in (name, *(f"{name} ({i})" for i in range(2, 1000))) if n not in taken)


class _Scans:
    """The prepared scans of all splits, and how they are dealt out."""

    def __init__(self, arm: _Arm, cohort: Cohort, settings: Config) -> None:
        data = arm.config.data
        self.data, self.train = data, settings.train
        self.classes: list[str] = arm.config.method["classes"]
        cases = labelled_cases(cases_of(cohort, data)[0], self.classes)[0]
        cache = Cache(Path(data.cache) if data.cache else arm.run.path.parent / CACHE, arm.run.pipeline(), cohort)
        ready, _ = cache.fill(cases)
        self.prepared: dict[str, Prepared] = {case.id: cache.get(case) for case in ready}
        self.split = {name: [case for case in ready if case.split == name] for name in ("train", "val", "test")}
        lacking = [name for name, found in self.split.items() if not found]
        if lacking:
            raise UserError(f"a label curve takes labelled scans in train, val and test; {lacking[0]} has none")
        items = self.loader(self.split["test"], training=False, seed=0).items
        tested = [self.split["test"][place] for place in sorted({item.case for item in items})]
        self.tested = [case.id for case in tested]
        self.subjects = [case.subject for case in tested]
        self.truth = np.array([self.classes.index(case.label) for case in tested])

    def share(self, split: str, share: float, seed: int) -> list[Case]:
        """Of the patients of a split, the same for every arm."""
        return share_of(self.split[split], share, seed)

    def loader(self, cases: Sequence[Case], *, training: bool, seed: int) -> Loader:
        return Loader(
            [self.prepared[case.id] for case in cases],
            self.data,
            labels=self.labels(cases),
            batch_size=self.train.batch_size,
            seed=seed,
            shuffle=training,
            augment=training,
            workers=self.train.workers,
        )

    def labels(self, cases: Sequence[Case]) -> dict[str, int]:
        return {case.id: self.classes.index(case.label) for case in cases}


def _same_test(scans: Sequence[_Scans]) -> None:
    if any(one.tested != scans[0].tested or one.classes != scans[0].classes for one in scans):
        raise UserError("the runs look at different scans of the test split; compare runs of the same data.where")


def _fitted(arm: _Arm, share: float, seed: int, scans: _Scans, folder: Path, fabric: Fabric, stop: StopSignals) -> Fit:
    """From OUT/fits where it is finished, else trained now and put there."""
    named = f"{arm.name} {share:g} {seed}"
    file = folder / f"{hashlib.sha256(named.encode()).hexdigest()[:16]}.json"
    settings = _fingerprint(arm, scans)
    if file.is_file():
        tree = json.loads(file.read_text(encoding="utf-8"))
        if tree["settings"] != settings:
            raise UserError(f"{folder.parent}: holds fits of other settings, runs or scans; give a new folder")
        return Fit.of(tree)
    train, val = scans.share("train", share, seed), scans.share("val", share, seed)
    made = _pixels(scans, train, val) if arm.name == PIXELS else _trained(arm, seed, scans, train, val, fabric, stop)
    patients = len({case.subject for case in train})
    fit = Fit(arm.name, share, seed, patients, len(train), made)
    Folder(folder).text(file.name, json.dumps({**fit.tree(), "settings": settings}))
    return fit


def _fingerprint(arm: _Arm, scans: _Scans) -> str:
    """Of all that decides a fit: settings, the weights it begins from, the scans."""
    digest = hashlib.sha256(arm.config.model_dump_json(exclude={"train": {"device", "workers"}}).encode())
    if arm.scratch:
        digest.update((arm.run.path / "weights.safetensors").read_bytes())
    cases = [case for split in scans.split.values() for case in split]
    digest.update(json.dumps([(case.id, case.label, case.split) for case in cases]).encode())
    return digest.hexdigest()


def _trained(
    arm: _Arm, seed: int, scans: _Scans, train: Sequence[Case], val: Sequence[Case], fabric: Fabric, stop: StopSignals
) -> Any:
    """Train one classifier with the loop of `medudl train`; its probabilities on the test scans (N, K)."""
    counts = np.bincount([scans.classes.index(case.label) for case in train], minlength=len(scans.classes))
    quiet = {"seed": seed, "sample_every": arm.config.train.steps + 1, "checkpoint_every": arm.config.train.steps}
    config = arm.config.model_copy(
        update={
            "method": {**arm.config.method, "counts": counts.tolist()},
            "train": arm.config.train.model_copy(update=quiet),
        }
    )
    learnt, chosen = scans.loader(train, training=True, seed=seed), scans.loader(val, training=False, seed=seed)
    random_state.seed(seed)
    method = build(config.method["name"], learnt.shape, config.options)
    source = source_of(config)
    if source is not None:
        method.take(source)
    with tempfile.TemporaryDirectory(prefix="medudl-") as folder, Screen(shown=False, progress=False) as screen:
        run = Run(Path(folder), config, {})
        trainer = Trainer(fabric, run, method.to(fabric.device), [], learnt, chosen)
        log = Log(run.path, 0, written=False)
        try:
            trainer(log, screen, stop)
        finally:
            log.close()
    method.load_state_dict(trainer.best_weights)
    return _tested(method, scans, fabric)


def _tested(method: Any, scans: _Scans, fabric: Fabric) -> Any:
    import torch

    places = {name: place for place, name in enumerate(scans.tested)}
    total, count = np.zeros((len(places), len(scans.classes))), np.zeros(len(places))
    method.eval()
    with torch.inference_mode():
        for batch in scans.loader(scans.split["test"], training=False, seed=0).epoch(0):
            chance = method.classify(batch["image"].to(fabric.device)).softmax(1).cpu().double().numpy()
            at = [places[name.rpartition("/")[0]] for name in batch["id"]]
            np.add.at(total, at, chance)
            np.add.at(count, at, 1)
    return total / count[:, None]


def _pixels(scans: _Scans, train: Sequence[Case], val: Sequence[Case]) -> Any:
    def seen(ids: Sequence[str]) -> Any:
        return np.stack([coarse_pixels(scans.prepared[name]) for name in ids])

    sides = [(seen([c.id for c in cases]), list(scans.labels(cases).values())) for cases in (train, val)]
    return Trivial.fit(sides[0], sides[1], len(scans.classes)).probability(seen(scans.tested))


def _bar(progress: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn(compact=True))  # fmt: skip
    return Progress(*columns, console=Console(stderr=True), disable=not progress)
