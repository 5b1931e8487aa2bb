"""Feature matching (Salimans et al. 2016), and what a distance in any network's features shares with it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from medudl.errors import UserError
from medudl.tricks.adversarial import AdversarialTrick, Duel


def distance_of_means(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Squared distance between the mean features of two batches, which need not be of one size:

        sum over layers, units of (E f(x) - E f(G(z)))^2

    It does not ask which image is beside which: it is the distance of the means, not the mean of the distances. The
    real side is cut from its graph. real, fake: (B, K, *s) or (B, K) a layer. A scalar, in float32 at the least.
    """
    gaps = [_precise(x.detach()).mean(0) - _precise(y).mean(0) for x, y in zip(real, fake, strict=True)]
    return torch.stack([gap.square().sum() for gap in gaps]).sum()


def _precise(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))


class Matching(AdversarialTrick):
    """weight * distance, added to the generator's loss or, where `replaces`, in its place.

    The discriminator keeps its own loss.
    """

    part: ClassVar[str]  # its name in the log

    def __init__(self, weight: float, replaces: bool) -> None:
        self.weight = weight
        self.replaces = replaces  # type: ignore[misc]  # of other tricks the class says it

    @abstractmethod
    def distance(self, duel: Duel) -> Tensor:
        """A scalar whose graph leads to `duel.fake` alone, as long as the discriminator is frozen."""

    def generator_loss(self, duel: Duel) -> Tensor | None:
        """The whole of the generator's loss, where it replaces the adversarial one."""
        return self.weight * self.distance(duel) if self.replaces else None

    def generator_terms(self, duel: Duel) -> dict[str, Tensor]:
        """A term of the generator's loss, where it is added."""
        return {} if self.replaces else {self.part: self.weight * self.distance(duel)}


class FeatureMatching(Matching):
    """Feature matching (Salimans et al. 2016): the generator is to give a hidden layer f of the discriminator the same
    mean as the data do,

        weight * || E f(x) - E f(G(z)) ||^2,   means over the batch, real side detached

    layer: which hidden layer, from 0 or, below 0, from the last. replaces: it stands in the place of the adversarial
    loss, as published, or is added to it. Small batches have means that are far from each other by chance.
    """

    part = "feature_matching"

    def __init__(self, *, weight: Annotated[float, Field(gt=0)] = 1.0, layer: int = -1, replaces: bool = False) -> None:
        super().__init__(weight, replaces)
        self.layer = layer

    def distance(self, duel: Duel) -> Tensor:
        """See the class. UserError: the discriminator has no such layer."""
        other = duel if duel.fake_condition is None else replace(duel, condition=duel.fake_condition)
        with torch.no_grad():
            real = duel.features(duel.real)
        fake = other.features(duel.fake)
        if not -len(real) <= self.layer < len(real):
            wanted = f"choose it from {-len(real)} to {len(real) - 1}"
            raise UserError(f"tricks: feature_matching.layer {self.layer}, of {len(real)} hidden layers; {wanted}")
        return distance_of_means([real[self.layer]], [fake[self.layer]])
