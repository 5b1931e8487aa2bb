"""Differentiable augmentation (Zhao et al. 2020)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from medudl.tricks import image_changes
from medudl.tricks.adversarial import AdversarialTrick, Duel

Change = Literal["brightness", "contrast", "translation", "cutout", "flip"]


class DiffAugment(AdversarialTrick):
    """Differentiable augmentation (Zhao et al. 2020): D never sees an image T(x) that was not changed by chance.

        D: real T(x), fake T(G(z));   G: T(G(z)), with the gradient through T

    Each image is changed by amounts of its own, real and generated ones by the same law. policy: the changes, in order.

    brightness: times 1 + U(-b, b), the pipeline's kind; the paper adds a number, which would turn air grey.
    contrast: about the mean of each channel by U(-c, c), air stays air (`image_changes.contrast`).
    translation: whole voxels, up to that share of each axis; cutout: a box of that share of each axis. Both leave air.
    flip: left-right with probability 1/2, in axial and coronal views (the last axis). Not by default: sides differ.

    No saturation: channels are series here (T1, FLAIR), not colours, and a mixture of two is no picture of either.
    Changes happen always, not with a probability: a game that cannot tell T(p) from T(q) may confuse p with q, which
    `adaptive_augmentation` cannot. Cutout and flip are the ones to leave out where samples show their traces.
    """

    def __init__(
        self,
        *,
        policy: Annotated[tuple[Change, ...], Field(min_length=1)] = (
            "brightness",
            "contrast",
            "translation",
            "cutout",
        ),
        brightness: Annotated[float, Field(gt=0, lt=1)] = 0.5,
        contrast: Annotated[float, Field(gt=0, lt=1)] = 0.5,
        translation: Annotated[float, Field(gt=0, lt=1)] = 0.125,
        cutout: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    ) -> None:
        self.policy = policy
        self.brightness, self.contrast, self.translation, self.cutout = brightness, contrast, translation, cutout

    def shown(self, duel: Duel, image: Tensor) -> Tensor:
        """Changed by the policy; new amounts at every call."""
        for change in self.policy:
            image = self._change(change, image)
        return image

    def _change(self, change: Change, image: Tensor) -> Tensor:
        count, sizes = len(image), torch.tensor(image.shape[2:], device=image.device)
        if change == "translation":
            most = (sizes * self.translation).round()
            steps = (_uniform(image, len(sizes)) * (2 * most + 1)).floor() - most
            return image_changes.translate(image, steps.long())
        if change == "cutout":
            box = (sizes * self.cutout).round().long().expand(count, -1)
            return image_changes.cutout(image, (_uniform(image, len(sizes)) * sizes).long(), box)
        drawn = 2 * _uniform(image, 1).squeeze(1) - 1
        if change == "flip":
            return image_changes.flip(image, drawn < 0)
        if change == "brightness":
            return image_changes.brightness(image, self.brightness * drawn)
        return image_changes.contrast(image, self.contrast * drawn)


def _uniform(image: Tensor, numbers: int) -> Tensor:
    return torch.rand(len(image), numbers, device=image.device)
