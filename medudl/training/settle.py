"""What is measured once a training has ended: `Method.settle`, and what it has to say."""

from __future__ import annotations

import torch

from medudl.batch import to_device
from medudl.state import save_state
from medudl.training.random_state import started_unseen
from medudl.training.trainer import Batches, Trainer


@torch.no_grad()
def settle(trainer: Trainer, batches: Batches) -> list[str]:
    """Let the method measure the training images with its best weights, write them, and return what it notes.

    The training's own state is left as it is: a longer training goes on from there.
    """
    method, run, fabric = trainer.method, trainer.run, trainer.fabric
    own = {name: value.detach().clone() for name, value in method.state_dict().items()}
    method.load_state_dict(trainer.best_weights)
    method.eval()
    try:
        with fabric.autocast():
            method.settle(to_device(batch, fabric.device) for batch in started_unseen(batches.epoch(0)))
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
