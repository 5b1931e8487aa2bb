"""Minibatch discrimination (Salimans et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from torch import nn

from medudl.errors import UserError
from medudl.networks.minibatch_discrimination import MinibatchHead
from medudl.tricks.layers import CONVOLUTIONS, chosen
from medudl.tricks.trick import Trick


class MinibatchDiscrimination(Trick):
    """Minibatch discrimination (Salimans et al. 2016): the discriminator sees how alike a batch's images are.

        D's last layer takes [f(x_i), o(x_i)],   o_b(i) = sum over j != i of exp(-|| M_ib - M_jb ||_1),   M_i = f(x_i) T

    A generator that makes one image over and over is told by it at once. f: what the last layer is given; a
    convolution takes its mean over space to the comparison, a dense layer all of it. Each turn's real and generated
    images are compared apart, each rank's and each call's batch on its own: a batch of one has no company, o = 0.

    kernels: b, comparisons. size: c, numbers that each compares. players: discriminators, each with a `head`.
    """

    def __init__(
        self,
        *,
        kernels: Annotated[int, Field(ge=1)] = 16,
        size: Annotated[int, Field(ge=1)] = 8,
        players: Annotated[Sequence[str], Field(min_length=1)] = ("discriminator",),
    ) -> None:
        self.kernels, self.size, self.players = kernels, size, tuple(players)

    def build(self, players: Mapping[str, nn.Module]) -> None:
        """Rebuild each head. UserError: no such player, or one without a last layer of its own."""
        for name, network in chosen(players, self.players, "minibatch_discrimination").items():
            head = getattr(network, "head", None)
            layers = head.modules() if isinstance(head, nn.Module) else ()
            first = next((layer for layer in layers if isinstance(layer, (nn.Linear, *CONVOLUTIONS))), None)
            if not isinstance(head, nn.Module) or first is None:
                raise UserError(
                    f"tricks: minibatch_discrimination joins the last layer of {name}, which has none of its own"
                    " (head); name a discriminator"
                )
            dense = isinstance(first, nn.Linear)
            inputs: int = getattr(first, "in_features" if dense else "in_channels")
            network.head = MinibatchHead(head, inputs, self.kernels, self.size, pooled=not dense)
