"""Run by test_tricks_resume.py under torchrun: tricks differ between ranks in nothing but their batches."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import tiny
import torch
import torch.distributed as dist
from test_tricks_resume import LISTS, SHAPE
from tiny import config, equal, go, new_run, trainer, weights

from medudl.run import Run
from medudl.training.checkpoint import load_checkpoint
from medudl.training.distributed import gather, launch
from medudl.training.stop import Stopped, StopSignals
from medudl.training.trainer import Trainer

warnings.simplefilter("ignore")
torch.set_num_threads(1)
tiny.SHAPE = SHAPE
FABRIC = launch(config("gan").train)
RANK = FABRIC.global_rank


class StopAfter(StopSignals):
    """Asks rank 1 to stop once the trainer has come to a step."""

    def __init__(self, at_work: Trainer, step: int) -> None:
        self.at_work, self.step = at_work, step

    @property
    def number(self) -> int:  # type: ignore[override]
        return 15 if RANK == 1 and self.at_work.at.step >= self.step else 0


def at_work(path: Path, tricks: str) -> Trainer:
    if RANK == 0 and not path.exists():
        new_run(path, config("gan", {"steps": 8}, LISTS[tricks]))
    FABRIC.barrier()
    run = Run.open(path)
    return trainer(run, launch(run.config.train))


def check(folder: Path, tricks: str) -> None:
    whole = at_work(folder / f"{tricks}-whole", tricks)
    go(whole)
    parameters = {name: p.detach().clone() for name, p in whole.method.named_parameters()}
    references = [trick.state() for trick in whole.tricks]
    codes = {name: b.clone() for name, b in whole.method.named_buffers() if "reference" in name}
    everyone = gather(FABRIC, (parameters, references, codes))
    assert equal(everyone[0], everyone[1]), f"{tricks}: the ranks differ"
    part = at_work(folder / f"{tricks}-parts", tricks)
    try:
        go(part, StopAfter(part, 5))
        raise AssertionError("nobody stopped")
    except Stopped:
        FABRIC.barrier()
    state = load_checkpoint(part.run.path / "checkpoint", print)
    assert state is not None
    part = at_work(part.run.path, tricks)
    part.restore(state)
    go(part)
    assert equal(weights(part), weights(whole)), f"{tricks}: the resumed run differs on rank {RANK}"


if __name__ == "__main__":
    place = Path(sys.argv[1])
    check(place, "virtual")
    dist.destroy_process_group()
    (place / f"rank-{RANK}-done").touch()
