"""Sparsity penalties in closed form, against torch's own divergence, and what they do and do not pull to zero."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from medudl.losses.sparsity import kl, l1, l2


def test_closed_forms() -> None:
    y = torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.0, 0.5]])
    assert l1(y).tolist() == [3.0, 1.0]
    assert l2(y).tolist() == [5.0, 0.5]


def test_kl_is_between_bernoulli_distributions_of_the_batchs_means() -> None:
    torch.manual_seed(0)
    y = torch.rand(16, 5)
    expected = kl_divergence(Bernoulli(torch.full((5,), 0.1)), Bernoulli(y.mean(0))).sum()
    torch.testing.assert_close(kl(y, 0.1), expected)
    # One unit, by hand: KL(.1, .5) = log 2 - H(.1).
    by_hand = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    assert kl(torch.full((4, 1), 0.5), 0.1).item() == pytest.approx(by_hand, rel=1e-6)


def test_kl_is_of_the_batch_and_least_at_rho() -> None:
    always, seldom = torch.full((10, 1), 0.2), torch.tensor([[1.0]] * 2 + [[0.0]] * 8)
    assert kl(always, 0.2).item() == pytest.approx(0, abs=1e-6) == kl(seldom, 0.2).item()
    assert kl(always, 0.1) > 0 and kl(always, 0.3) > 0
    assert kl(always, 0.1) != pytest.approx(kl(1 - always, 0.1).item())


def test_kl_is_finite_where_a_sigmoid_is_exactly_0_or_1() -> None:
    y = torch.tensor([[0.0, 1.0]]).requires_grad_()
    kl(y, 0.05).backward()
    assert kl(y, 0.05).isfinite() and y.grad is not None and y.grad.isfinite().all()


def test_near_zero_l1_pulls_as_hard_as_ever_and_l2_no_longer() -> None:
    for size in (1.0, 1e-3):
        y = torch.tensor([[size]], requires_grad=True)
        l1(y).sum().backward()
        assert y.grad is not None and y.grad.item() == 1.0
        y.grad = None
        l2(y).sum().backward()
        assert y.grad.item() == pytest.approx(2 * size)


def test_sixteen_bits_in_full_precision_out() -> None:
    y = torch.full((4, 4096), 0.1).bfloat16()
    for value in (l1(y), l2(y), kl(y, 0.05)):
        assert value.dtype == torch.float32
    assert l1(y)[0].item() == pytest.approx(4096 * y[0, 0].item(), rel=1e-5)
