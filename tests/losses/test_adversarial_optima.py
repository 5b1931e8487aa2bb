"""Known optima: what a discriminator or critic must learn on two 1-D Gaussians, for which the answer is a formula.

A small network is trained with the discriminator's loss; its error is taken on a fixed grid weighted by density, and
divergences and losses by quadrature. Seeds, steps and criteria were fixed before the first run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from medudl.losses.adversarial import Loss, discriminator_loss
from medudl.tricks.gradient_penalty import gradient_penalty
from medudl.tricks.weight_clipping import WeightClipping

SEEDS = (0, 1, 2)
DATA, MODEL = Normal(-1.0, 1.0), Normal(1.0, 1.5)
GRID = torch.linspace(-7, 8, 6001)
P, Q = DATA.log_prob(GRID).exp(), MODEL.log_prob(GRID).exp()
STEP = float(GRID[1] - GRID[0])
STEPS, BATCH = 3000, 512


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1))


def descend(
    module: nn.Module, steps: int, loss: Callable[[], Tensor], after: Callable[[], None] = lambda: None
) -> None:
    """Adam, its rate falling from .005 to 0 along a cosine."""
    optimiser = torch.optim.Adam(module.parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        after()
        schedule.step()


def quantiles(of: Normal, count: int) -> Tensor:
    """Points of equal weight, (count, 1): a quadrature by the mean."""
    return of.icdf((torch.arange(count) + 0.5) / count)[:, None]


def trained(kind: Loss, seed: int, targets: tuple[float, float] = (1.0, 0.0)) -> nn.Module:
    """A discriminator after 3,000 batches of 512 fresh samples of each density."""
    torch.manual_seed(seed)
    d = network()

    def loss() -> Tensor:
        real, fake = d(DATA.sample((BATCH, 1))), d(MODEL.sample((BATCH, 1)))
        return discriminator_loss(kind, real, fake, real_target=targets[0], fake_target=targets[1]).mean()

    descend(d, STEPS, loss)
    return d


@torch.no_grad()
def cost(kind: Loss, d: nn.Module) -> float:
    """L_D by quadrature: 20,000 points of equal weight for each density."""
    return discriminator_loss(kind, d(quantiles(DATA, 20_000)), d(quantiles(MODEL, 20_000))).mean().item()


@torch.no_grad()
def scores(d: nn.Module) -> Tensor:
    found: Tensor = d(GRID[:, None])[:, 0]
    return found


def mean_error(found: Tensor, best: Tensor) -> float:
    """|found - best|, weighted by (p_data + p_model) / 2."""
    return float((0.5 * (P + Q) * (found - best).abs()).sum() * STEP)


def js() -> float:
    middle = 0.5 * (P + Q)
    return float(0.5 * (P * (P / middle).log() + Q * (Q / middle).log()).sum() * STEP)


@pytest.mark.proof
def test_the_best_discriminator_is_the_ratio_and_costs_two_log_two_less_two_js() -> None:
    """minimax, and so non_saturating and kl, whose discriminators minimise the same."""
    best_cost = 2 * math.log(2) - 2 * js()
    discriminators = [trained("minimax", seed) for seed in SEEDS]
    errors = [mean_error(scores(d).sigmoid(), P / (P + Q)) for d in discriminators]
    excess = [cost("minimax", d) - best_cost for d in discriminators]
    print(f"\nminimax: mean error {shown(errors)} (< .01); L_D less {best_cost:.4f}: {shown(excess)} (within .005)")
    assert max(errors) < 0.01
    assert max(map(abs, excess)) < 0.005


@pytest.mark.proof
def test_the_best_least_squares_discriminator_is_the_same_ratio() -> None:
    discriminators = [trained("least_squares", seed) for seed in SEEDS]
    best = P / (P + Q)
    best_cost = float((P * (best - 1).square() + Q * best.square()).sum() * STEP)
    errors = [mean_error(scores(d), best) for d in discriminators]
    excess = [cost("least_squares", d) - best_cost for d in discriminators]
    print(
        f"\nleast squares: mean error {shown(errors)} (< .01); L_D less {best_cost:.4f}: {shown(excess)} (within .005)"
    )
    assert max(errors) < 0.01
    assert max(map(abs, excess)) < 0.005


@pytest.mark.proof
def test_the_best_hinge_discriminator_is_the_sign() -> None:
    """sign(p_data - p_model), which costs 2 sum min(p_data, p_model). A step is out of a smooth network's reach, so
    what is asked is the right sign for 99 % of the mass, and the cost within .01."""
    best, best_cost = (P - Q).sign(), float(2 * torch.minimum(P, Q).sum() * STEP)
    discriminators = [trained("hinge", seed) for seed in SEEDS]
    right = [1 - mean_error(scores(d).sign(), best) / 2 for d in discriminators]
    away = [mean_error(scores(d), best) for d in discriminators]
    excess = [cost("hinge", d) - best_cost for d in discriminators]
    print(f"\nhinge: right sign of {shown(right)} of the mass (>= .99)")
    print(f"L_D less {best_cost:.4f}: {shown(excess)} (within .01); mean error from the step itself {shown(away)}")
    assert min(right) >= 0.99
    assert max(map(abs, excess)) < 0.01


@pytest.mark.proof
def test_one_sided_smoothing_scales_the_best_discriminator_and_two_sided_bends_it() -> None:
    """.9 p_data / (p_data + p_model): the same shape. With fake targets of .1 p_model stands above the line as well."""
    best = 0.9 * P / (P + Q)
    one = [mean_error(scores(trained("minimax", s, (0.9, 0.0))).sigmoid(), best) for s in SEEDS]
    two = [mean_error(scores(trained("minimax", s, (0.9, 0.1))).sigmoid(), best) for s in SEEDS]
    print(f"\nmean error from .9 p_d / (p_d + p_m): one-sided {shown(one)} (< .01), two-sided {shown(two)}")
    assert max(one) < 0.01
    assert min(two) > 0.01


@dataclass(frozen=True)
class Pair:
    """N(t, 1) as data and N(0, 1) as the model's, W1 = t: 512 points of equal weight each, paired anew at each step."""

    t: float

    def points(self, count: int = 512) -> tuple[Tensor, Tensor]:
        return quantiles(Normal(self.t, 1.0), count), quantiles(Normal(0.0, 1.0), count)

    def penalised(self, seed: int, weight: float, *, one_sided: bool, steps: int = 2000) -> float:
        torch.manual_seed(seed)
        critic = network()
        real, fake = self.points()

        def loss() -> Tensor:
            value = discriminator_loss("wasserstein", critic(real), critic(fake)).mean()
            partners = fake[torch.randperm(len(fake))]
            return value + weight * gradient_penalty(critic, real, partners, one_sided=one_sided).mean()

        descend(critic, steps, loss)
        return self.estimate(critic)

    def clipped(self, seed: int, limit: float) -> float:
        torch.manual_seed(seed)
        critic = network()
        real, fake = self.points()
        clipping = WeightClipping(player="critic", limit=limit)
        descend(
            critic,
            500,
            lambda: discriminator_loss("wasserstein", critic(real), critic(fake)).mean(),
            lambda: clipping.after_update("critic", critic),
        )
        return self.estimate(critic)

    @torch.no_grad()
    def estimate(self, critic: nn.Module) -> float:
        """E critic(real) - E critic(fake), by quadrature: its sign says which side the critic takes for real."""
        real, fake = self.points(20_000)
        return (critic(real).mean() - critic(fake).mean()).item()

    def optimum(self, weight: float) -> float:
        """The penalised optimum over ALL critics, with x on lines between independent pairs, of density r:

            t + 1/(2 weight) integral (F_model - F_data)^2 / r

        t (1 + t / (2 weight)) is that of the best linear critic, and a bound from below by Cauchy and Schwarz.
        """
        x = torch.linspace(-8, 9, 4001, dtype=torch.float64)
        a = (torch.arange(2000, dtype=torch.float64)[:, None] + 0.5) / 2000
        between = Normal(a * self.t, (a.square() + (1 - a).square()).sqrt()).log_prob(x).exp().mean(0)
        gap = torch.special.ndtr(x) - torch.special.ndtr(x - self.t)
        inside = between > 1e-12
        return self.t + float((gap[inside].square() / between[inside]).sum() * (x[1] - x[0])) / (2 * weight)


@pytest.mark.proof
@pytest.mark.parametrize("t", [0.25, 0.5, 1.0])
def test_wasserstein_distance_with_a_one_sided_penalty(t: float) -> None:
    """Within 3 % of t (1 + t / (2 L)), L = 10, in each of 5 seeds, the critic higher on the data."""
    found = [Pair(t).penalised(seed, 10.0, one_sided=True) for seed in range(5)]
    formula = t * (1 + t / 20)
    print(
        f"\nt = {t}, L = 10: {shown(found)}; formula {formula:.4f}, optimum over all critics {Pair(t).optimum(10):.4f}"
    )
    print(f"relative error {shown([value / formula - 1 for value in found])} (within .03), seeds 0 to 4")
    assert all(value > 0 for value in found)
    assert all(abs(value / formula - 1) < 0.03 for value in found)


@pytest.mark.proof
def test_a_light_penalty_leaves_the_bias_that_theory_says() -> None:
    """L = 1, t = 1: half as much again as the distance, and 3 % more than the formula, which is a linear critic's."""
    found = [Pair(1.0).penalised(seed, 1.0, one_sided=True) for seed in range(5)]
    best = Pair(1.0).optimum(1.0)
    print(
        f"\nt = 1, L = 1: {shown(found)}; formula 1.5, optimum over all critics {best:.4f} (within 3 %), seeds 0 to 4"
    )
    assert all(abs(value / best - 1) < 0.03 for value in found)


@pytest.mark.proof
def test_a_two_sided_penalty_traps_critics_at_the_wrong_sign() -> None:
    """Its slope is to be 1 OR -1, and a critic that begins on the wrong side never crosses 0; one-sided, all do."""
    two = [Pair(0.5).penalised(seed, 10.0, one_sided=False, steps=1000) for seed in range(6)]
    one = [Pair(0.5).penalised(seed, 10.0, one_sided=True, steps=1000) for seed in range(6)]
    trapped = sum(value < 0 for value in two)
    print(f"\nwrong sign: two-sided {trapped} of 6, one-sided {sum(v < 0 for v in one)}; t = .5, L = 10, seeds 0 to 5")
    print(f"two-sided {shown(two)}; one-sided {shown(one)}")
    assert trapped > 0
    assert all(value > 0 for value in one)


@pytest.mark.proof
def test_clipping_gives_the_distance_on_an_unknown_scale() -> None:
    """The right sign, but a ratio to t that the limit and the network's depth decide."""
    limits = (0.01, 0.1, 0.5)
    ratios = {limit: [Pair(1.0).clipped(seed, limit) for seed in SEEDS] for limit in limits}
    for limit, values in ratios.items():
        print(f"\nlimit {limit}: ratio to t {', '.join(f'{value:.3g}' for value in values)}; seeds {SEEDS}", end="")
    print()
    assert all(value > 0 for values in ratios.values() for value in values)
    assert max(ratios[0.01]) < 0.1 and min(ratios[0.5]) > 10


def shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
