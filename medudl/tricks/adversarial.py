"""The contract of a trick in a game of a generator against a discriminator, and what it is shown of a turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from medudl.losses.adversarial import Loss, discriminator_loss, generator_loss
from medudl.tricks.trick import Trick

Weights = Mapping[str, Tensor]  # by parameter or buffer name


class AdversarialTrick(Trick):
    """Base of the tricks that only a method with a discriminator can take; others refuse them with the reason.

    The method calls, for each trick in the order of the config: `check` once; `fakes`, `stand_in`, `targets`,
    `discriminator_terms`, `seen` and `figures` in a discriminator's turn; `stand_in`, `generator_loss` and
    `generator_terms` in a generator's; `shown` on every image that a discriminator is asked about, in both.

    A method may have several discriminators, each a player of its own name: `duel.name` says whose turn it is, and
    what a trick remembers (pools, statistics) it keeps for each name. What is random is drawn from torch's generator.
    """

    replaces: ClassVar[bool] = False  # `generator_loss` stands in for the method's own; one such trick at most

    def check(self, loss: Loss) -> None:
        """UserError, with the reason: this trick makes no sense beside the adversarial loss of the method."""

    def targets(self, duel: Duel) -> tuple[float, float]:
        """What the discriminator is to answer on real and on generated images, in its own turn."""
        return duel.targets

    def fakes(self, duel: Duel, fake: Tensor) -> Tensor:
        """What the discriminator is shown as generated in its own turn: (B, C, *S) -> (B, C, *S), without a graph."""
        return fake

    def shown(self, duel: Duel, image: Tensor) -> Tensor:
        """What the discriminator is shown of an image, real or generated: (B, C, *S) -> the same; differentiable."""
        return image

    def stand_in(self, player: str) -> Weights | None:
        """Weights of `player` to be used in its opponent's turn instead of its present ones; None: the present ones."""
        return None

    def discriminator_terms(self, duel: Duel) -> dict[str, Tensor]:
        """{name: scalar with a graph}, ADDED to the discriminator's loss and logged by name."""
        return {}

    def generator_loss(self, duel: Duel) -> Tensor | None:
        """A scalar with a graph in place of the generator's loss (where `replaces`), or None."""
        return None

    def generator_terms(self, duel: Duel) -> dict[str, Tensor]:
        """{name: scalar with a graph}, ADDED to the generator's loss and logged by name."""
        return {}

    def figures(self, duel: Duel) -> dict[str, Tensor]:
        """{name: scalar} for the log of a discriminator's turn, added to no loss; called after `seen`."""
        return {}

    def seen(self, duel: Duel, real: Tensor, fake: Tensor) -> None:
        """The discriminator's logits in its own turn, without a graph: (B,) or (B, scales, *s) each."""


class Discriminator(Protocol):
    """What a discriminator's network offers. condition: (B, K) or None, as the network was made for."""

    def __call__(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits: (B, C, *S) -> (B,) or, of patches, (B, scales, *s)."""

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """What its hidden layers give, first to last: (B, K_i, *s_i) or (B, K_i) each."""


@dataclass
class Duel:
    """One turn: a discriminator, and the images that it is to tell apart.

    name: the discriminator's player; opponent: the generator's. real, fake: (B, C, *S) in [-1, 1]; in the generator's
    turn `fake` carries its graph, in the discriminator's none. condition: (B, K), for both.
    """

    name: str
    opponent: str
    discriminator: nn.Module
    loss: Loss
    real: Tensor
    fake: Tensor
    condition: Tensor | None = None
    fake_condition: Tensor | None = None  # of the generated images, where it is another
    tricks: Sequence[AdversarialTrick] = ()
    targets: tuple[float, float] = field(default=(1.0, 0.0))
    asked: Literal["real", "generated"] | None = None  # what goes through the discriminator now; None: a mixture

    def judge(self, image: Tensor, weights: Weights | None = None, condition: Tensor | None = None) -> Tensor:
        """Logits of an image as the tricks show it: (B, C, *S) -> (B,) or (B, scales, *s).

        weights: in place of the discriminator's own, with their graph (unrolling). condition: default the real ones'.
        """
        with self._asking(image) as shown:
            given = (shown, self.condition if condition is None else condition)
            if weights is None:
                logits: Tensor = self.discriminator(*given)
                return logits
            found: Tensor = functional_call(self.discriminator, dict(weights), given)
            return found

    def discriminator_loss(self, weights: Weights | None = None) -> Tensor:
        """What the discriminator minimises on `real` and `fake`, without the tricks' terms: a scalar."""
        return self.verdict(weights)[0]

    def verdict(self, weights: Weights | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The same, and the logits of the real and of the generated images that it was made from.

        The two kinds go through the network apart: their statistics (batch norm, minibatch discrimination) never mix.
        """
        real = self.judge(self.real, weights)
        fake = self.judge(self.fake, weights, self.fake_condition)
        wanted, unwanted = self.targets
        loss = discriminator_loss(self.loss, real, fake, real_target=wanted, fake_target=unwanted)
        return loss.mean(), real, fake

    def generator_loss(self, weights: Weights | None = None) -> Tensor:
        """What the generator minimises on `fake`, without the tricks' terms: a scalar."""
        return generator_loss(self.loss, self.judge(self.fake, weights, self.fake_condition)).mean()

    def features(self, image: Tensor) -> list[Tensor]:
        """The discriminator's hidden layers on an image as the tricks show it."""
        network: Discriminator = self.discriminator  # type: ignore[assignment]
        with self._asking(image) as shown:
            return network.features(shown, self.condition)

    @contextmanager
    def _asking(self, image: Tensor) -> Iterator[Tensor]:
        """The image as the tricks show it; within, `asked` says which kind it is."""
        self.asked = "real" if image is self.real else "generated" if image is self.fake else None
        try:
            for trick in self.tricks:
                image = trick.shown(self, image)
            yield image
        finally:
            self.asked = None


def full_precision(image: Tensor) -> AbstractContextManager[None]:
    """Within it the loop's autocast is off, for second derivatives on `image`'s device."""
    off: AbstractContextManager[None] = torch.autocast(image.device.type, enabled=False)
    return off
