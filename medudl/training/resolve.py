"""A config made complete before training: what `method.init` brings with it, classes and conditions of the cohort."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from medudl.condition import Condition
from medudl.config import Config, Data, validate_config
from medudl.data.cohort import Cohort
from medudl.data.conditions import Told, learnt
from medudl.data.sides import target_channels
from medudl.errors import UserError
from medudl.methods import method_class, option_names, required_names
from medudl.methods.method import Method
from medudl.run import Run
from medudl.training.scans import Plan, choose_scans

# Options that `complete` fills in where a config leaves them out.
FILLED = ("body", "classes", "conditions", "counts", "healthy", "slices", "target_channels")
# Data settings of which a config without them says nothing about the images, so that they do not come with `init`.
_OWN = {"cache", "cache_workers", "condition", "lesion_free_slices", "lesion_margin"}


def complete(config: Config, cohort: Cohort, stored: Config | None = None) -> tuple[Config, Plan]:
    """Every setting of a training, and its scans.

    With `method.init`: the body, and every setting of `data` that the config leaves out, are those of that run. The
    classes, their healthy ones and their counts come from the labels of the train split; with `data.condition`, what
    each condition can be from its columns instead. What a method has no option for is not filled in. stored: the config
    of the run that is resumed, which knows all this without the other run.
    Raises UserError: no such run, no scans, fewer than two classes, a condition that says nothing.
    """
    config, notes = _begun(config, stored)
    if "body" in required_names(config.method["name"]) and not config.method.get("body"):
        raise UserError(
            f"method.body is missing: begin from a run with --set method.init=RUN, or give the section of the method"
            f" whose encoder {config.method['name']} is to stand on"
        )
    _check_conditions(config)
    config = _with_target(config)
    plan = choose_scans(config, cohort)
    seen = 0 if stored is not None else seen_before(config, plan.cohort)
    if seen:
        notes.append(f"{config.init} was trained on images of {seen} of the test patients: it will look better on them")
    config = _with_conditions(config, plan) if config.data.condition else _with_classes(config, plan)
    lacking = set(config.options.get("classes", [])) - {case.label for case in plan.val}
    if lacking:
        notes.append(f"the val split, which chooses the best weights, has no scan of {', '.join(sorted(lacking))}")
    return config, replace(plan, notes=[*notes, *plan.notes])


def source_of(config: Config) -> Method | None:
    """The method, with its weights, that `method.init` names; None where it names none."""
    return None if config.init is None else Run.open(config.init).method()


def _begun(config: Config, stored: Config | None) -> tuple[Config, list[str]]:
    if config.init is None:
        return config, []
    source = stored if stored is not None and stored.init == config.init else Run.open(config.init).config
    notes = []
    method = dict(config.method)
    if "body" in option_names(config.method["name"]):
        body = source.method.get("body") or {k: v for k, v in source.method.items() if k != "init"}
        if stored is None and method.get("body") not in (None, body):
            notes.append(f"method.body is that of {config.init}, not the one given")
        method["body"] = body
    given = config.data.model_fields_set | _OWN
    data = {**source.data.model_dump(exclude=given), **config.data.model_dump(include=given)}
    if stored is None:
        notes += _otherwise(config, source.data)
    tree = {**config.model_dump(), "method": method, "data": data}
    return validate_config(tree, f"method.init={config.init}"), notes


def _otherwise(config: Config, source: Data) -> list[str]:
    """One line on the settings of `data` that differ from those the pretrained weights have seen."""
    own = config.data.model_dump(
        mode="json", include=config.data.model_fields_set - _OWN - {"healthy_labels", "augment"}
    )
    was = source.model_dump(mode="json")
    told = [f"data.{name} is {value}, there {was[name]}" for name, value in own.items() if value != was[name]]
    return [f"{config.init} saw its images otherwise: {'; '.join(told)}"] if told else []


def seen_before(config: Config, cohort: Cohort) -> int:
    """How many patients of the test split the run of `method.init` was trained on, as far as names can tell."""
    if config.init is None:
        return 0
    before = Run.open(config.init).cohort()
    if before.key_id != cohort.key_id:
        return 0
    tested = {series.subject for series in cohort.series() if series.split == "test"}
    return len(tested & {series.subject for series in before.series() if series.split == "train"})


def _with_classes(config: Config, plan: Plan) -> Config:
    options = option_names(config.method["name"])
    if "classes" not in options:
        return config
    found = Counter(case.label for case in plan.train if case.label)
    classes = list(config.method.get("classes") or sorted(found))
    if len(classes) < 2:
        raise UserError(
            f"the train split has one class of labels ({', '.join(classes) or 'none'}), and a classifier takes two;"
            " see the label column, data.where and data.healthy_labels"
        )
    if lacking := [name for name in classes if not found[name]]:
        raise UserError(f"method.classes: the train split has no scan of {', '.join(lacking)}")
    filled: dict[str, Any] = {"classes": classes, "counts": [found[name] for name in classes]}
    filled["healthy"] = [name for name in classes if name in config.data.healthy_labels]
    method = {**{key: value for key, value in filled.items() if key in options}, **config.method}
    method = {key: filled[key] if value is None and key in filled else value for key, value in method.items()}
    return config.model_copy(update={"method": method})


def _with_target(config: Config) -> Config:
    """The number of target channels, and of slices side by side in channels, filled in.

    Raises UserError: a target without a use for it, none where it is needed, or numbers that are not the data's.
    """
    name, data = config.method["name"], config.data
    paired = method_class(name).paired
    if paired is None:
        if data.target:
            raise UserError(f"data.target: {name} makes no image of another kind; leave it out, or train pix2pix")
        return config
    if not data.target:
        raise UserError(
            f"data.target is missing: which contrast is {name} to make? For example --set data.channels=[T1] --set"
            " data.target=[T2]"
        )
    count = target_channels(data, paired)
    given = config.method.get("target_channels", count)
    if given != count:
        raise UserError(f"method.target_channels is {given}, data.target gives {count}; leave it out")
    slices = 2 * data.neighbours + 1 if data.view == "slices_25d" else 1
    if config.method.get("slices", slices) != slices:
        raise UserError(f"method.slices is {config.method['slices']}, data gives {slices}; leave it out")
    return config.model_copy(update={"method": {**config.method, "target_channels": count, "slices": slices}})


def _check_conditions(config: Config) -> None:
    """Raise UserError: conditions for a method that is told none, or settings of them that disagree."""
    name, wanted = config.method["name"], config.data.condition
    if wanted and "conditions" not in option_names(name):
        raise UserError(
            f"data.condition: {name} is told nothing of its images but what they show; leave it out, or train"
            " conditional_gan"
        )
    if wanted and config.method.get("classes"):
        raise UserError("method.classes does not go with data.condition; leave it out, and name label among them")
    given = [Condition.model_validate(one).name for one in config.method.get("conditions") or ()]
    if given and given != wanted:
        raise UserError(
            f"method.conditions is of {', '.join(given)}, data.condition of {', '.join(wanted) or 'nothing'}; leave the"
            " former out: training fills it in"
        )


def _with_conditions(config: Config, plan: Plan) -> Config:
    found = learnt(config.data.condition, plan.cohort, plan.train)
    Told.of(found, plan.cohort, plan.val)  # what is no number in it is told now, not when all scans are prepared
    filled = config.method.get("conditions") or [one.model_dump(mode="json", exclude_defaults=True) for one in found]
    return config.model_copy(update={"method": {**config.method, "conditions": filled}})
