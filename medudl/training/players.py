"""One player: optimiser, schedule, clipping and moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medudl.config import Optimiser
from medudl.training.fused_adam import FusedAdam


def rate(settings: Optimiser, step: int, length: int) -> float:
    """Learning rate of update `step` (from 0) in a phase of `length` steps.

        lr * min(1, (step + 1) / warmup) * f,   f = 1 | 1 - t | (1 + cos(pi t)) / 2,   t = progress after the warm-up

    for schedule constant, linear, cosine.
    """
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    if settings.schedule == "constant":
        return settings.lr
    t = min(1.0, (step - settings.warmup) / max(1, length - settings.warmup))
    return settings.lr * (1 - t if settings.schedule == "linear" else (1 + math.cos(math.pi * t)) / 2)


class Player:
    """What the loop knows of one player in one phase: `module`, its `parameters`, and how they move."""

    def __init__(self, fabric: Fabric, name: str, module: nn.Module, settings: Optimiser) -> None:
        self.fabric = fabric
        self.name = name
        self.module = module
        self.settings = settings
        self.named = list(module.named_parameters())
        self.parameters = [parameter for _, parameter in self.named]
        self.precision = fabric.strategy.precision
        self.scaler = getattr(self.precision, "scaler", None)
        self.plain = _optimiser(self.parameters, settings, fused=self.scaler is None)
        self.optimiser: Any = fabric.setup_optimizers(self.plain)
        self.average: list[Tensor] | None = [p.detach().clone() for p in self.parameters] if settings.ema else None
        self.updates = 0
        self._rate = math.nan

    def set_rate(self, step: int, length: int) -> None:
        """Follow the schedule: `step` of a phase of `length` steps."""
        value = rate(self.settings, step, length)
        if value != self._rate:
            self._rate = value
            for group in self.optimiser.param_groups:
                group["lr"] = value

    def forget_gradients(self) -> None:
        """Begin a backward pass: torch's `zero_grad` without its bookkeeping, which small networks feel."""
        for parameter in self.parameters:
            parameter.grad = None

    def backward(self, loss: Tensor) -> None:
        """Gradients of `loss`, which fp16 scales."""
        if self.scaler is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self.fabric.backward(loss)

    def set_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Take ready gradients, by parameter name of the module; a parameter without one has none."""
        for name, parameter in self.named:
            parameter.grad = gradients[name].to(parameter.dtype) if name in gradients else None

    def update(self, scaled: bool, measure: bool = True) -> Tensor | None:
        """Unscale, clip and step. Returns the gradient's norm before clipping: a scalar, on the device.

        scaled: the gradients went through fp16's loss scaling; ready ones did not, and take the plain step.
        measure=False: None, unless clipping needs the norm.
        """
        scaled = scaled and self.scaler is not None
        if scaled:
            self.precision.unscale_gradients(self.plain)
        norm, most = None, self.settings.clip_norm
        if measure or most is not None:
            norm = _total_norm([p.grad for p in self.parameters if p.grad is not None])
            if most is not None:
                torch.nn.utils.clip_grads_with_norm_(self.parameters, most, norm)
        # Fabric's wrapper has something to add to a step only where gradients are scaled.
        (self.optimiser if scaled else self.plain).step()
        return norm

    def follow(self) -> None:
        """Move the average: a <- d a + (1 - d) w, d = min(ema, (1 + n) / (10 + n)) at update n.

        The smaller d of the first updates keeps the random first weights out of a short run's average.
        """
        if self.average is None:
            return
        decay = min(self.settings.ema, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)
        self.updates += 1

    def state(self) -> dict[str, Any]:
        """What a resume needs."""
        return {"optimiser": self.optimiser.state_dict()["state"], "average": self.average, "updates": self.updates}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` gave; rates come from the schedule."""
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state["optimiser"], "param_groups": groups})
        self._rate = math.nan
        self.updates = state["updates"]
        if self.average is not None:
            for own, saved in zip(self.average, state["average"], strict=True):
                own.copy_(saved)


@contextmanager
def averaged(players: Iterable[Player]) -> Iterator[None]:
    """Within it the players that keep an average wear it; afterwards they have their own weights again, bit by bit."""
    wearing = [player for player in players if player.average is not None]
    own = [[p.detach().clone() for p in player.parameters] for player in wearing]
    try:
        for player in wearing:
            _copy(player.average or [], player.parameters)
        yield
    finally:
        for player, weights in zip(wearing, own, strict=True):
            _copy(weights, player.parameters)


@torch.no_grad()
def _copy(source: list[Tensor], target: list[nn.Parameter]) -> None:
    for weights, parameter in zip(source, target, strict=True):
        parameter.copy_(weights)


def _total_norm(gradients: list[Tensor]) -> Tensor:
    """What torch.nn.utils.get_total_norm gives; sorting by device and kind, which are one here, costs more than it."""
    if not gradients:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def _optimiser(parameters: list[nn.Parameter], settings: Optimiser, fused: bool) -> torch.optim.Optimizer:
    # Fused optimisers unscale fp16 gradients by themselves, too late for clipping: hence not with a scaler.
    # SGD's momentum is betas[0], the same average of gradients that Adam's is.
    decay = settings.weight_decay
    if settings.name == "sgd":
        momentum = settings.betas[0]
        return torch.optim.SGD(parameters, settings.lr, momentum=momentum, weight_decay=decay, fused=fused)
    decoupled = settings.name == "adamw"
    kind: Any = FusedAdam if fused else torch.optim.Adam
    optimiser: torch.optim.Optimizer = kind(
        parameters, settings.lr, betas=settings.betas, weight_decay=decay, decoupled_weight_decay=decoupled
    )
    return optimiser
