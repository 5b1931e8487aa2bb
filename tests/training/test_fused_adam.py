from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from medudl.training.fused_adam import FusedAdam

STEPS = 7


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 1))


def moved(
    net: nn.Sequential, optimiser: torch.optim.Optimizer, steps: range, without: int | None = None
) -> list[Tensor]:
    """The weights after these steps; the second layer has no gradient at step `without`."""
    for step in steps:
        optimiser.param_groups[0]["lr"] = 0.1 / (1 + step)
        optimiser.zero_grad()
        net(torch.full((3, 5), step + 1.0)).square().sum().backward()
        if step == without:
            net[1].weight.grad = None
        optimiser.step()
    return [parameter.detach().clone() for parameter in net.parameters()]


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("without", [None, 0, 3])
def test_moves_weights_as_torch_does_bit_by_bit(decoupled: bool, without: int | None) -> None:
    torchs: type[torch.optim.Optimizer] = torch.optim.AdamW if decoupled else torch.optim.Adam
    settings = {"betas": (0.5, 0.9), "weight_decay": 0.01}
    one, other = network(), network()
    ours = FusedAdam(list(one.parameters()), 0.1, decoupled_weight_decay=decoupled, **settings)
    theirs = torchs(other.parameters(), 0.1, fused=True, **settings)  # type: ignore[call-arg]
    after, expected = (moved(n, o, range(STEPS), without) for n, o in ((one, ours), (other, theirs)))
    assert all(torch.equal(a, b) for a, b in zip(after, expected, strict=True))
    assert not torch.equal(after[0], next(network().parameters()))


def test_goes_on_from_a_loaded_state() -> None:
    whole = network()
    expected = moved(whole, FusedAdam(list(whole.parameters()), 0.1), range(STEPS))
    half = network()
    first = FusedAdam(list(half.parameters()), 0.1)
    moved(half, first, range(3))
    second = FusedAdam(list(half.parameters()), 0.1)
    moved(copy.deepcopy(half), second, range(2))  # it has lists of its own, which must go
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    after = moved(half, second, range(3, STEPS))
    assert all(torch.equal(a, b) for a, b in zip(after, expected, strict=True))
