"""What methods that learn from labels share: the labels of a batch, and how much each class weighs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medudl.batch import Batch
from medudl.errors import UserError


def class_weights(classes: Sequence[str], counts: Sequence[int] | None) -> Tensor:
    """Weights n / (K n_c), so that a rare class counts as much as a frequent one: (K,); 1 for all without counts.

    counts: training scans of each class. UserError: as many counts as classes are wanted.
    """
    if counts is None:
        return torch.ones(len(classes))
    if len(counts) != len(classes):
        raise UserError(f"method.counts: {len(counts)} numbers for {len(classes)} classes; leave it out")
    return torch.tensor([sum(counts) / (len(counts) * count) for count in counts])


def labels_of(batch: Batch) -> Tensor:
    """(B,) int64, -1 for an image without a label."""
    label = batch.get("label")
    return torch.full((len(batch["image"]),), -1, device=batch["image"].device) if label is None else label
