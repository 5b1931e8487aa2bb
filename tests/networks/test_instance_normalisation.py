"""Instance norm by torch's kernel of group norm: against the formula in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medudl.networks.instance_norm import InstanceNormalisation


def _by_formula(x: Tensor) -> Tensor:
    axes = tuple(range(2, x.ndim))
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (100.0, 1.0), (1.0, 1e-3)])
def test_precise_beside_a_large_mean_whatever_the_layout(
    layout: torch.memory_format, offset: float, spread: float
) -> None:
    """Where channels lie last, torch's own kernel would be wrong by .05 to .06 in the last two cases."""
    torch.manual_seed(0)
    x = (torch.randn(2, 3, 64, 64) * spread + offset).contiguous(memory_format=layout).requires_grad_()
    exact, towards = x.detach().double().requires_grad_(), torch.randn(2, 3, 64, 64)
    y, wanted = InstanceNormalisation(3, affine=False)(x), _by_formula(exact)
    torch.testing.assert_close(y.double(), wanted, atol=1e-4, rtol=0)
    (slope,), (known,) = torch.autograd.grad(y, x, towards), torch.autograd.grad(wanted, exact, towards.double())
    assert (slope - known).norm() <= 1e-5 * known.norm()


def test_in_bfloat16_the_statistics_are_those_of_float32() -> None:
    torch.manual_seed(0)
    x = (torch.randn(2, 3, 64, 64) + 100).bfloat16()
    y = InstanceNormalisation(3, affine=True)(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.double(), _by_formula(x.double()), atol=0.02, rtol=0)


def test_second_derivatives() -> None:
    """Gradient penalties go through it."""
    torch.manual_seed(0)
    layer = InstanceNormalisation(2, affine=True).double()
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (x,))
