"""Is a generator making the same image again and again? Looked at while it trains."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from medudl.batch import Batch
from medudl.methods.method import Method
from medudl.methods.pixel_kernel import small

COUNT = 64  # samples, and real images at most


class CollapseWatch:
    """Compares fixed validation images with samples, by `metrics.collapse` on what `pixel_kernel.small` makes of both.

    images: batches to take them from. Only methods that `may_collapse` are looked at.
    """

    def __init__(self, method: Method, images: Iterable[Batch]) -> None:
        self.method = method
        self.real = _first(images) if type(method).may_collapse and "sample" in method.verbs() else None

    @torch.no_grad()
    def __call__(self) -> tuple[dict[str, float], str | None]:
        """{"collapse/spread", "collapse/alarm" (0 or 1)}, for the log; and the sentence where it has collapsed.

        Call it inside `looking`. Empty where there is nothing to compare.
        """
        if self.real is None or len(self.real) < 2:
            return {}, None
        from medudl.metrics.collapse import collapse

        samples = small(self.method.sample(COUNT)).cpu()  # type: ignore[attr-defined, operator]
        if not samples.isfinite().all():
            return {}, None  # the losses say so in their own words
        found = collapse(samples.numpy(), self.real.numpy(), seed=0)
        if not math.isfinite(found.spread):
            return {}, None
        told = {"collapse/spread": found.spread, "collapse/alarm": float(found.alarm)}
        return told, found.sentence if found.alarm else None


def _first(batches: Iterable[Batch]) -> Tensor | None:
    """Up to COUNT images, from as many batches as that takes: (N, d)."""
    parts: list[Tensor] = []
    for batch in batches:
        parts.append(small(batch["image"]).cpu())
        if sum(len(part) for part in parts) >= COUNT:
            break
    return torch.cat(parts)[:COUNT] if parts else None
