"""Instance norm (Ulyanov et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from torch import nn

from medudl.networks.instance_norm import InstanceNormalisation
from medudl.tricks.layers import replace_batch_norm, take_scale
from medudl.tricks.trick import Trick


class InstanceNorm(Trick):
    """Instance norm (Ulyanov et al. 2016), in the place of every batch norm of the players.

        y = (x - m) / sqrt(v + eps) * weight + bias,   m, v: mean and variance of one channel of one image

    What becomes of an image does not depend on its mates, nor on whether it is trained on; its contrast is lost.
    affine: whether there is a weight and a bias; they begin from those of the batch norm.
    """

    def __init__(
        self,
        *,
        affine: bool = True,
        players: Annotated[Sequence[str], Field(min_length=1)] = ("generator", "discriminator"),
    ) -> None:
        self.affine, self.players = affine, tuple(players)

    def build(self, players: Mapping[str, nn.Module]) -> None:
        """Replace the layers. UserError: no such player, or one without a batch norm."""
        replace_batch_norm(
            players, self.players, "instance_norm",
            lambda old: take_scale(InstanceNormalisation(old.num_features, self.affine, old.eps), old),
        )  # fmt: skip
