"""Run by test_two_ranks.py under torchrun: every claim about ranks, in one start. Not a test file by itself."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from test_watch import Poisoned
from tiny import METHODS, config, equal, go, new_run, trainer, weights
from torch import nn
from toys import TOYS

from medudl.errors import UserError
from medudl.methods import METHODS as TABLE
from medudl.run import Run
from medudl.training.checkpoint import load_checkpoint
from medudl.training.distributed import average_gradients, gather, launch, same_everywhere
from medudl.training.stop import Stopped, StopSignals
from medudl.training.trainer import Trainer

warnings.simplefilter("ignore")
torch.set_num_threads(1)
TABLE.update(TOYS)
POOL = 6  # smaller than what two steps make, so that images are exchanged
TRICKS: dict[str, list[dict[str, Any]]] = {
    name: [{"name": "image_replay", "size": POOL}] for name in ("pix2pix", "cyclegan")
}
FABRIC = launch(config("autoencoder").train)
RANK = FABRIC.global_rank


def run_at(path: Path, name: str, precision: str = "fp32") -> Run:
    settings = config(name, {"precision": precision}, TRICKS.get(name))
    if RANK == 0:
        new_run(path, settings)
    FABRIC.barrier()
    return Run.open(path)


def at_work(run: Run) -> Trainer:
    return trainer(run, launch(run.config.train))


class StopRankOne(StopSignals):
    """Only rank 1 is asked to stop, once the trainer has come to a step."""

    def __init__(self, trainer: Trainer, step: int) -> None:
        self.trainer, self.step = trainer, step

    @property
    def number(self) -> int:  # type: ignore[override]
        return 15 if RANK == 1 and self.trainer.at.step >= self.step else 0


def check_average() -> None:
    """Mean over ranks; zeros for a gradient that one rank lacks; none where nobody has one."""
    a, b, c = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    a.grad = torch.tensor([1.0, 2.0]) * (1 + RANK)
    b.grad = torch.tensor([4.0, 8.0]) if RANK == 1 else None
    average_gradients(FABRIC, [a, b, c])
    assert torch.equal(a.grad, torch.tensor([1.5, 3.0])), a.grad
    assert b.grad is not None and torch.equal(b.grad, torch.tensor([2.0, 4.0])), b.grad
    assert c.grad is None


def check_broadcast() -> None:
    """Every rank begins with the weights and buffers of rank 0."""
    module = nn.BatchNorm1d(2)
    nn.init.constant_(module.weight, 1.0 + RANK)
    module.running_mean.fill_(3.0 + RANK)  # type: ignore[union-attr,operator]
    same_everywhere(FABRIC, module)
    assert module.weight.tolist() == [1.0, 1.0] and module.running_mean.tolist() == [3.0, 3.0]  # type: ignore[union-attr]


def check_training(folder: Path, name: str, precision: str) -> None:
    """Weights are in step, random numbers are not; a stop asked of one rank stops both; a resume changes nothing."""
    whole = at_work(run_at(folder / f"{name}-{precision}-whole", name, precision))
    go(whole)
    parameters = dict(whole.method.named_parameters())
    everyone = gather(FABRIC, ({k: p.detach().clone() for k, p in parameters.items()}, torch.get_rng_state()))
    assert equal(everyone[0][0], everyone[1][0]), f"{name}: weights differ between the ranks"
    assert not equal(everyone[0][1], everyone[1][1]), f"{name}: the ranks draw the same random numbers"
    if name in TRICKS:
        check_pools(whole)
    run = run_at(folder / f"{name}-{precision}-parts", name, precision)
    part = at_work(run)
    try:
        go(part, StopRankOne(part, 6))
        raise AssertionError("nobody stopped")
    except Stopped as stop:
        told = gather(FABRIC, (stop.step, stop.code))
        assert told[0] == told[1] and told[0][1] == 143 and 6 <= told[0][0] <= 8, told  # a phase may end before 8
    FABRIC.barrier()
    state = load_checkpoint(run.path / "checkpoint", print)
    assert state is not None
    part = at_work(run)
    part.restore(state)
    go(part)
    assert equal(weights(part), weights(whole)), f"{name}: the resumed run differs on rank {RANK}"


def check_pools(trained: Trainer) -> None:
    """Each rank keeps what it made itself: full pools that are not the other's."""
    pools = gather(FABRIC, trained.tricks[0].state())
    assert pools[0].keys() == pools[1].keys() == {name for name in trained.players if name.startswith("discriminator")}
    for name in pools[0]:
        assert pools[0][name]["count"] == pools[1][name]["count"] == POOL
        assert not equal(pools[0][name]["kept"], pools[1][name]["kept"])


def check_nan(folder: Path) -> None:
    """A NaN on rank 1 stops both, with the same words."""
    one = at_work(run_at(folder / "nan", "autoencoder"))
    one.train = Poisoned(7 if RANK == 1 else 99)
    try:
        go(one)
        raise AssertionError("nobody stopped")
    except UserError as error:
        told = gather(FABRIC, str(error))
        assert told[0] == told[1] and "NaN) at step 7" in told[0], told


if __name__ == "__main__":
    place = Path(sys.argv[1])
    check_average()
    check_broadcast()
    for method in METHODS:
        check_training(place, method, "bf16" if method == "toy_wasserstein" else "fp32")
    check_nan(place)
    dist.destroy_process_group()
    (place / f"rank-{RANK}-done").touch()
