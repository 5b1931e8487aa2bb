"""Two batch norms in the discriminator: one for real images, one for generated ones."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from medudl.networks.separate_batch_norm import SeparateBatchNormalisation
from medudl.tricks.adversarial import AdversarialTrick, Duel
from medudl.tricks.layers import replace_batch_norm, take_scale


class SeparateBatchNorm(AdversarialTrick):
    """Two batch norms in the discriminator (Chintala et al. 2016, How to train a GAN): real and generated apart.

    Real and generated images go through it in batches of their own, so in training each kind is normalised with its
    own statistics. Here the running statistics, which evaluation goes by, are kept apart too: a plain batch norm would
    keep a mixture that fits neither. Weights and biases are shared. Outside a turn an image counts as real, as what a
    trained discriminator is asked about is; interpolations of the two kinds move no running statistics.

    players: discriminators whose batch norms are replaced.
    """

    def __init__(self, *, players: Annotated[Sequence[str], Field(min_length=1)] = ("discriminator",)) -> None:
        self.players = tuple(players)
        self._duel: weakref.ReferenceType[Duel] | None = None

    def build(self, players: Mapping[str, nn.Module]) -> None:
        """Replace the layers. UserError: no such player, or one without a batch norm."""
        replace_batch_norm(
            players, self.players, "separate_batch_norm",
            lambda old: take_scale(
                SeparateBatchNormalisation(old.num_features, self.asked, old.eps, old.momentum or 0.1), old
            ),
        )  # fmt: skip

    def shown(self, duel: Duel, image: Tensor) -> Tensor:
        """Remember whose question the layers are answering, as long as it is asked."""
        self._duel = weakref.ref(duel)
        return image

    def asked(self) -> Literal["real", "generated"] | None:
        """The kind of the batch that goes through the discriminator now."""
        duel = self._duel() if self._duel is not None else None
        return None if duel is None else duel.asked
