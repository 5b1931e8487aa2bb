"""Spectral norm (Miyato et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from medudl.errors import UserError
from medudl.tricks.layers import CONVOLUTIONS, chosen
from medudl.tricks.trick import Trick


class SpectralNorm(Trick):
    """Spectral norm (Miyato et al. 2018) of every convolution and dense layer of the players.

        W <- W / sigma(W),   sigma: largest singular value of W as a matrix, channels out x all else

    sigma is followed by `iterations` rounds of power iteration at each training pass, so it lags while weights move.
    Dense layers are then 1-Lipschitz. A convolution is sqrt(m)-Lipschitz, where an input voxel is part of m outputs at
    most: m = ceil(kernel / stride)^dims, 4 for 4 x 4 kernels of stride 2. Batch norm between them undoes the bound.
    """

    def __init__(
        self,
        *,
        iterations: Annotated[int, Field(ge=1)] = 1,
        players: Annotated[Sequence[str], Field(min_length=1)] = ("discriminator",),
    ) -> None:
        self.iterations, self.players = iterations, tuple(players)

    def build(self, players: Mapping[str, nn.Module]) -> None:
        """Normalise the layers. UserError: no such player, or one without such a layer."""
        for name, network in chosen(players, self.players, "spectral_norm").items():
            layers = [m for m in network.modules() if isinstance(m, (nn.Linear, *CONVOLUTIONS))]
            if not layers:
                raise UserError(
                    f"tricks: spectral_norm divides the weights of convolutions and dense layers, and {name} has"
                    " none; leave it out of its players"
                )
            if not all(layer.weight.any() for layer in layers):
                raise UserError(
                    f"tricks: spectral_norm divides weights by their largest singular value, and a layer of {name}"
                    " begins with weights of 0; leave it out of its players"
                )
            for layer in layers:
                spectral_norm(layer, n_power_iterations=self.iterations)
