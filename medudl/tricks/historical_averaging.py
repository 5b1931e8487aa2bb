"""Historical averaging (Salimans et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.tricks.layers import chosen
from medudl.tricks.trick import Trick


class HistoricalAveraging(Trick):
    """Historical averaging (Salimans et al. 2016): a player's loss grows with the distance to its own past,

        weight * || theta_t - (theta_0 + ... + theta_t) / (t + 1) ||^2

    which takes the turning out of a game that goes round its equilibrium. The mean follows each update of the player
    and counts as a constant in the gradient; it costs the weights' memory once more.

    players: whose, none named for all. weight: > 0, in the loss's unit by square of the weights'.
    """

    def __init__(self, *, weight: Annotated[float, Field(gt=0)] = 0.1, players: Sequence[str] = ()) -> None:
        self.weight, self.players = weight, tuple(players)
        self.means: dict[str, list[Tensor]] = {}
        self.counts: dict[str, int] = {}
        self._chosen: set[str] = set()

    def setup(self, players: Mapping[str, nn.Module]) -> None:
        """UserError: this method has no such player."""
        self._chosen = set(chosen(players, self.players or tuple(players), "historical_averaging"))

    def penalty(self, player: str, module: nn.Module) -> dict[str, Tensor]:
        """{"historical_averaging": weighted}."""
        if player not in self._chosen:
            return {}
        apart = [(p - m).square().sum() for p, m in zip(module.parameters(), self._mean(player, module), strict=True)]
        return {"historical_averaging": self.weight * torch.stack(apart).sum()}

    @torch.no_grad()
    def after_update(self, player: str, module: nn.Module) -> None:
        """Take the new weights into the mean: m <- m + (theta - m) / (t + 1)."""
        if player in self._chosen:
            mean = self._mean(player, module)
            self.counts[player] += 1
            torch._foreach_lerp_(mean, [p.detach() for p in module.parameters()], 1 / self.counts[player])

    def state(self) -> dict[str, object]:
        """Means and counts."""
        return {"means": self.means, "counts": self.counts}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` gave."""
        self.means = {name: [m.clone() for m in means] for name, means in state["means"].items()}
        self.counts = dict(state["counts"])

    def _mean(self, player: str, module: nn.Module) -> list[Tensor]:
        """It begins with the first weights, the 0th of the past."""
        parameters = list(module.parameters())
        if player not in self.means:
            self.means[player], self.counts[player] = [p.detach().clone() for p in parameters], 1
        self.means[player] = [m.to(p.device) for m, p in zip(self.means[player], parameters, strict=True)]
        return self.means[player]
