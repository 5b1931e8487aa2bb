"""The divergence against torch's own and against Monte Carlo, which the swapped one fails."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from medudl.losses.divergence import kl_to_standard_normal

SAMPLES = 200_000


def _posterior(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 3, generator=generator, dtype=dtype), torch.randn(5, 3, generator=generator, dtype=dtype)


def _swapped(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(p, q), the other way round."""
    p, q = Normal(torch.zeros_like(mean), torch.ones_like(mean)), Normal(mean, torch.exp(0.5 * log_var))
    return kl_divergence(p, q).sum(1)


def test_closed_form_is_torchs_own() -> None:
    mean, log_var = _posterior(torch.float64)
    p, q = Normal(torch.zeros_like(mean), torch.ones_like(mean)), Normal(mean, torch.exp(0.5 * log_var))
    torch.testing.assert_close(kl_to_standard_normal(mean, log_var), kl_divergence(q, p).sum(1), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("divergence", "agrees"), [(kl_to_standard_normal, True), (_swapped, False)])
def test_monte_carlo_agrees_and_the_swapped_one_fails_it(divergence: object, agrees: bool) -> None:
    """E_q [log q(z) - log p(z)] within 4 standard errors, for each of 5 posteriors."""
    mean, log_var = _posterior(torch.float64)
    q = Normal(mean, torch.exp(0.5 * log_var))
    torch.manual_seed(1)
    z = q.sample((SAMPLES,))  # (N, B, Z)
    values = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(2)
    error = values.std(0) / SAMPLES**0.5
    away = (divergence(mean, log_var) - values.mean(0)).abs() / error  # type: ignore[operator]
    print(
        f"\n{'KL(q, p)' if agrees else 'KL(p, q)'}: {away.max():.1f} standard errors off at most, n = {SAMPLES}, seed 1"
    )
    assert (away < 4).all() if agrees else (away > 4).all()


def test_nothing_at_the_prior_and_exact_beside_it() -> None:
    zero = torch.zeros(2, 4)
    assert kl_to_standard_normal(zero, zero).tolist() == [0, 0]
    small = torch.full((1, 1), 1e-3)
    assert kl_to_standard_normal(torch.zeros(1, 1), small).item() == pytest.approx(0.25e-6, rel=1e-2)


def test_a_sum_over_dimensions_one_value_an_image() -> None:
    mean, log_var = _posterior()
    terms = kl_to_standard_normal(mean, log_var, by_dimension=True)
    assert terms.shape == (5, 3) and terms.min() >= 0
    torch.testing.assert_close(terms.sum(1), kl_to_standard_normal(mean, log_var))
    twice = kl_to_standard_normal(torch.cat([mean, mean], 1), torch.cat([log_var, log_var], 1))
    torch.testing.assert_close(twice, 2 * kl_to_standard_normal(mean, log_var))
    order = torch.tensor([3, 1, 0, 2, 4])
    assert torch.equal(kl_to_standard_normal(mean[order], log_var[order]), kl_to_standard_normal(mean, log_var)[order])


def test_sixteen_bits_in_full_precision_out() -> None:
    mean, log_var = torch.full((1, 4096), 0.125), torch.zeros(1, 4096)
    value = kl_to_standard_normal(mean.bfloat16(), log_var.bfloat16())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, torch.tensor([4096 * 0.125**2 / 2]))
    assert kl_to_standard_normal(mean.double(), log_var.double()).dtype == torch.float64


def test_its_gradient() -> None:
    mean, log_var = (x.requires_grad_() for x in _posterior(torch.float64))
    kl_to_standard_normal(mean, log_var).sum().backward()
    assert mean.grad is not None and log_var.grad is not None
    torch.testing.assert_close(mean.grad, mean.detach())
    torch.testing.assert_close(log_var.grad, 0.5 * (log_var.detach().exp() - 1))
