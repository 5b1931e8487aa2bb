"""Gradient penalties: slope 1 between real and generated images (Gulrajani et al. 2017), slope 0 at real ones (R1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from medudl.errors import UserError
from medudl.networks.minibatch_discrimination import MinibatchHead
from medudl.tricks.adversarial import AdversarialTrick, Duel


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, one_sided: bool = False, center: float = 1.0
) -> Tensor:
    """Gradient penalty (Gulrajani et al. 2017): keep the critic's slope near `center`.

        (|| d critic(x) / dx || - center)^2   at   x = a*real + (1 - a)*fake,   a ~ U(0, 1) per image

    real, fake: (B, C, *S) on the same scale. one_sided: only slopes above it are punished (Petzka et al. 2018).
    Returns (B,): one penalty per image, unweighted, in float32 whatever the loop's autocast: the square root and the
    second derivative lose too many digits in 16 bits.
    """
    with torch.autocast(real.device.type, enabled=False):
        real, fake = real.detach().float(), fake.detach().float()
        a = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
        excess = _slope(critic, a * real + (1 - a) * fake).norm(dim=1) - center
        penalised: Tensor = excess.clamp(min=0) if one_sided else excess
        return penalised.square()


def real_gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): keep the discriminator flat at real images.

        || d critic(x) / dx ||^2   at   x = real

    real: (B, C, *S). Returns (B,): one penalty per image, unweighted, in float32 whatever the loop's autocast.
    """
    with torch.autocast(real.device.type, enabled=False):
        squares: Tensor = _slope(critic, real.detach().float()).square().sum(dim=1)
        return squares


def _slope(critic: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """(B, C * voxels), with a graph."""
    image = image.requires_grad_()
    # Summing gives each image its own slope, but only while the critic has no batch norm.
    (slope,) = torch.autograd.grad(critic(image).sum(), image, create_graph=True)
    return slope.flatten(1)


class GradientPenalty(AdversarialTrick):
    """A penalty on the slope of the discriminator's output, added to its loss:

        interpolated   weight * E (|| slope || - center)^2    between real and generated images (Gulrajani et al. 2017)
        real           weight / 2 * E || slope ||^2           at real images: R1, weight is its gamma (Mescheder 2018)

    The output of patches is their mean. one_sided, of interpolated: only slopes above `center` count (Petzka et al.
    2018); without it a critic may settle on a slope of -1 where 1 is right, with the wrong sign for good.
    center: slope that is asked for, per unit of intensity in [-1, 1]; 1 where none is given, as the Wasserstein
    distance needs it. Batch norm in the discriminator is refused, because its images share a slope.
    """

    def __init__(
        self,
        *,
        kind: Literal["interpolated", "real"] = "interpolated",
        weight: Annotated[float, Field(gt=0)] = 10.0,
        one_sided: bool = False,
        center: Annotated[float, Field(ge=0)] | None = None,
    ) -> None:
        if kind == "real" and (one_sided or center):
            why = "kind real always asks for slope 0"
            raise UserError(
                f"tricks: gradient_penalty: {why}; take one_sided and center away or set kind: interpolated"
            )
        self.kind = kind
        self.weight = weight
        self.one_sided = one_sided
        self.center = 1.0 if center is None else center

    def discriminator_terms(self, duel: Duel) -> dict[str, Tensor]:
        """{"gradient_penalty": weighted}. UserError: a layer that mixes images."""
        _refuse_mixing(duel)

        def critic(image: Tensor) -> Tensor:
            logits = duel.judge(image)
            return logits if logits.ndim == 1 else logits.flatten(1).mean(dim=1)

        if self.kind == "real":
            return {"gradient_penalty": self.weight / 2 * real_gradient_penalty(critic, duel.real).mean()}
        penalty = gradient_penalty(critic, duel.real, duel.fake, one_sided=self.one_sided, center=self.center)
        return {"gradient_penalty": self.weight * penalty.mean()}


def _refuse_mixing(duel: Duel) -> None:
    for module in duel.discriminator.modules():
        if isinstance(module, (_BatchNorm, MinibatchHead)):
            what = "batch norm: set another method.norm" if isinstance(module, _BatchNorm) else (
                "minibatch discrimination: take one of the two away"
            )  # fmt: skip
            raise UserError(
                f"tricks: gradient_penalty: each image has a slope of its own only where images are judged one by one,"
                f" and {duel.name} has {what}"
            )
