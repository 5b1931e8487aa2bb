"""Experience replay: what was, is shown again, so that a game does not go round in circles."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.config import nearest
from medudl.errors import UserError
from medudl.tricks.adversarial import AdversarialTrick, Duel, Weights


class ImageReplay(AdversarialTrick):
    """Image replay (Shrivastava et al. 2017): past generations among the generated images of the discriminator's turn.

    A pool of `size` images for each discriminator. Until it is full, every generated image goes in and is shown as it
    is. From then on each is, with probability `share`, replaced by an image drawn from the pool, whose place it takes;
    the others are shown and not kept. No place of the pool gives twice in one turn.

    An image keeps the condition it was made for. Nothing of a patient is in the pool, only what was generated.
    """

    def __init__(
        self, *, size: Annotated[int, Field(ge=1)] = 50, share: Annotated[float, Field(gt=0, le=1)] = 0.5
    ) -> None:
        self.size, self.share = size, share
        self.pools: dict[str, Pool] = {}

    def fakes(self, duel: Duel, fake: Tensor) -> Tensor:
        """(B, C, *S) -> the same, some of them older. Sets the duel's `fake_condition` where there are conditions."""
        condition = duel.condition if duel.fake_condition is None else duel.fake_condition
        items = {"image": fake} if condition is None else {"image": fake, "condition": condition}
        pool = self.pools.setdefault(duel.name, Pool(self.size))
        shown = pool.exchange({name: item.detach() for name, item in items.items()}, self.share)
        duel.fake_condition = shown.get("condition", duel.fake_condition)
        return shown["image"]

    def state(self) -> dict[str, object]:
        """The pools."""
        return {name: {"count": pool.count, "kept": pool.kept} for name, pool in self.pools.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` gave."""
        self.pools = {name: Pool(self.size, saved["kept"], saved["count"]) for name, saved in state.items()}


class Pool:
    """`size` past items, each a row of some tensors (an image and its condition), allocated once.

    kept: (size, ...) each, of which the first `count` rows are filled.
    """

    def __init__(self, size: int, kept: Mapping[str, Tensor] | None = None, count: int = 0) -> None:
        self.size, self.kept, self.count = size, dict(kept or {}), count

    def exchange(self, items: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Put some of the new items (B, ...) in, and give (B, ...): new ones, and what left the pool for them."""
        for name, item in items.items():
            kept = self.kept.get(name)
            self.kept[name] = item.new_zeros(self.size, *item.shape[1:]) if kept is None else kept.to(item.device)
        first = min(len(next(iter(items.values()))), self.size - self.count)
        for name, item in items.items():
            self.kept[name][self.count : self.count + first] = item[:first]
        full, self.count = self.count == self.size, self.count + first
        return self._swap(items, share) if full else {name: item.clone() for name, item in items.items()}

    def _swap(self, items: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        # Drawn on the CPU, so that how many are exchanged is known without waiting for a GPU.
        batch = len(next(iter(items.values())))
        rows = torch.nonzero(torch.rand(batch) < share).flatten()[: self.size]
        places = torch.randperm(self.size)[: len(rows)]
        shown = {}
        for name, item in items.items():
            kept, rows, places = self.kept[name], rows.to(item.device), places.to(item.device)
            shown[name] = item.clone()
            shown[name][rows] = kept[places].to(item.dtype)
            kept[places] = item[rows].to(kept.dtype)
        return shown


class PlayerReplay(AdversarialTrick):
    """Replay of past players (Chintala et al. 2016, How to train a GAN): at times a player meets a past opponent.

    A copy of each player is kept after every `every` of its updates, the last `keep` of them. Of every `cycle` turns
    (`every`, where none is given) that a player has against an opponent, the first `steps` are against one of the
    opponent's copies, drawn for each cycle, old and new as often. Counts alone decide, so every rank does the same.

    One past opponent is a delay; many of them, met in turn, are the mean of where the game has been. The generator's
    past calmed a game that goes round where every * keep updates were several rounds, past and present took turns
    (cycle 2, steps 1) and the discriminator was slow enough to average what it met. With turns against the past in
    blocks, or a past shorter than a round, it gained far less or did harm; the discriminator's past alone did harm, and
    a game that rests may begin to go round. Figures: docs/techniques.md.

    players: whose past is kept, none named for all. where: copies lie on the `device`, or on the `cpu` to save its
    memory. Copies hold buffers too (running statistics), and a turn against a copy never changes it.
    """

    def __init__(
        self,
        *,
        every: Annotated[int, Field(ge=1)] = 100,
        keep: Annotated[int, Field(ge=1)] = 5,
        steps: Annotated[int, Field(ge=1)] = 10,
        cycle: Annotated[int, Field(ge=1)] | None = None,
        players: tuple[str, ...] = (),
        where: Literal["device", "cpu"] = "device",
    ) -> None:
        self.every, self.keep, self.steps, self.players, self.where = every, keep, steps, players, where
        self.cycle = every if cycle is None else cycle
        if steps > self.cycle:
            what = "every" if cycle is None else "cycle"
            raise UserError(f"tricks: player_replay: steps {steps} of {what} {self.cycle}; choose steps up to {what}")
        self.copies: dict[str, list[dict[str, Tensor]]] = {}
        self._updates: dict[str, int] = {}
        self._turns: dict[str, int] = {}  # of the opponents of each
        self._modules: Mapping[str, nn.Module] = {}

    def setup(self, players: Mapping[str, nn.Module]) -> None:
        """UserError: this method has no such player."""
        for name in self.players:
            if name not in players:
                raise UserError(f"tricks: player_replay keeps player {name}, which this method lacks; "
                                f"{nearest(name, list(players))}")  # fmt: skip
        self._modules = {name: players[name] for name in self.players or players}

    @torch.no_grad()
    def after_update(self, player: str, module: nn.Module) -> None:
        """Keep a copy when it is time, in place of the oldest."""
        if player not in self._modules:
            return
        self._updates[player] = self._updates.get(player, 0) + 1
        number, rest = divmod(self._updates[player], self.every)
        if rest:
            return
        kept, place = self.copies.setdefault(player, []), (number - 1) % self.keep
        kept[place : place + 1] = [{name: self._stored(tensor) for name, tensor in _tensors(module)}]

    @torch.no_grad()
    def stand_in(self, player: str) -> Weights | None:
        """A past one in the first `steps` of every `cycle` turns, once there is one; called once a turn."""
        if player not in self._modules:
            return None
        number, turn = divmod(self._turns.get(player, 0), self.cycle)
        self._turns[player] = self._turns.get(player, 0) + 1
        kept = self.copies.get(player)
        if not kept or turn >= self.steps:
            return None
        # One after another would meet the same distance back each time, which is a delay and no memory.
        chosen = random.Random(number).choice(kept)
        # Cloned, since layers write into the buffers they are given, and the copy is to stay what it was.
        return {name: tensor.to(self._device(player), copy=True) for name, tensor in chosen.items()}

    def state(self) -> dict[str, object]:
        """Copies and counts."""
        return {"copies": self.copies, "updates": self._updates, "turns": self._turns}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` gave."""
        self._updates, self._turns = dict(state["updates"]), dict(state["turns"])
        self.copies = {
            player: [{name: self._stored(t.to(self._device(player))) for name, t in copy.items()} for copy in kept]
            for player, kept in state["copies"].items()
        }

    def _device(self, player: str) -> torch.device:
        return next(self._modules[player].parameters()).device

    def _stored(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to("cpu", copy=True) if self.where == "cpu" else tensor.detach().clone()


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]
