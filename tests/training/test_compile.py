"""`train.compile`: the networks that a step calls are compiled, dicts of networks among them, and learn as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import config, go, new_run, trainer, weights
from torch import nn

NETWORKS = {"pix2pix": ("generator", "discriminator"),
            "cyclegan": ("generator.target", "generator.source", "judges.target", "judges.source")}  # fmt: skip


# torch's tracer asks every tensor it is given for its gradient, made ones too, and is warned of it by torch.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


class Backend:
    """Runs each graph as it is, and notes which it was given and which ran."""

    def __init__(self) -> None:
        self.made: list[torch.fx.GraphModule] = []
        self.ran: set[int] = set()

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        number = len(self.made)
        self.made.append(graph)

        def run(*values: Any) -> Any:
            self.ran.add(number)
            return graph.forward(*values)

        return run


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """In the place of inductor, which would start a C++ compiler for each graph."""
    found, real = Backend(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda call, **settings: real(call, **{**settings, "backend": found}))
    torch._dynamo.reset()
    yield found
    torch._dynamo.reset()


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_compiled_translator_learns_what_it_would_have_learnt(name: str, tmp_path: Path, backend: Backend) -> None:
    after = {}
    for compiled in (False, True):
        at_work = trainer(new_run(tmp_path / str(compiled), config(name, {"steps": 2, "compile": compiled})))
        before = weights(at_work)
        go(at_work)
        after[compiled] = weights(at_work)
        assert bool(backend.made) is compiled
        found = {part for part, module in at_work.method.named_modules() if module._compiled_call_impl is not None}
        assert found == (set(NETWORKS[name]) if compiled else set())
        assert any(not torch.equal(before[key], after[compiled][key]) for key in before)
    assert len(backend.ran) >= len(NETWORKS[name])
    worst = max(float((after[True][key] - after[False][key]).abs().max()) for key in after[True])
    print(
        f"\n{name}, 2 steps: largest difference of a weight, compiled from not: {worst:.1e}; {len(backend.ran)} graphs"
    )
    assert worst < 1e-6


def test_a_player_that_is_one_network_is_compiled_whole(tmp_path: Path, backend: Backend) -> None:
    at_work = trainer(new_run(tmp_path / "run", config("gan", {"steps": 2, "compile": True})))
    assert all(player._compiled_call_impl is not None for player in at_work.method.players().values())
    assert isinstance(at_work.method, nn.Module) and at_work.method._compiled_call_impl is None
