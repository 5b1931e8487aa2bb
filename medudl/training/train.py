"""`fit`: from a cohort to a run folder. What can be refused is refused here, before anything heavy is imported."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from medudl.config import Config, write_config
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.run import Run
from medudl.training.resolve import complete
from medudl.training.scans import Plan, choose_scans

__all__ = ["Plan", "choose_scans", "differences", "fit"]

# Settings that a resume may change: they move no weight. train.steps may grow too; the schedule then follows the new
# length, so that such a run equals no uninterrupted one. `detect` is no part of training.
FREE = {
    "train.workers", "train.device", "train.checkpoint_every", "train.sample_every", "data.cache", "data.cache_workers"
}  # fmt: skip
COMPARED = ["series", "subject", "sha256", "label", "mask", "split"]


def fit(config: Config, cohort: Cohort, out: str | Path, *, resume: bool = False, progress: bool = True) -> Run:
    """Train `config` on the train split of `cohort`, in a new folder `out`; or go on where it was stopped.

    The weights kept are those with the best validation loss on the healthy scans of the val split (a supervised method:
    on the labelled ones). With `method.init` it begins from the weights of another run. A resume goes on
    with the same config and cohort; only what moves no weight may change (FREE), and train.steps may grow.
    Raises UserError for what the user can mend, a NaN and a full disk included; Stopped after Ctrl-C or SIGTERM, with
    a checkpoint written.
    """
    out = Path(out)
    stored = Run.open(out).config if resume and (out / "run.json").is_file() else None
    config, plan = complete(config, cohort, stored)
    if _first_process():
        run = _checked(config, plan.cohort, out) if resume else None
        if run is None and (out / "run.json").exists():
            raise UserError(f"{out}: holds a run already; give another folder, or go on with --resume")
    from medudl.training.session import train

    try:
        return train(config, plan, out, resume=resume, progress=progress)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"{out}: the disk is full; make room, and go on with --resume from what is kept") from None


def differences(before: Config, now: Config) -> list[str]:
    """Settings that keep `now` from going on where `before` stood: "train.seed is 1, was 0"."""
    old, new = _flat(before.model_dump(mode="json"), ""), _flat(now.model_dump(mode="json"), "")
    found = []
    for name in sorted(old.keys() | new.keys()):
        was, is_now = old.get(name), new.get(name)
        grown = name == "train.steps" and isinstance(was, int) and isinstance(is_now, int) and is_now > was
        if was != is_now and not grown and name not in FREE and not name.startswith("detect."):
            found.append(f"{name} is {is_now}, was {was}")
    return found


def _checked(config: Config, rows: Cohort, out: Path) -> Run:
    """The run to go on with. Raises UserError: none there, or trained with other settings or scans."""
    if not out.exists():
        raise UserError(f"{out}: nothing to resume there; leave --resume out to begin")
    run = Run.open(out)
    changed = differences(run.config, config)
    if changed:
        raise UserError(f"{out}: cannot go on with other settings: {'; '.join(changed)}; undo it, or train anew")
    before, now = ({tuple(row) for row in c.table[COMPARED].to_numpy()} for c in (run.cohort(), rows))
    if before != now:
        count = len({row[0] for row in before ^ now})
        raise UserError(f"{out}: the cohort has changed since ({count} series differ); give the old one, or train anew")
    if run.config != config:
        run.config = config
        write_config(config, out / "config.yaml")
    return run


def _first_process() -> bool:
    """Whether this process is the one that writes; torchrun and SLURM number them."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def _flat(tree: Any, place: str) -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {place: tree}
    return {k: v for key, child in tree.items() for k, v in _flat(child, f"{place}.{key}" if place else key).items()}
