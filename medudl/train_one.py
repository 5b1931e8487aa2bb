"""One training as a command does it: options told wrong at once, then `fit`, then what is measured on its val split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from medudl.config import Config, nearest
from medudl.errors import UserError

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort

__all__ = ["check_method", "train_one"]


def check_method(config: Config) -> None:
    """Options are told wrong before a folder is made or a scan is read."""
    from medudl.methods import method_class
    from medudl.registry import check_options
    from medudl.training.resolve import FILLED
    from medudl.tricks import build_tricks

    cls = method_class(str(config.method["name"]))
    check_options(cls, config.options, "method", later=FILLED)
    known = ["mean", "top", "max", *cls.score_names]
    if config.detect.score not in known:
        raise UserError(
            f"detect.score: {config.detect.score} is no score of this method; {nearest(config.detect.score, known)}"
        )
    cls.check_tricks(build_tricks(config.tricks), config.options)


def train_one(config: Config, cohort: Cohort, out: Path, resume: bool, progress: bool) -> None:
    """Train one run, and calibrate what it says of healthy scans and of classes."""
    from medudl.tasks.classify import calibrate_probabilities
    from medudl.tasks.detect import calibrate
    from medudl.training.train import fit

    run = fit(config, cohort, out, resume=resume, progress=progress)
    # Under torchrun or SLURM every rank comes here; the first one measures and writes.
    first = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"
    verbs = run.method().verbs() if first else ()
    if "anomaly" in verbs:
        calibrate(run)
    if "classify" in verbs and len(run.meta["classes"]) > 1:
        calibrate_probabilities(run)
