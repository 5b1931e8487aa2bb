"""One training of a label curve: from OUT/fits where it is finished, else made now and put there."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from medudl.curves.arms import Arm
from medudl.curves.scans import Chosen, Scans
from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.looks import Looks
from medudl.methods.supervised import Supervised
from medudl.report.label_curve import PIXELS, Fit, Unit
from medudl.run import Run
from medudl.tasks.outputs import Folder
from medudl.tasks.pixels import Trivial, coarse_pixels
from medudl.training import random_state
from medudl.training.log import Log
from medudl.training.resolve import source_of
from medudl.training.screen import Screen
from medudl.training.settle import measure
from medudl.training.stop import StopSignals
from medudl.training.trainer import Trainer
from medudl.tricks import build_tricks

__all__ = ["fitted"]


def fitted(
    arm: Arm, amount: float, unit: Unit, seed: int, scans: Scans, folder: Path, fabric: Fabric, stop: StopSignals,
    looks: Looks | None = None,
) -> Fit:  # fmt: skip
    """The fit of one arm, amount and seed. looks: shared by fits on the same scans.

    Raises UserError where OUT/fits holds one of other settings or scans.
    """
    named = f"{arm.name} {unit} {amount:g} {seed}"
    file = folder / f"{hashlib.sha256(named.encode()).hexdigest()[:16]}.json"
    settings = _fingerprint(arm, scans)
    if file.is_file():
        tree = json.loads(file.read_text(encoding="utf-8"))
        if tree["settings"] != settings:
            raise UserError(f"{folder.parent}: holds fits of other settings, runs or scans; give a new folder")
        return Fit.of(tree)
    chosen = scans.chosen(amount, unit, seed)
    made = _pixels(scans, chosen) if arm.name == PIXELS else trained(arm, seed, scans, chosen, fabric, stop, looks)
    patients = len({case.subject for case in chosen.train})
    studies = len({(case.subject, case.study) for case in (*chosen.train, *chosen.val)})
    fit = Fit(arm.name, amount, seed, patients, len(chosen.train), len(chosen.val), studies, made)
    Folder(folder).text(file.name, json.dumps({**fit.tree(), "settings": settings}))
    return fit


def _fingerprint(arm: Arm, scans: Scans) -> str:
    """Of all that decides a fit: settings, the weights it begins from, the scans."""
    digest = hashlib.sha256(arm.config.model_dump_json(exclude={"train": {"device", "workers"}}).encode())
    if arm.config.init and arm.name != PIXELS:
        digest.update((Path(arm.config.init) / "weights.safetensors").read_bytes())
    cases = [*scans.train, *(case for split in scans.labelled.values() for case in split)]
    digest.update(json.dumps([(case.id, case.label, case.split) for case in cases]).encode())
    return digest.hexdigest()


def trained(
    arm: Arm, seed: int, scans: Scans, chosen: Chosen, fabric: Fabric, stop: StopSignals, looks: Looks | None = None
) -> Any:
    """Train one classifier with the loop of `medudl train`; its probabilities on the test scans (N, K)."""
    counts = np.bincount([scans.classes.index(case.label) for case in chosen.train], minlength=len(scans.classes))
    quiet = {"seed": seed, "sample_every": arm.config.train.steps + 1, "checkpoint_every": arm.config.train.steps}
    config = arm.config.model_copy(
        update={
            "method": {**arm.config.method, "counts": counts.tolist()},
            "train": arm.config.train.model_copy(update=quiet),
        }
    )
    learnt, held_out = scans.training(chosen.train, seed), scans.loader(chosen.val, training=False, seed=seed)
    random_state.seed(seed)
    tricks = build_tricks(config.tricks)
    method = build(config.method["name"], held_out.shape, config.options, tricks)
    source = source_of(config)
    if source is not None:
        method.take(source)
    if isinstance(method, Supervised):
        method.looks = looks
    with tempfile.TemporaryDirectory(prefix="medudl-") as folder, Screen(shown=False, progress=False) as screen:
        run = Run(Path(folder), config, {})
        trainer = Trainer(fabric, run, method.to(fabric.device), tricks, learnt, held_out)
        log = Log(run.path, 0, written=False)
        try:
            trainer(log, screen, stop)
        finally:
            log.close()
        method.load_state_dict(trainer.best_weights)
        measure(method, scans.settling(chosen.train), fabric, screen)
    return _tested(method, scans, fabric)


def _tested(method: Any, scans: Scans, fabric: Fabric) -> Any:
    import torch

    places = {name: place for place, name in enumerate(scans.tested)}
    total, count = np.zeros((len(places), len(scans.classes))), np.zeros(len(places))
    method.eval()
    with torch.inference_mode():
        for batch in scans.loader(scans.labelled["test"], training=False, seed=0).epoch(0):
            chance = method.classify(batch["image"].to(fabric.device)).softmax(1).cpu().double().numpy()
            at = [places[name.rpartition("/")[0]] for name in batch["id"]]
            np.add.at(total, at, chance)
            np.add.at(count, at, 1)
    return total / count[:, None]


def _pixels(scans: Scans, chosen: Chosen) -> Any:
    def seen(ids: list[str]) -> Any:
        return np.stack([coarse_pixels(scans.prepared[name]) for name in ids])

    train, val = (
        (seen([c.id for c in cases]), list(scans.labels(cases).values())) for cases in (chosen.train, chosen.val)
    )
    return Trivial.fit(train, val, len(scans.classes)).probability(seen(scans.tested))
