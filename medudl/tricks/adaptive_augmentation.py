"""Adaptive discriminator augmentation, ADA (Karras et al. 2020)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor

from medudl.errors import UserError
from medudl.losses.adversarial import Loss
from medudl.tricks import image_changes
from medudl.tricks.adversarial import AdversarialTrick, Duel

Change = Literal["flip", "turn", "translation", "rotation", "scale", "brightness", "contrast", "gamma"]


class AdaptiveAugmentation(AdversarialTrick):
    """Adaptive discriminator augmentation, ADA (Karras et al. 2020): as much augmentation as overfitting asks for.

        r = E sign(D(real));   every `interval` updates   p <- p +- images / speed,   + where r > target

    Each change happens to each image with probability p, real and generated alike, with the gradient through it. r is
    1 where D is sure of every training image, 0 where it cannot tell. The 0 is 1/2 for least squares, midway between
    its targets. p stands in the log as `augmentation`, and r as `overfitting`; each discriminator has its own, equal
    on every rank.

    speed: images (of all ranks) in which p would go from 0 to 1. most: p's upper end. Up to .8 nothing leaks: a change
    that leaves the image as it was with probability 1 - p can be undone on distributions, so generated images follow
    the real ones' law if and only if the changed ones do; at 1 that is lost. What is drawn is drawn so that this holds.

    changes: translation (whole voxels, up to a share of each axis), rotation in the slice (standard deviation in
    degrees), scale, brightness (of the logarithm), contrast and gamma (see image_changes.py). Two are not on by
    default, since anatomy has an up and its sides differ: flip, left-right (last axis), half of the time that it
    happens; turn, by 0 to 3 quarters, of square slices.
    """

    def __init__(
        self,
        *,
        changes: Annotated[tuple[Change, ...], Field(min_length=1)] = (
            "translation", "rotation", "scale", "brightness", "contrast",
        ),
        target: Annotated[float, Field(gt=0, lt=1)] = 0.6,
        interval: Annotated[int, Field(ge=1)] = 4,
        speed: Annotated[float, Field(gt=0)] = 500_000,
        most: Annotated[float, Field(gt=0, le=1)] = 0.8,
        translation: Annotated[float, Field(gt=0, lt=1)] = 0.125,
        rotation: Annotated[float, Field(gt=0)] = 10.0,
        scale: Annotated[float, Field(gt=0)] = 0.1,
        brightness: Annotated[float, Field(gt=0)] = 0.2,
        contrast: Annotated[float, Field(gt=0)] = 0.3,
        gamma: Annotated[float, Field(gt=0)] = 0.3,
    ) -> None:  # fmt: skip
        self.changes, self.translation, self.rotation = changes, translation, math.radians(rotation)
        self.target, self.interval, self.speed, self.most = target, interval, speed, most
        self.spread = {"scale": scale, "brightness": brightness, "contrast": contrast, "gamma": gamma}
        self.p: dict[str, float] = {}  # by discriminator
        self._answers: dict[str, Tensor] = {}  # sum of signs, images; since the last adjustment
        self._updates: dict[str, int] = {}
        self._r: dict[str, float] = {}

    def check(self, loss: Loss) -> None:
        """UserError: a Wasserstein critic's scores have no 0."""
        if loss == "wasserstein":
            raise UserError(
                "tricks: adaptive_augmentation reads the sign of the discriminator's answers, but a Wasserstein"
                " critic's scores have no zero; choose another loss, or diff_augment"
            )

    def seen(self, duel: Duel, real: Tensor, fake: Tensor) -> None:
        """Gather the signs, and adjust p when it is time."""
        name, images = duel.name, len(real)
        middle = 0.5 if duel.loss == "least_squares" else 0.0
        signs = (real.float() - middle).sign().mean() * images
        answers = torch.stack([signs, torch.full_like(signs, images)])
        self._answers[name] = self._answers.get(name, torch.zeros_like(answers)).to(answers.device) + answers
        self._updates[name] = self._updates.get(name, 0) + 1
        if self._updates[name] % self.interval == 0:
            self._adjust(name)

    def figures(self, duel: Duel) -> dict[str, Tensor]:
        """{augmentation: p, overfitting: r of the last adjustment}."""
        return {
            "augmentation": torch.tensor(self.p.get(duel.name, 0.0), device=duel.real.device),
            "overfitting": torch.tensor(self._r.get(duel.name, 0.0), device=duel.real.device),
        }

    def shown(self, duel: Duel, image: Tensor) -> Tensor:
        """Changed, each change with probability p. UserError: turns of slices that are not square."""
        p = self.p.get(duel.name, 0.0)
        if "turn" in self.changes and image.shape[-1] != image.shape[-2]:
            raise UserError(
                f"tricks: adaptive_augmentation turns square slices only, these are {tuple(image.shape[-2:])}; take"
                " turn out of its changes"
            )
        if p > 0:
            for change in self.changes:
                image = self._change(change, image, p)
        return image

    def state(self) -> dict[str, object]:
        """What it has seen of each discriminator."""
        return {"p": self.p, "answers": self._answers, "updates": self._updates, "r": self._r}

    def load_state(self, state: dict[str, object]) -> None:
        """Restore what `state` gave."""
        self.p, self._answers, self._updates, self._r = (
            dict(state[key]) for key in ("p", "answers", "updates", "r")  # type: ignore[call-overload]
        )  # fmt: skip

    def _adjust(self, name: str) -> None:
        answers = self._answers.pop(name)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(answers)
        signs, images = answers.tolist()
        self._r[name] = signs / images
        towards = math.copysign(images / self.speed, self._r[name] - self.target)
        self.p[name] = min(self.most, max(0.0, self.p.get(name, 0.0) + towards))

    def _change(self, change: Change, image: Tensor, p: float) -> Tensor:
        device, count, none = image.device, len(image), torch.zeros(len(image), device=image.device)
        happens = torch.rand(count, device=device) < p
        # Flips and turns are drawn from the whole group, the identity included: "always flipped where it happens"
        # could not be undone at p = 1/2, when both orientations are equally frequent whatever went in.
        if change == "flip":
            return image_changes.flip(image, happens & (torch.rand(count, device=device) < 0.5))
        if change == "turn":
            return image_changes.turn(image, happens * torch.randint(4, (count,), device=device))
        if change == "translation":
            most = (torch.tensor(image.shape[2:], device=device) * self.translation).round()
            # A difference of two draws, whose spectrum is nowhere negative. That of a uniform shift by -1, 0 or 1 is
            # -1/3 at the highest frequency: together with what stays in place it would be 0 at p = 3/4.
            ends = (torch.rand(2, count, len(most), device=device) * (most + 1)).floor()
            return image_changes.translate(image, happens[:, None] * (ends[0] - ends[1]).long())
        drawn = happens * torch.randn(count, device=device)
        if change == "rotation":
            return image_changes.rotate_and_scale(image, self.rotation * drawn, none)
        drawn = self.spread[change] * drawn
        if change == "scale":
            return image_changes.rotate_and_scale(image, none, drawn)
        if change == "brightness":
            return image_changes.brightness(image, torch.expm1(drawn))
        if change == "contrast":
            return image_changes.contrast(image, drawn.tanh())
        return image_changes.gamma(image, drawn)
