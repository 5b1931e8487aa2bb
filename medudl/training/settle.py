"""What is measured once a training has ended: `Method.settle`, and what it has to say."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from lightning_fabric import Fabric

from medudl.batch import Batch, to_device
from medudl.methods.method import Method
from medudl.state import save_state
from medudl.training.random_state import started_unseen
from medudl.training.screen import Screen
from medudl.training.trainer import Batches, Trainer


@torch.no_grad()
def settle(trainer: Trainer, batches: Batches) -> list[str]:
    """Let the method measure the training images with its best weights, write them, and return what it notes.

    The training's own state is left as it is: a longer training goes on from there.
    """
    method, run, fabric = trainer.method, trainer.run, trainer.fabric
    own = {name: value.detach().clone() for name, value in method.state_dict().items()}
    method.load_state_dict(trainer.best_weights)
    try:
        measure(method, batches, fabric, trainer.screen)
        notes = method.notes()
        if fabric.is_global_zero:
            at = trainer.at
            tree = {"weights": method.state_dict(), "step": at.best_step, method.monitor: at.best}
            save_state(run.path / "weights.safetensors", tree)
            run.update({"notes": notes})
    finally:
        method.load_state_dict(own)
        method.train()
    return notes


@torch.no_grad()
def measure(method: Method, batches: Batches, fabric: Fabric, screen: Screen) -> None:
    """`Method.settle` on the batches of one epoch, with the weights that the method has; it is left in eval mode."""
    method.eval()
    with fabric.autocast():
        method.settle(to_device(batch, fabric.device) for batch in _counted(batches, screen))


def _counted(batches: Batches, screen: Screen) -> Iterator[Batch]:
    """A bar, from the first batch that the method asks for: most ask for none."""
    count = screen.counter("measuring the training scans")
    for done, batch in enumerate(started_unseen(batches.epoch(0)), start=1):
        yield batch
        count(done, len(batches))
