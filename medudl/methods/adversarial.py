"""What methods with a discriminator share: a turn of either player, with the tricks of the config in it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, cast

from torch import Tensor, nn

from medudl.errors import UserError
from medudl.losses.adversarial import Loss
from medudl.methods.method import Method, Objective
from medudl.tricks.adversarial import AdversarialTrick, Duel, Weights
from medudl.tricks.trick import Trick


class Adversarial(Method):
    """Base of the methods in which a discriminator D judges what a generator G makes (Goodfellow et al. 2014).

    loss: of both, see losses/adversarial.py. A subclass makes its duels with `duel` and yields what
    `discriminator_turn` and `generator_turn` give; tricks arrive by `join` and act inside these.
    """

    may_collapse: ClassVar[bool] = True

    def __init__(self, shape: tuple[int, ...], loss: Loss) -> None:
        super().__init__(shape)
        self.loss = loss
        self.tricks: list[AdversarialTrick] = []

    @classmethod
    def check_tricks(cls, tricks: Sequence[Trick], options: Mapping[str, object]) -> None:
        """UserError: two that exclude each other, or one that makes no sense with the loss."""
        acting = [trick for trick in tricks if isinstance(trick, AdversarialTrick)]
        replacing = [type(trick).__name__ for trick in acting if trick.replaces]
        if len(replacing) > 1:
            raise UserError(f"tricks: {' and '.join(replacing)} both replace the generator's loss; keep one of them")
        loss = options.get("loss", inspect.signature(cls).parameters["loss"].default)
        for trick in acting:
            trick.check(cast("Loss", loss))

    def join(self, tricks: Sequence[Trick]) -> None:
        """Take those of the tricks that act inside a turn."""
        self.tricks = [trick for trick in tricks if isinstance(trick, AdversarialTrick)]

    def duel(
        self, name: str, opponent: str, discriminator: nn.Module, real: Tensor, fake: Tensor,
        condition: Tensor | None = None,
    ) -> Duel:  # fmt: skip
        """A turn of player `name` against `opponent`; real, fake: (B, C, *S) in [-1, 1]."""
        return Duel(name, opponent, discriminator, self.loss, real, fake, condition, None, self.tricks)

    def discriminator_turn(self, duel: Duel) -> Objective:
        """What the discriminator minimises now. `duel.fake` is cut from its graph."""
        duel.fake = duel.fake.detach()
        for trick in self.tricks:
            duel.fake = trick.fakes(duel, duel.fake)
            duel.targets = trick.targets(duel)
        loss, real, fake = duel.verdict()
        parts = {"real_logit": real.detach().mean(), "fake_logit": fake.detach().mean()}
        for trick in self.tricks:
            for name, term in trick.discriminator_terms(duel).items():
                loss, parts[name] = loss + term, term.detach()
            trick.seen(duel, real.detach(), fake.detach())
            parts.update(trick.figures(duel))
        return Objective(duel.name, loss, parts)

    def generator_turn(self, duel: Duel) -> Objective:
        """What the generator minimises now, as far as this discriminator is concerned. `duel.fake` has its graph."""
        with frozen(duel.discriminator):
            losses = [trick.generator_loss(duel) for trick in self.tricks]
            loss = next((own for own in losses if own is not None), None)
            if loss is None:
                loss = duel.generator_loss(self.stand_in(duel.name))
            parts = {"adversarial": loss.detach()}
            for trick in self.tricks:
                for name, term in trick.generator_terms(duel).items():
                    loss, parts[name] = loss + term, term.detach()
        return Objective(duel.opponent, loss, parts)

    def stand_in(self, player: str) -> Weights | None:
        """Past weights of a player for its opponent's turn, where a trick gives them."""
        return next((found for trick in self.tricks if (found := trick.stand_in(player)) is not None), None)


def signed(image: Tensor) -> Tensor:
    """From [0, 1] to [-1, 1], what a tanh can reach; brighter voxels are clipped."""
    return (2 * image - 1).clamp(-1, 1)


def unsigned(image: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1], in float32."""
    return (image.float() + 1) / 2


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within it the module's parameters need no gradient: a graph recorded here computes none for them."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
