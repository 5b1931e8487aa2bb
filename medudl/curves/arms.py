"""The arms of a label curve: what learns from few labels, and which of them has the labels alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from medudl.config import Config, read_config, validate_config
from medudl.data.cohort import Cohort
from medudl.data.seen import patients_seen
from medudl.errors import UserError
from medudl.methods import method_class, option_names
from medudl.registry import check_options, choices
from medudl.report.label_curve import PIXELS
from medudl.run import Run
from medudl.training.resolve import FILLED, complete

__all__ = ["Arm", "arms_of"]

ALONE = "none"  # of the option `unlabelled`: the same network on labelled scans alone
# Values of that option, as arms.
WAYS = {ALONE: "labels alone", "gan": "gan", "pseudo_labels": "pseudo-labels", "graph": "graph"}
_OF_ITS_OWN = {"cache", "cache_workers"}


@dataclass(frozen=True)
class Arm:
    """One way to begin. run: whose intensities and cache it takes; against: the arm it is compared with, if any."""

    name: str
    config: Config
    run: Run
    against: str = ""

    @property
    def key(self) -> str:
        """Equal for arms that look at the same scans in the same way."""
        data = self.config.data.model_dump_json(exclude=_OF_ITS_OWN)
        fitted = json.dumps(self.run.read_json("fitted.json"), sort_keys=True)
        return f"{fitted}{data}{self.config.train.batch_size}{'unlabelled' in self.config.method}"


def arms_of(runs: Sequence[str], settings: Config, overrides: Sequence[str], cohort: Cohort) -> list[Arm]:
    """Those that have the labels alone before those that are compared with them, pixels last.

    A run that classifies is trained anew with its own settings (`overrides` change them), one that learns from
    unlabelled scans in all its ways; any other is what the classifier of `settings` begins from.
    Raises UserError: a run that is not finished, cannot lead to a classifier, or has seen the test patients.
    """
    alone: dict[str, Arm] = {}
    others: list[Arm] = []
    for path in runs:
        run = _opened(path, cohort)
        if hasattr(method_class(run.config.method["name"]), "classify"):
            made = _own(run, overrides, cohort, [arm.name for arm in (*alone.values(), *others)])
        else:
            made = _pretrained(run, path, settings, cohort, alone, others)
        for arm in made:
            if arm.against or arm.config.init:
                others.append(arm)
            else:
                alone.setdefault(arm.name, arm)
    first = next(iter((*alone.values(), *others)))
    return [*alone.values(), *others, Arm(PIXELS, first.config, first.run)]


def _opened(path: str, cohort: Cohort) -> Run:
    run = Run.open(path)
    if run.meta.get("status") != "finished":
        raise UserError(f"{run.path}: its training has not ended; finish it with --resume, or give another run")
    name, cls = run.config.method["name"], method_class(run.config.method["name"])
    if cls.paired is not None:
        raise UserError(
            f"{run.path}: {name} makes one kind of scan of another and learns no classes; a label curve takes a run"
            " with codes, or one that classifies"
        )
    for seen in (run, *([Run.open(run.config.init)] if run.config.init else [])):
        _check_unseen(seen, cohort)
    return run


def _check_unseen(run: Run, cohort: Cohort) -> None:
    """Raise UserError where the run learnt from images of test patients, with labels or without."""
    tested = {series.subject for series in cohort.series() if series.split == "test"}
    if seen := patients_seen(run.cohort(), cohort, tested):
        raise UserError(
            f"{run.path}: was trained on images of {len(seen)} of the test patients, which would flatter it; train it"
            " on the train split of this cohort alone"
        )


def _own(run: Run, overrides: Sequence[str], cohort: Cohort, taken: Sequence[str]) -> list[Arm]:
    """Arms of a run that classifies itself."""
    config = read_config(run.path / "config.yaml", overrides)
    name, cls = config.method["name"], method_class(config.method["name"])
    check_options(cls, config.options, "method", later=FILLED)
    whole = {"labels": 1.0, "labels_per_class": None}  # the curve deals them out
    config = config.model_copy(update={"train": config.train.model_copy(update=whole)})
    config, _ = complete(config, cohort)
    title = _unlike(run.path.resolve().name, taken)
    if "unlabelled" in option_names(name):
        alone = f"{title}: {WAYS[ALONE]}"
        ways: dict[str, dict[str, Any]] = {
            f"{title}: {WAYS[way]}": {"unlabelled": way} for way in choices(cls, "unlabelled")
        }
        if config.method.get("consistency"):  # it too learns from unlabelled scans: a way of its own
            ways[alone]["consistency"] = 0.0
            ways[f"{title}: consistency"] = {"unlabelled": ALONE}
        return [
            Arm(named, _with(config, **changed), run, "" if named == alone else alone)
            for named, changed in ways.items()
        ]
    if config.init is None:
        return [Arm(title, config, run)]
    scratch = f"{title}: scratch"
    return [Arm(scratch, _without_init(config), run), Arm(title, config, run, scratch)]


def _pretrained(
    run: Run, path: str, settings: Config, cohort: Cohort, alone: dict[str, Arm], others: Sequence[Arm]
) -> list[Arm]:
    """The classifier of `settings` from the run, and from scratch with the same body where that is new."""
    tree = {**settings.model_dump(exclude_unset=True), "method": {**settings.method, "init": str(path)}}
    verb = "feature_map" if settings.method.get("head") == "cam" else "encode"
    if not callable(getattr(run.method(), verb, None)):
        raise UserError(
            f"{run.path}: {run.config.method['name']} has no {'map' if verb == 'feature_map' else 'code'} that a"
            " classifier could stand on; give a run that has, or one that classifies"
        )
    config, _ = complete(validate_config(tree, "classifier"), cohort)
    bare = Arm("", _without_init(config), run)
    body = config.method["body"]
    scratch = next(
        (arm for arm in alone.values() if arm.config.method.get("body") == body and arm.key == bare.key), None
    )
    if scratch is None:
        title = f"scratch: {body['name']}"
        scratch = replace(bare, name=_unlike(title, list(alone)))
    name = _unlike(run.path.resolve().name, [arm.name for arm in others])
    return [scratch, Arm(name, config, run, scratch.name)]


def _without_init(config: Config) -> Config:
    return config.model_copy(update={"method": {k: v for k, v in config.method.items() if k != "init"}})


def _with(config: Config, **options: Any) -> Config:
    return config.model_copy(update={"method": {**config.method, **options}})


def _unlike(name: str, taken: Sequence[str]) -> str:
    return next(n for n in (name, *(f"{name} ({i})" for i in range(2, 1000))) if n not in taken)
