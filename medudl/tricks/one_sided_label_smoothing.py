"""One-sided label smoothing (Salimans et al. 2016)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from medudl.losses.adversarial import Loss, discriminator_loss
from medudl.tricks.adversarial import AdversarialTrick, Duel


class OneSidedLabelSmoothing(AdversarialTrick):
    """One-sided label smoothing (Salimans et al. 2016): the discriminator is to call real images `target`, not 1.

        best D = target * p_data / (p_data + p_model)

    The target of generated images stays 0: raised as well, it would put p_model into the numerator and hold the
    generator where it makes what no data resemble. The generator's own target stays 1. With the least squares loss the
    target is the score itself. Losses without targets (hinge, wasserstein) are refused.
    """

    def __init__(self, *, target: Annotated[float, Field(gt=0.5, le=1)] = 0.9) -> None:
        self.target = target

    def check(self, loss: Loss) -> None:
        """UserError: a loss that has no targets."""
        nothing = torch.zeros(1)
        discriminator_loss(loss, nothing, nothing, real_target=self.target)

    def targets(self, duel: Duel) -> tuple[float, float]:
        """The real one alone changes."""
        return self.target, duel.targets[1]
