"""Virtual batch norm (Salimans et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from medudl.networks.virtual_batch_norm import Reference, VirtualBatchNormalisation
from medudl.tricks.adversarial import AdversarialTrick, Duel
from medudl.tricks.layers import replace_batch_norm, take_scale


class VirtualBatchNorm(AdversarialTrick):
    """Virtual batch norm (Salimans et al. 2016), in the place of every batch norm of the players.

        y_i = (x_i - m_i) / sqrt(v_i + eps) * weight + bias,   m_i, v_i: mean, variance of R and x_i together

    R is taken from the first training batch, once, and goes through the network beside every later batch, so that a
    step costs as much as one with `reference` images more for each of them. All ranks have the R of the first.

    R of a discriminator: real images as it is given them, before other tricks change them. They are PATIENTS' IMAGES:
    they lie in the checkpoint alone, never among the weights, and an opened run asks such a discriminator nothing.
    R of a generator: the codes of its first call; they lie among the weights, and samples need them.

    reference: images in R, at most as many as a batch has. players: those whose batch norms are replaced.
    """

    def __init__(
        self,
        *,
        reference: Annotated[int, Field(ge=1)] = 64,
        players: Annotated[Sequence[str], Field(min_length=1)] = ("generator", "discriminator"),
    ) -> None:
        self.reference, self.players = reference, tuple(players)
        self.references: dict[str, Reference] = {}

    def build(self, players: Mapping[str, nn.Module]) -> None:
        """Replace the layers. UserError: no such player, or one without a batch norm."""
        own = {n: Reference(players[n], self.reference, n) for n in self.players if n in players}
        for name in self.players:
            made = replace_batch_norm(
                players, [name], "virtual_batch_norm",
                lambda old: take_scale(VirtualBatchNormalisation(old.num_features, own[name], old.eps), old),  # noqa: B023
            )  # fmt: skip
            made[name][0].reference = own[name]  # the first owns it, so that it is saved and moved once
        self.references = own

    def fakes(self, duel: Duel, fake: Tensor) -> Tensor:
        """Before a discriminator's first turn its real images become R."""
        self._meet(duel)
        return fake

    def generator_loss(self, duel: Duel) -> None:
        """The same where the generator has the first turn."""
        self._meet(duel)

    def state(self) -> dict[str, object]:
        """The images of R."""
        return {name: list(own.images) for name, own in self.references.items() if own.images is not None}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` gave."""
        for name, own in self.references.items():
            own.images = tuple(state[name]) if name in state else None

    def _meet(self, duel: Duel) -> None:
        if duel.name in self.references:
            self.references[duel.name].show(duel.real, duel.condition)
