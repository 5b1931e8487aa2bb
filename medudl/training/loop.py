"""The one loop: a method's step says what to minimise and for whom, this does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lightning_fabric import Fabric
from torch import Tensor

from medudl.batch import Batch
from medudl.methods.method import Method
from medudl.training.distributed import average_gradients
from medudl.training.players import Player
from medudl.tricks.trick import Trick


@dataclass(frozen=True)
class Turn:
    """What one player did: its loss, the loss's terms and its gradient's norm, scalars still on the device.

    norm: None where nobody asked for it and it was not needed for clipping.
    """

    player: str
    loss: Tensor | None
    parts: Mapping[str, Tensor]
    norm: Tensor | None


def train_step(
    fabric: Fabric,
    method: Method,
    players: Mapping[str, Player],
    tricks: Sequence[Trick],
    batch: Batch,
    measure: Callable[[], bool] = lambda: True,
) -> list[Turn]:
    """Drive one step of a method, which yields an objective a turn.

    A turn: advance the flow under autocast, zero that player's gradients, backward (or take the ready ones), average
    gradients over the ranks, unscale, clip, step. Then the flow goes on: "after the update" is the line after
    its `yield`.

    measure: whether the gradient's norm is wanted, asked right before each update; it costs one more read of every
    gradient, some percent of a small network's step.
    """
    for trick in tricks:
        batch = trick.before_step(batch)
    turns: list[Turn] = []
    flow = method.step(batch)
    while True:
        with fabric.autocast():
            objective = next(flow, None)
            if objective is None:
                return turns
            player = players[objective.player]
            loss, parts = objective.loss, dict(objective.parts)
            if loss is not None:
                for trick in tricks:
                    for name, penalty in trick.penalty(player.name, player.module).items():
                        loss, parts[name] = loss + penalty, penalty
        if loss is not None and objective.gradients is None:
            player.forget_gradients()
            player.backward(loss)
        else:
            player.set_gradients(objective.gradients or {})
        average_gradients(fabric, player.parameters)
        norm = player.update(scaled=objective.gradients is None, measure=measure())
        for trick in tricks:
            trick.after_update(player.name, player.module)
        player.follow()
        values = {name: value.detach() if value.requires_grad else value for name, value in parts.items()}
        turns.append(Turn(player.name, None if loss is None else loss.detach(), values, norm))
