"""Losses on healthy scans that were not trained on: they choose the best weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from lightning_fabric import Fabric

from medudl.batch import Batch, to_device
from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.training.distributed import gather
from medudl.training.players import Player, averaged


@contextmanager
def looking(method: Method, players: Iterable[Player], seed: int) -> Iterator[None]:
    """Look at the method without moving it: averaged weights, eval mode, no gradients, a random state of its own.

    The same seed each time, so that a method which draws noise is judged on the same noise.
    """
    device = next(method.parameters()).device
    with averaged(players), torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        method.eval()
        try:
            yield
        finally:
            method.train()


def validate(fabric: Fabric, method: Method, batches: Iterable[Batch], limit: int | None) -> dict[str, float]:
    """Mean of each of the method's validation losses over the items of all ranks; call it inside `looking`.

    Raises UserError where the monitored one is not a finite number.
    """
    sums: dict[str, list[float]] = {}
    for batch in islice(batches, limit):
        with fabric.autocast():
            losses = method.validate(to_device(batch, fabric.device))
        for name, values in losses.items():
            sums.setdefault(name, []).extend(values.float().tolist())
    everyone = gather(fabric, {name: (math.fsum(values), len(values)) for name, values in sums.items()})
    totals = {name: [rank[name] for rank in everyone if name in rank] for rank in everyone for name in rank}
    means = {name: math.fsum(s for s, _ in pairs) / sum(n for _, n in pairs) for name, pairs in totals.items()}
    if not math.isfinite(means[method.monitor]):
        raise UserError(f"validation: {method.monitor} is {means[method.monitor]} on the healthy val scans; lower the"
                        " learning rate (train.optimiser.lr) and go on with --resume")  # fmt: skip
    return means
