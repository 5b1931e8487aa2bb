"""Tricks by name, and weight clipping."""

import pytest
import torch
from torch import nn

from medudl.errors import UserError
from medudl.tricks import TRICKS, build_tricks
from medudl.tricks.trick import Trick
from medudl.tricks.weight_clipping import WeightClipping


def test_a_trick_does_nothing_unless_told() -> None:
    trick, module = Trick(), nn.Linear(2, 2)
    before = module.weight.detach().clone()
    batch = {"image": torch.zeros(1, 1, 2, 2)}
    trick.setup({"player": module})
    assert trick.before_step(batch) is batch  # type: ignore[arg-type, comparison-overlap]
    assert trick.penalty("player", module) == {}
    trick.after_update("player", module)
    trick.load_state(trick.state())
    assert torch.equal(module.weight, before)


def test_every_trick_of_the_table_is_built() -> None:
    for trick in build_tricks([{"name": name} for name in TRICKS]):
        assert isinstance(trick, Trick)


def test_options_arrive_in_order() -> None:
    first, second = build_tricks([{"name": "weight_clipping", "limit": "1e-1"}, {"name": "weight_clipping"}])
    assert isinstance(first, WeightClipping) and isinstance(second, WeightClipping)
    assert (first.limit, second.limit) == (0.1, 0.01)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "weight_cliping"}, "unknown trick weight_cliping; did you mean weight_clipping?"),
        ({"name": "weight_clipping", "limt": 1}, r"unknown key tricks\[0\].limt; did you mean limit?"),
        ({"name": "weight_clipping", "limit": 0}, r"tricks\[0\].limit: .*greater than 0, got 0"),
        ({"limit": 0}, r"tricks\[0\].name is missing"),
    ],
)
def test_slips_are_named(entry: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_tricks([entry])


def test_clipping_holds_after_the_step_and_for_its_player_only() -> None:
    critic, generator = nn.Linear(4, 4), nn.Linear(4, 4)
    clipping = WeightClipping(player="critic", limit=0.05)
    clipping.setup({"critic": critic, "generator": generator})
    optimiser = torch.optim.SGD(critic.parameters(), lr=10.0)
    critic(torch.ones(1, 4)).sum().backward()
    optimiser.step()
    untouched = generator.weight.detach().clone()
    kept = critic.weight
    assert critic.weight.abs().max() > 0.05
    clipping.after_update("generator", generator)
    assert critic.weight.abs().max() > 0.05
    clipping.after_update("critic", critic)
    assert all(p.abs().max() <= 0.05 for p in critic.parameters())
    assert critic.weight is kept and critic.weight.requires_grad
    assert torch.equal(generator.weight, untouched)


def test_a_player_that_is_not_there() -> None:
    with pytest.raises(UserError, match="changes player critics, which this method lacks; did you mean critic?"):
        WeightClipping(player="critics").setup({"critic": nn.Linear(1, 1), "generator": nn.Linear(1, 1)})
