"""The loop at its barest, and a check of what a flow may not do. Training's own loop is tested in its own room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from medudl.batch import Batch
from medudl.methods.method import Method, Objective

Watch = Callable[[Objective], None]


class ForkWatch:
    """Knows how many fork_rng blocks are open, in place of torch's own fork_rng."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = 0
        original = torch.random.fork_rng

        @contextmanager
        def fork_rng(*args: Any, **kwargs: Any) -> Iterator[None]:
            self.open += 1
            try:
                with original(*args, **kwargs):
                    yield
            finally:
                self.open -= 1

        monkeypatch.setattr(torch.random, "fork_rng", fork_rng)

    def check(self, autocast: bool) -> None:
        """What the loop finds on its side of a yield."""
        assert not torch.is_inference_mode_enabled(), "yielded inside inference_mode"
        assert torch.is_grad_enabled(), "yielded inside no_grad"
        assert torch.is_autocast_enabled("cpu") == autocast, "yielded inside autocast"
        assert self.open == 0, "yielded inside fork_rng"


def turns(method: Method, batch: Batch, optimisers: dict[str, torch.optim.Optimizer], watch: Watch) -> None:
    """Drive one step of a method: for each objective backward and update, as the loop does."""
    players = method.players()
    for objective in method.step(batch):
        optimiser = optimisers[objective.player]
        optimiser.zero_grad()
        if objective.gradients is None:
            assert objective.loss is not None
            objective.loss.backward()
        else:
            assert objective.loss is None
            parameters = dict(players[objective.player].named_parameters())
            for name, gradient in objective.gradients.items():
                assert gradient.shape == parameters[name].shape and gradient.dtype == parameters[name].dtype
                parameters[name].grad = gradient
        watch(objective)
        optimiser.step()


def adam(method: Method, lr: float) -> dict[str, torch.optim.Optimizer]:
    return {name: torch.optim.Adam(player.parameters(), lr=lr) for name, player in method.players().items()}


def train(method: Method, batch: Batch, steps: int, lr: float = 3e-3) -> None:
    """All phases, one after the other, `steps` in all."""
    method.train()
    optimisers = adam(method, lr)
    for phase in method.phases():
        method.enter_phase(phase)
        for _ in range(round(steps * phase.share / sum(p.share for p in method.phases()))):
            turns(method, batch, optimisers, lambda _: None)
    method.eval()
