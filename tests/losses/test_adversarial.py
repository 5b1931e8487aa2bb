"""Adversarial losses: closed forms, patches, precision, and the gradients that the generator is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional as F

from medudl.errors import UserError
from medudl.losses.adversarial import Loss, discriminator_loss, generator_loss

KINDS: tuple[Loss, ...] = get_args(Loss)
CROSS_ENTROPY: tuple[Loss, ...] = ("minimax", "non_saturating", "kl")
every_kind = pytest.mark.parametrize("kind", KINDS)

DISCRIMINATOR: dict[str, Callable[[float, float], float]] = {
    "minimax": lambda r, f: -math.log(_sigmoid(r)) - math.log(1 - _sigmoid(f)),
    "non_saturating": lambda r, f: -math.log(_sigmoid(r)) - math.log(1 - _sigmoid(f)),
    "kl": lambda r, f: -math.log(_sigmoid(r)) - math.log(1 - _sigmoid(f)),
    "least_squares": lambda r, f: (r - 1) ** 2 + f**2,
    "hinge": lambda r, f: max(0, 1 - r) + max(0, 1 + f),
    "wasserstein": lambda r, f: f - r,
}
GENERATOR: dict[str, Callable[[float], float]] = {
    "minimax": lambda f: math.log(1 - _sigmoid(f)),
    "non_saturating": lambda f: -math.log(_sigmoid(f)),
    "kl": lambda f: -_sigmoid(f) / (1 - _sigmoid(f)),
    "least_squares": lambda f: (f - 1) ** 2,
    "hinge": lambda f: -f,
    "wasserstein": lambda f: -f,
}


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _logits(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(shape, generator=generator), 2 * torch.randn(shape, generator=generator)


@every_kind
def test_closed_forms(kind: Loss) -> None:
    real, fake = (x.double() for x in _logits(9))
    pairs = zip(real.tolist(), fake.tolist(), strict=True)
    expected = torch.tensor([DISCRIMINATOR[kind](r, f) for r, f in pairs], dtype=torch.float64)
    found = discriminator_loss(kind, real, fake)
    away = (found - expected).abs().max()
    wanted = torch.tensor([GENERATOR[kind](f) for f in fake.tolist()], dtype=torch.float64)
    away = max(away, (generator_loss(kind, fake) - wanted).abs().max())
    print(f"\n{kind}: largest difference from its formula {away:.1e}, n = 9 images, seed 0")
    assert found.dtype == torch.float64 and away < 1e-12


def test_without_the_half_an_undecided_discriminator_costs_two_log_two() -> None:
    zero = torch.zeros(3)
    for kind in CROSS_ENTROPY:
        torch.testing.assert_close(discriminator_loss(kind, zero, zero), torch.full((3,), 2 * math.log(2)))
    half = torch.full((3,), 0.5)
    torch.testing.assert_close(discriminator_loss("least_squares", half, half), half)


def test_minimax_is_a_zero_sum_game() -> None:
    """L_G = -L_D: the same gradient with the sign turned, and the same value up to the real half."""
    real, fake = _logits(6)
    fake.requires_grad_()
    (of_d,) = torch.autograd.grad(discriminator_loss("minimax", real, fake).sum(), fake)
    (of_g,) = torch.autograd.grad(generator_loss("minimax", fake).sum(), fake)
    assert torch.equal(of_g, -of_d) and of_g.abs().min() > 0
    total = discriminator_loss("minimax", real, fake) + generator_loss("minimax", fake)
    torch.testing.assert_close(total, F.softplus(-real))


@every_kind
def test_one_value_an_image_in_its_own_place(kind: Loss) -> None:
    real, fake = _logits(5)
    order = torch.tensor([3, 1, 0, 2, 4])
    found = discriminator_loss(kind, real, fake)
    assert found.shape == (5,)
    assert torch.equal(discriminator_loss(kind, real[order], fake[order]), found[order])
    assert torch.equal(generator_loss(kind, fake[order]), generator_loss(kind, fake)[order])


@every_kind
@pytest.mark.parametrize("shape", [(5, 1), (5, 1, 3, 4), (5, 1, 2, 3, 2)], ids=["column", "2d", "3d"])
def test_patches_are_the_mean_of_their_losses(kind: Loss, shape: tuple[int, ...]) -> None:
    """Not the loss of their mean logit, which differs wherever the loss is curved."""
    real, fake = _logits(*shape)
    flat = discriminator_loss(kind, real.flatten(), fake.flatten()).view(5, -1).mean(1)
    torch.testing.assert_close(discriminator_loss(kind, real, fake), flat)
    flat = generator_loss(kind, fake.flatten()).view(5, -1).mean(1)
    torch.testing.assert_close(generator_loss(kind, fake), flat)


@every_kind
def test_sixteen_bits_in_full_precision_out(kind: Loss) -> None:
    real, fake = torch.full((1, 1, 64, 64), 2.125), torch.full((1, 1, 64, 64), -1.0625)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        of_d, of_g = discriminator_loss(kind, real.bfloat16(), fake.bfloat16()), generator_loss(kind, fake.bfloat16())
    assert of_d.dtype == of_g.dtype == torch.float32
    assert torch.equal(of_d, discriminator_loss(kind, real, fake)) and torch.equal(of_g, generator_loss(kind, fake))


@every_kind
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_a_large_logit_stays_finite_and_so_does_its_gradient(kind: Loss, size: float) -> None:
    logits = torch.full((2,), size, requires_grad=True)
    for loss in (discriminator_loss(kind, logits, logits), generator_loss(kind, logits)):
        (slope,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.isfinite().all() and slope.isfinite().all()
    if kind in CROSS_ENTROPY:
        torch.testing.assert_close(discriminator_loss(kind, logits, logits), torch.full((2,), abs(size)))


def test_a_cross_entropy_is_curved_at_every_logit() -> None:
    """torch's own softplus is a straight line above 20, and second-order gradients would vanish there."""
    logits = torch.tensor([-25.0, 25.0], dtype=torch.float64, requires_grad=True)
    loss = generator_loss("non_saturating", logits)
    (slope,) = torch.autograd.grad(loss.sum(), logits, create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), logits)
    print(
        f"\ncurvature of softplus at -25 and 25: {curve[0]:.6e}, {curve[1]:.6e}; exp(-25) = {math.exp(-25):.6e}, n = 2"
    )
    torch.testing.assert_close(curve, torch.full_like(curve, math.exp(-25)), rtol=1e-4, atol=0)  # eps / exp(-25) = 2e-5


def test_kl_goes_on_along_its_tangent() -> None:
    logits = torch.tensor([29.0, 30.0, 31.0, 50.0], dtype=torch.float64, requires_grad=True)
    loss = generator_loss("kl", logits)
    top = math.exp(30)
    wanted = torch.tensor([-math.exp(29), -top, -2 * top, -21 * top], dtype=torch.float64)
    torch.testing.assert_close(loss, wanted)
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(slope, torch.tensor([-math.exp(29), -top, -top, -top], dtype=torch.float64))


def test_non_saturating_keeps_the_gradient_that_minimax_loses() -> None:
    """A discriminator that is sure, l = -12: sigmoid(l) = 6e-6 is minimax's slope, and 1 - sigmoid(l) the other's."""
    logit = torch.tensor([-12.0], requires_grad=True)
    (minimax,) = torch.autograd.grad(generator_loss("minimax", logit).sum(), logit)
    (saturated_not,) = torch.autograd.grad(generator_loss("non_saturating", logit).sum(), logit)
    print(f"\nslopes at a logit of -12: minimax {minimax.item():.1e}, non-saturating {saturated_not.item():.6f}, n = 1")
    assert minimax.item() == pytest.approx(-_sigmoid(-12), rel=1e-5)
    assert saturated_not.item() == pytest.approx(-1, abs=1e-5)


@every_kind
def test_every_generator_wants_higher_logits(kind: Loss) -> None:
    """least_squares only below its target, where an optimal D keeps it."""
    logits = torch.linspace(-3, 0.9, 9, requires_grad=True)
    (slope,) = torch.autograd.grad(generator_loss(kind, logits).sum(), logits)
    assert (slope < 0).all()


SLOPES: dict[Loss, Callable[[float], float]] = {
    # m = mean of the model: KL(p_data, p_model) = m^2 / 2 for N(0, 1) and N(m, 1), and so is KL(p_model, p_data)
    "kl": lambda m: m,
    "minimax": lambda m: 2 * _slope_of_js(m),
    "non_saturating": lambda m: m - 2 * _slope_of_js(m),
}


@pytest.mark.parametrize("kind", list(SLOPES))
@pytest.mark.parametrize("mean", [0.5, 1.5])
def test_against_the_optimal_discriminator_each_descends_its_divergence(kind: Loss, mean: float) -> None:
    """kl: KL(p_data, p_model); minimax: 2 JS; non_saturating: KL(p_model, p_data) - 2 JS (Arjovsky & Bottou 2017).

    By quadrature: the best logit is log p_data / p_model, fixed while the generator z + m moves.
    """
    z = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    weight = Normal(0.0, 1.0).log_prob(z).exp() * (z[1] - z[0])
    shift = torch.tensor(mean, dtype=torch.float64, requires_grad=True)
    logits = -mean * (z + shift) + mean**2 / 2
    (slope,) = torch.autograd.grad((weight * generator_loss(kind, logits)).sum(), shift)
    print(f"\n{kind}, mean {mean}: slope {slope.item():.9f}, its divergence's {SLOPES[kind](mean):.9f}")
    assert slope.item() == pytest.approx(SLOPES[kind](mean), abs=1e-6)


def _slope_of_js(mean: float, step: float = 1e-4) -> float:
    return (_js(mean + step) - _js(mean - step)) / (2 * step)


def _js(mean: float) -> float:
    """Jensen-Shannon divergence of N(0, 1) and N(mean, 1) in nats, by quadrature."""
    x = torch.linspace(-12, 14, 8001, dtype=torch.float64)
    # Written out, because Normal would round the mean to float32.
    p, q = (-0.5 * (x - m).square() - 0.5 * math.log(2 * math.pi) for m in (0.0, mean))
    middle = torch.logaddexp(p, q) - math.log(2)
    return float((0.5 * (p.exp() * (p - middle) + q.exp() * (q - middle))).sum() * (x[1] - x[0]))


@pytest.mark.parametrize("kind", CROSS_ENTROPY)
def test_soft_targets_are_a_cross_entropy(kind: Loss) -> None:
    real, fake = _logits(7)
    expected = F.binary_cross_entropy_with_logits(real, torch.full((7,), 0.9), reduction="none")
    expected = expected + F.binary_cross_entropy_with_logits(fake, torch.full((7,), 0.1), reduction="none")
    torch.testing.assert_close(discriminator_loss(kind, real, fake, real_target=0.9, fake_target=0.1), expected)


def test_targets_of_least_squares_are_any_numbers() -> None:
    found = discriminator_loss("least_squares", torch.tensor([0.5]), torch.tensor([0.5]), real_target=2, fake_target=-1)
    assert found.tolist() == [1.5**2 + 1.5**2]


@pytest.mark.parametrize(
    ("kind", "targets", "message"),
    [
        ("hinge", (0.9, 0.0), "hinge loss: .*a margin; take label smoothing away"),
        ("wasserstein", (1.0, 0.1), "wasserstein loss: .*only a difference; take label smoothing away"),
        ("minimax", (1.1, 0.0), "minimax loss: targets 1.1 .*choose them from 0 to 1"),
        ("non_saturating", (1.0, -0.1), "choose them from 0 to 1"),
        ("kl", (math.nan, 0.0), "finite"),
        ("least_squares", (math.inf, 0.0), "finite"),
    ],
)
def test_targets_that_make_no_sense_are_refused(kind: Loss, targets: tuple[float, float], message: str) -> None:
    real, fake = _logits(2)
    with pytest.raises(UserError, match=message) as raised:
        discriminator_loss(kind, real, fake, real_target=targets[0], fake_target=targets[1])
    assert "\n" not in str(raised.value)


def test_shapes_that_fit_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="3 real and 2 generated"):
        discriminator_loss("minimax", torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        generator_loss("minimax", torch.zeros(3, 2))
