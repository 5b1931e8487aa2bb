"""Weight clipping (Arjovsky et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from medudl.tricks.layers import chosen, is_meant
from medudl.tricks.trick import Trick


class WeightClipping(Trick):
    """Weight clipping (Arjovsky et al. 2017): after each of the critic's updates,

        w <- clip(w, -limit, limit)   for every parameter w of the player.

    It keeps the critic K-Lipschitz with a K nobody knows: distances come out on an unknown scale. Clipping happens
    AFTER the step; clipped before, the step would leave the box again.

    player: whose weights. limit: > 0, in the weights' own unit.
    """

    def __init__(self, *, player: str = "discriminator", limit: Annotated[float, Field(gt=0)] = 0.01) -> None:
        self.player = player
        self.limit = limit

    def setup(self, players: Mapping[str, nn.Module]) -> None:
        """UserError: this method has no such player."""
        chosen(players, [self.player], "weight_clipping")

    @torch.no_grad()
    def after_update(self, player: str, module: nn.Module) -> None:
        """Clip in place, so that compiled graphs and averages see the same tensors."""
        if is_meant(player, self.player):
            for weight in module.parameters():
                weight.clamp_(-self.limit, self.limit)
