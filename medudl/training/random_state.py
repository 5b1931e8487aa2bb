"""Random numbers of one process: seeding, saving, restoring, and looking away."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import torch

T = TypeVar("T")


def seed(number: int) -> None:
    """Seed Python, NumPy and torch, on every device."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


def random_state(device: torch.device) -> dict[str, Any]:
    """Where the generators of Python, NumPy and torch stand."""
    version, numbers, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), place, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put the generators back to where `random_state` found them."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)


def started_unseen(iterator: Iterator[T]) -> Iterator[T]:
    """The same items; whatever torch's generator gives away for the first is taken back.

    A DataLoader draws a seed whenever it is started, so that an epoch begun again by a resume would draw once more.
    """
    before = torch.get_rng_state()
    try:
        first = next(iterator)
    except StopIteration:
        return
    finally:
        torch.set_rng_state(before)
    yield first
    yield from iterator
