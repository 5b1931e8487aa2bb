"""A small game trained as training does it: Adam as in the configs, and the weights of the best validation kept."""

from __future__ import annotations

from typing import Any

import torch

from medudl.batch import Batch
from medudl.methods import build


def played(
    name: str, options: dict[str, Any], train: Batch, val: Batch, *, steps: int, seed: int, lr: float = 1e-3
) -> Any:
    """A method of two players on batches of 64 of `train`; validated on `val` every 100 steps."""
    torch.manual_seed(seed)
    method: Any = build(name, tuple(train["image"].shape[1:]), options)
    players = method.players()
    optimisers = {n: torch.optim.Adam(p.parameters(), lr=lr, betas=(0.5, 0.999)) for n, p in players.items()}
    best, kept = float("inf"), method.state_dict()
    for step in range(1, steps + 1):
        chosen = torch.randint(len(train["image"]), (64,))
        for objective in method.train().step({"image": train["image"][chosen], "label": train["label"][chosen]}):
            optimisers[objective.player].zero_grad()
            objective.loss.backward()
            optimisers[objective.player].step()
        if step % 100 == 0:
            value = float(method.eval().validate(val)[method.monitor].mean())
            if value < best:
                best, kept = value, {name: weight.clone() for name, weight in method.state_dict().items()}
    method.load_state_dict(kept)
    return method.eval()
