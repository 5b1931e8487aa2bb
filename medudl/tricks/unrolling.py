"""Unrolled GAN (Metz et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from medudl.errors import UserError
from medudl.tricks.adversarial import AdversarialTrick, Duel, full_precision

_TINY = 1e-8  # Adam's, beside a root of squares


class Unrolling(AdversarialTrick):
    """Unrolled GAN (Metz et al. 2017): the generator looks `steps` updates of the discriminator ahead.

        w_0 = D's weights,   w_{i+1} = w_i - rate * u(dL_D(w_i, G) / dw_i),   L = L_G(w_steps, G)

    L stands in for the generator's loss, and its gradient goes through every w_i: how D would answer a change of G is
    part of it. D itself is not moved, nor are its buffers: it takes its one step in its own turn.

    u: the gradient itself (sgd), or Adam's step (adam), whose averages begin where D's own gradients have brought
    them and go on within the graph. rate: in the unit of the weights' step; as D's own where both are of one kind.
    The inner steps minimise D's loss with the targets in force, without the terms that other tricks add. Computed in
    float32 (float64 stays), whatever the autocast. Costs memory and time in proportion to `steps`.
    """

    replaces = True

    def __init__(
        self,
        *,
        steps: Annotated[int, Field(ge=1)] = 5,
        rate: Annotated[float, Field(gt=0)] = 1e-3,
        optimiser: Literal["sgd", "adam"] = "adam",
        betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.5, 0.999),
    ) -> None:
        self.steps, self.rate, self.adam, self.betas = steps, rate, optimiser == "adam", betas
        self.moments: dict[str, Moments] = {}
        self._met: set[str] = set()  # discriminators

    def seen(self, duel: Duel, real: Tensor, fake: Tensor) -> None:
        """Meet a discriminator before its first update."""
        self._meet(duel)

    def generator_loss(self, duel: Duel) -> Tensor:
        """UserError: the discriminator has a layer whose second derivative is not to be had."""
        self._meet(duel)
        with full_precision(duel.fake):
            ahead = _ahead(duel)
            weights = {n: w.detach().clone().requires_grad_() for n, w in duel.discriminator.named_parameters()}
            moments = self.moments.get(duel.name, Moments.zeros(weights))
            for _ in range(self.steps):
                loss = ahead.discriminator_loss({**weights, **_buffers(duel)})
                slopes = dict(zip(weights, torch.autograd.grad(
                    loss, list(weights.values()), create_graph=True, materialize_grads=True
                ), strict=True))  # fmt: skip
                if self.adam:
                    moments = moments.after(slopes, self.betas)
                    slopes = moments.step(self.betas)
                weights = {n: w - self.rate * slopes[n] for n, w in weights.items()}
            return ahead.generator_loss({**weights, **_buffers(duel)})

    @torch.no_grad()
    def after_update(self, player: str, module: nn.Module) -> None:
        """Follow the gradients that D's own updates see, where Adam's averages begin from them."""
        if self.adam and player in self._met:
            slopes = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in module.named_parameters()}
            self.moments[player] = self.moments.get(player, Moments.zeros(slopes)).after(slopes, self.betas)

    def state(self) -> dict[str, object]:
        """Adam's averages."""
        followed = {n: {"count": m.count, "first": m.first, "second": m.second} for n, m in self.moments.items()}
        return {"moments": followed}

    def load_state(self, state: dict[str, object]) -> None:
        """Restore what `state` gave."""
        self.moments = {n: Moments(**kept) for n, kept in state["moments"].items()}  # type: ignore[attr-defined]

    def _meet(self, duel: Duel) -> None:
        if duel.name not in self._met:
            refuse_spectral_norm(duel)
            self._met.add(duel.name)


@dataclass(frozen=True)
class Moments:
    """Adam's running averages of a gradient and of its square, by parameter name, after `count` gradients."""

    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor]
    count: int = 0

    @classmethod
    def zeros(cls, like: Mapping[str, Tensor]) -> Moments:
        """Before the first gradient."""
        first, second = ({n: torch.zeros_like(w) for n, w in like.items()} for _ in range(2))
        return cls(first, second)

    def after(self, slopes: Mapping[str, Tensor], betas: tuple[float, float]) -> Moments:
        """New averages, with the graph of `slopes`."""
        a, b = betas
        first = {n: a * self.first[n].to(g) + (1 - a) * g for n, g in slopes.items()}
        second = {n: b * self.second[n].to(g) + (1 - b) * g.square() for n, g in slopes.items()}
        return Moments(first, second, self.count + 1)

    def step(self, betas: tuple[float, float]) -> dict[str, Tensor]:
        """What Adam subtracts, before its rate: m / sqrt(v), both corrected for their beginning at 0."""
        a, b = (1 - beta**self.count for beta in betas)
        # The tiny number is within the root, whose slope at 0 would be infinite.
        return {n: (m / a) / (self.second[n] / b + _TINY**2).sqrt() for n, m in self.first.items()}


def refuse_spectral_norm(duel: Duel) -> None:
    """UserError: spectral norm holds its singular vectors fixed, and how they turn is part of a second derivative."""
    for name, module in duel.discriminator.named_modules():
        hooked = any(isinstance(hook, SpectralNorm) for hook in module._forward_pre_hooks.values())
        lists = module.parametrizations.values() if parametrize.is_parametrized(module) else ()
        if hooked or any(isinstance(p, _SpectralNorm) for entries in lists for p in entries):  # type: ignore[union-attr]
            raise UserError(
                f"tricks: unrolling differentiates the steps of {duel.name}, but spectral norm ({name}) treats its"
                " singular vectors as constants there, so the gradient would be wrong; take one of the two away"
            )


def _ahead(duel: Duel) -> Duel:
    """The turn that the discriminator would have, on images that keep the generator's graph."""
    kind = torch.promote_types(duel.fake.dtype, torch.float32)
    ahead = replace(duel, real=duel.real.to(kind), fake=duel.fake.to(kind))
    for trick in duel.tricks:
        ahead.targets = trick.targets(ahead)
    return ahead


def _buffers(duel: Duel) -> dict[str, Tensor]:
    # Copies: layers write into their buffers (running statistics), and the discriminator's own must not move.
    return {n: b.clone() for n, b in duel.discriminator.named_buffers()}
