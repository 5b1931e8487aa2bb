"""The loop does what a flow says, in its order, and calls the tricks where they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.config import Optimiser
from medudl.methods.method import Method, Objective
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks.trick import Trick

SGD = Optimiser.model_validate({"name": "sgd", "lr": 1.0, "betas": [0.0, 0.0]})


class Pair(Method):
    """Two numbers: `a` goes down by 1 twice, then `b` follows a's square by autograd, then a is set by hand."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1))
        self.a = nn.ParameterDict({"w": torch.tensor(5.0)})
        self.b = nn.ParameterDict({"w": torch.tensor(0.0)})
        self.seen: list[float] = []

    def players(self) -> dict[str, nn.Module]:
        return {"a": self.a, "b": self.b}

    def step(self, batch: Batch) -> Iterator[Objective]:
        for _ in range(2):
            yield Objective("a", self.a.w * batch["image"].mean())
            self.seen.append(self.a.w.item())
        loss = -self.b.w * self.a.w.square()
        yield Objective("b", loss, {"square": loss.detach()})
        self.seen.append(self.b.w.item())
        yield Objective("a", None, {}, {"w": torch.tensor(0.5)})
        self.seen.append(self.a.w.item())

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": batch["image"].flatten(1).mean(1)}


class Recorder(Trick):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def before_step(self, batch: Batch) -> Batch:
        self.calls.append("before")
        return {**batch, "image": batch["image"] * 2}

    def penalty(self, player: str, module: nn.Module) -> dict[str, Tensor]:
        self.calls.append(f"penalty {player}")
        return {"pull": 10 * next(module.parameters())} if player == "b" else {}

    def after_update(self, player: str, module: nn.Module) -> None:
        self.calls.append(f"after {player}")


def run(tricks: list[Trick]) -> tuple[Pair, list[Mapping[str, Tensor]], list[float | None]]:
    fabric, method = Fabric(accelerator="cpu", devices=1), Pair()
    players = {name: Player(fabric, name, module, SGD) for name, module in method.players().items()}
    batch: Batch = {"image": torch.ones(2, 1, 1, 1), "id": ["x", "y"]}
    turns = train_step(fabric, method, players, tricks, batch)
    assert [turn.player for turn in turns] == ["a", "a", "b", "a"]
    return method, [t.parts for t in turns], [None if t.loss is None else float(t.loss) for t in turns]


def test_each_turn_is_done_before_the_flow_goes_on() -> None:
    method, parts, losses = run([])
    # b's backward leaves a gradient on a, which a's next turn must not see.
    assert method.seen == [4.0, 3.0, 9.0, 2.5]
    assert losses == [5.0, 4.0, 0.0, None]
    assert list(parts[2]) == ["square"] and not parts[2]["square"].requires_grad


def test_tricks_are_called_where_they_say() -> None:
    trick = Recorder()
    method, parts, losses = run([trick])
    assert trick.calls == [
        "before", "penalty a", "after a", "penalty a", "after a", "penalty b", "after b", "after a"
    ]  # fmt: skip
    assert method.seen == [3.0, 1.0, -9.0, 0.5], "the batch was doubled, b was pulled by 10"
    assert list(parts[2]) == ["square", "pull"]
