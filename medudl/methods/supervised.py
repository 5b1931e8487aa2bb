"""What methods that learn from labels share: their base, the labels of a batch, how much each class weighs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods.looks import Looks
from medudl.methods.method import Method


class Supervised(Method):
    """Base of the methods that learn from labels. Made by `know`, in their `__init__`.

    classes: K names. share: (K,), n / (K n_c). weight: (K,), what an image of each class weighs in the loss: `share`
    where balanced, else 1. sick: (K,) bool, the classes that do not mean healthy.
    looks: given by who fits several on the same scans; a method that looks through a fixed network looks once.
    """

    supervised: ClassVar[bool] = True
    score_names: ClassVar[tuple[str, ...]] = ("sick_probability",)
    classes: list[str]
    share: Tensor
    weight: Tensor
    sick: Tensor
    looks: Looks | None = None

    def know(
        self, classes: Sequence[str], counts: Sequence[int] | None, healthy: Sequence[str] | None, balanced: bool
    ) -> None:
        """Set what a class weighs. They follow from the settings and are no part of a checkpoint."""
        self.classes = list(classes)
        share = class_weights(classes, counts)
        sick = torch.tensor([name not in (healthy or []) for name in classes])
        weight = share if balanced else torch.ones_like(share)
        for name, values in (("share", share), ("weight", weight), ("sick", sick)):
            self.register_buffer(name, values, persistent=False)

    @abstractmethod
    def classify(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K) logits in the order of `classes`."""

    def scores(self, image: Tensor) -> dict[str, Tensor]:
        """{sick_probability: (B,)}, of all classes that are not healthy, before calibration."""
        return {"sick_probability": self.classify(image).softmax(1)[:, self.sick].sum(1)}

    def right(self, answer: Tensor, label: Tensor) -> dict[str, Tensor]:
        """{accuracy, balanced_accuracy: (B,)} of answers (B, K); balanced by the classes' shares. Unlabelled: 0."""
        right = (answer.argmax(1) == label) & (label >= 0)
        return {"accuracy": right.float(), "balanced_accuracy": self.share[label.clamp(min=0)] * right}


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
