"""Historical averaging: its formula, and the game x*y, which goes round for ever without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.config import Optimiser, Train
from medudl.errors import UserError
from medudl.methods.method import Method, Objective
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks.historical_averaging import HistoricalAveraging

RATE, STEPS, START = 0.1, 2000, (1.0, 0.5)


class Scalar(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))


class Bilinear(Method):
    """x minimises x*y, y maximises it; the equilibrium is (0, 0), and neither has a reason to stay there."""

    def __init__(self, simultaneous: bool) -> None:
        super().__init__((1, 1, 1))
        self.x, self.y, self.simultaneous = Scalar(START[0]), Scalar(START[1]), simultaneous

    def players(self) -> dict[str, nn.Module]:
        return {"x": self.x, "y": self.y}

    def step(self, batch: Batch) -> Iterator[Objective]:
        x = self.x.value.detach().clone()
        yield Objective("x", self.x.value * self.y.value.detach())
        yield Objective("y", -self.y.value * (x if self.simultaneous else self.x.value.detach()))

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError


def radii(simultaneous: bool, weight: float | None, steps: int = STEPS) -> Tensor:
    """Distance from the equilibrium after each step, through the one loop with plain gradient descent."""
    method, fabric = Bilinear(simultaneous), launch(Train(steps=steps, device="cpu"))
    tricks = [] if weight is None else [HistoricalAveraging(weight=weight)]
    settings = Optimiser(name="sgd", lr=RATE, betas=(0.0, 0.999))
    players = {name: Player(fabric, name, module, settings) for name, module in method.players().items()}
    for trick in tricks:
        trick.setup(method.players())
    found = []
    for _ in range(steps):
        train_step(fabric, method, players, tricks, {"image": torch.zeros(1)}, lambda: False)
        found.append(torch.stack([method.x.value, method.y.value]).detach().norm())
    return torch.stack(found)


def test_alternating_updates_orbit_for_ever_without_it_and_simultaneous_ones_diverge() -> None:
    start = torch.tensor(START).norm()
    orbit = radii(simultaneous=False, weight=None, steps=1000) / start
    print(f"alternating, without: radius {orbit.min():.3f} to {orbit.max():.3f} of the first over 1000 steps")
    # An orbit keeps x^2 + y^2 - rate*x*y, so that its radius stays between these.
    least, most = ((1 - RATE / 2 - RATE * 0.4) / (1 + RATE / 2)) ** 0.5, ((1 + RATE / 2) / (1 - RATE / 2)) ** 0.5
    assert least < orbit.min() and orbit.max() < most
    assert orbit[-100:].max() > 0.99 * orbit.max()
    growth = radii(simultaneous=True, weight=None, steps=500) / start
    print(f"simultaneous, without: radius {growth[-1]:.1f} of the first after 500 steps")
    assert growth[-1].item() == pytest.approx((1 + RATE**2) ** 250, rel=1e-3)  # each step turns and stretches


@pytest.mark.proof
@pytest.mark.parametrize("simultaneous", [False, True], ids=["alternating", "simultaneous"])
@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_it_converges_with_historical_averaging(simultaneous: bool, weight: float) -> None:
    """z' = iz - 2w(z - m), m' = (z - m) / t for z = x + iy: once the turning has died out, |z| ~ t^(-1/(1 + 4w^2))."""
    found = radii(simultaneous, weight) / torch.tensor(START).norm()
    power = (found[-1] / found[STEPS // 2 - 1]).log2().item()
    print(f"simultaneous {simultaneous}, weight {weight}: radius {found[-1]:.1e} of the first after {STEPS} steps,"
          f" falling as t^{power:.3f}")  # fmt: skip
    assert weight == 0.5 or found[-1] < 0.01  # at .5 the law leaves 8 % after so many steps
    assert power == pytest.approx(-1 / (1 + 4 * weight**2), rel=0.05)


def test_the_penalty_is_the_squared_distance_to_the_mean_of_all_weights_so_far() -> None:
    torch.manual_seed(0)
    module, trick = nn.Linear(2, 3), HistoricalAveraging(weight=0.7, players=["a"])
    trick.setup({"a": module, "b": nn.Linear(1, 1)})
    past = []
    for _ in range(4):
        past.append([p.detach().clone() for p in module.parameters()])
        means = [torch.stack(ps).mean(0) for ps in zip(*past, strict=True)]
        penalty = trick.penalty("a", module)["historical_averaging"]
        distance = sum((p - m).square().sum() for p, m in zip(module.parameters(), means, strict=True))
        torch.testing.assert_close(penalty, 0.7 * distance)
        slopes = torch.autograd.grad(penalty, list(module.parameters()))
        for slope, p, m in zip(slopes, module.parameters(), means, strict=True):
            torch.testing.assert_close(slope, 1.4 * (p - m).detach())
        with torch.no_grad():
            for p in module.parameters():
                p.add_(torch.randn_like(p))
        trick.after_update("a", module)
    assert trick.penalty("b", module) == {}


def test_the_past_survives_a_resume_and_goes_back_to_none() -> None:
    module, trick = nn.Linear(2, 3), HistoricalAveraging()
    trick.setup({"a": module})
    for _ in range(3):
        trick.penalty("a", module)
        nn.init.normal_(module.weight)
        trick.after_update("a", module)
    other = HistoricalAveraging()
    other.setup({"a": module})
    other.load_state(trick.state())
    nn.init.normal_(module.weight)
    for one in (trick, other):
        one.after_update("a", module)
    assert torch.equal(*(one.penalty("a", module)["historical_averaging"] for one in (trick, other)))
    assert trick.counts == other.counts == {"a": 5}
    trick.load_state({"means": {}, "counts": {}})
    assert trick.penalty("a", module)["historical_averaging"] == 0 and trick.counts == {"a": 1}


def test_a_player_that_is_not_there() -> None:
    with pytest.raises(UserError, match="historical_averaging changes player critics, which this .* mean critic"):
        HistoricalAveraging(players=["critics"]).setup({"critic": nn.Linear(1, 1)})
