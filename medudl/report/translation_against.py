"""Further runs of the same translation, as baselines: an L1-only network above all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medudl.errors import UserError
from medudl.report.translation_baselines import Baseline, Maker
from medudl.tasks.folds import one_run
from medudl.tasks.translator import TranslationRun

L1_ONLY = "L1 only"


def further_runs(translator: TranslationRun, against: Sequence[str | Path], device: str) -> list[Baseline]:
    """A baseline each. Raises UserError: another translation, scans prepared otherwise, other training patients."""
    found: list[Baseline] = []
    for path in against:
        other = TranslationRun(one_run(path), None, (), device)
        _check(translator, other)
        folder = other.run.path.resolve().name
        name = L1_ONLY if _is_l1_only(other) else f"{other.name} ({folder})"
        if name in (one.name for one in found):
            name = f"{name} ({folder})"
        if name in (one.name for one in found):
            raise UserError(f"--against {path}: a run of that folder name is there already; give each run once")
        found.append(Baseline(name, _maker(other), f"Another run, {folder} ({other.name}), its weights as trained."))
    return found


def _check(translator: TranslationRun, other: TranslationRun) -> None:
    path, own = other.run.path, translator.run.path
    if (other.data.channels, other.data.target) != (translator.data.channels, translator.data.target):
        raise UserError(f"--against {path}: translates other contrasts than {own}; give a run of the same translation")
    if other.run.pipeline().key != translator.run.pipeline().key:
        raise UserError(
            f"--against {path}: prepares its scans otherwise than {own}; train it with the same data section"
        )
    train = [{(s.subject, s.split) for s in one.run.cohort().series()} for one in (translator, other)]
    if train[0] != train[1]:
        raise UserError(f"--against {path}: was trained on another split than {own}; train both on one cohort.csv")


def _is_l1_only(other: TranslationRun) -> bool:
    method: Any = other.method
    return other.name == "pix2pix" and method.adversarial == 0


def _maker(other: TranslationRun) -> Maker:
    return lambda source, inside: other.nominal(source)
