"""Is everything still a number? And what the numbers were, for the log."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medudl.errors import UserError
from medudl.training.distributed import gather, largest
from medudl.training.loop import Turn

# fp16's loss scale starts at 2^16 and halves whenever gradients overflow; below this, no scale helps any more.
SMALLEST_SCALE = 2.0**-10


class Watch:
    """Collects the turns of some steps and looks at them all at once, since each look makes a GPU wait.

    Nothing may be saved between a step and the look at it: call `flush` before every validation and checkpoint, after a
    step that is `measured`. A gradient that was not measured and was no number shows in the next step's loss at the
    latest, since the weights then are none either.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.scaler = getattr(fabric.strategy.precision, "scaler", None)
        self._steps: list[tuple[int, Sequence[str], list[Turn]]] = []

    def add(self, step: int, ids: Sequence[str], turns: list[Turn]) -> None:
        """Remember a step: the names of its items and what its players did."""
        self._steps.append((step, ids, turns))

    @property
    def measured(self) -> bool:
        """Whether every gradient of the last step was measured."""
        return all(turn.norm is not None for turn in self._steps[-1][2])

    def flush(self, last_good: int) -> dict[str, float]:
        """Means of loss, parts and (where measured) gradient norm by "player/name" since the last flush.

        Raises UserError on every rank when one of them met a NaN or an infinity: which part, which step, which scans.
        """
        names, values = self._values()
        fault = self._fault(names, values)
        if largest(self.fabric, int(fault is not None)):
            told = next(text for text in gather(self.fabric, fault) if text is not None)
            kept = f"the checkpoint of step {last_good} is kept" if last_good else "there is no checkpoint yet"
            raise UserError(f"{told}; {kept}: look at these scans, lower train.optimiser.lr, or clip its gradients")
        self._steps.clear()
        columns: dict[str, list[float]] = {}
        for (_, name), value in zip(names, values, strict=True):
            columns.setdefault(name, []).append(value)
        return {name: math.fsum(column) / len(column) for name, column in columns.items()}

    def _values(self) -> tuple[list[tuple[int, str]], list[float]]:
        """((index of the step, "player/name"), value): parts before the loss they add up to, the norm last."""
        names: list[tuple[int, str]] = []
        tensors: list[Tensor] = []
        for i, (_, _, turns) in enumerate(self._steps):
            for turn in turns:
                found = {**turn.parts, "loss": turn.loss, "gradient": turn.norm}
                kept = {name: tensor for name, tensor in found.items() if tensor is not None}
                names += [(i, f"{turn.player}/{name}") for name in kept]
                tensors += [tensor.float() for tensor in kept.values()]
        return names, torch.stack(tensors).tolist() if tensors else []

    def _fault(self, names: list[tuple[int, str]], values: list[float]) -> str | None:
        for (i, name), value in zip(names, values, strict=True):
            # With fp16 an infinite gradient is part of the game: the scaler skips that update and scales less.
            if not math.isfinite(value) and not (self.scaler is not None and name.endswith("/gradient")):
                step, ids, _ = self._steps[i]
                player, _, part = name.partition("/")
                before = "" if part == "gradient" else self._or_before(i)
                return f"{player}: {part} is {_word(value)} at step {step}, on {', '.join(ids)}{before}"
        if self.scaler is not None and self._steps and self.scaler.get_scale() < SMALLEST_SCALE:
            return f"fp16: gradients overflow at every loss scale up to step {self._steps[-1][0]}; use precision bf16"
        return None

    def _or_before(self, i: int) -> str:
        """Whose gradient may have spoilt the loss of step `i`: that of the step before, where it was not measured."""
        if i == 0 or all(turn.norm is not None for turn in self._steps[i - 1][2]):
            return ""
        step, ids, _ = self._steps[i - 1]
        return f" (or by the gradient of step {step}, on {', '.join(ids)})"


def _word(value: float) -> str:
    return "not a number (NaN)" if math.isnan(value) else "infinite"
