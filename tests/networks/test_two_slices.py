"""Volumes of two slices in half precision: the gradient is that of what was computed, and holds nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medudl.networks.blocks import conv
from medudl.networks.dcgan import CONV
from medudl.networks.two_slices import Conv3d


def dirty() -> None:
    """Leave NaN in the memory that torch hands out next."""
    sizes = (64, 256, 1024, 4096, 16384, 65536, 432, 864, 1728, 3456, 13824, 27648)
    held = [torch.full((n,), float("nan"), dtype=kind) for n in sizes for kind in (torch.bfloat16, torch.float32)]
    del held


@pytest.mark.parametrize("size", [(2, 2, 2), (2, 4, 4), (2, 2, 8), (1, 2, 2), (3, 2, 2)], ids=str)
def test_no_memory_of_others_in_the_gradient(size: tuple[int, ...]) -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        layer = CONV[3](32, 16, 3, padding=1)
        x = torch.randn(1, 32, *size, requires_grad=True)
        dirty()
        with torch.autocast("cpu", torch.bfloat16):
            made = layer(x)
        dirty()
        made.float().square().sum().backward()
        assert layer.weight.grad.isfinite().all() and x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("size", [(2, 2, 2), (2, 5, 3)], ids=str)
def test_the_same_numbers_and_gradients(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer, x = Conv3d(4, 6, 3, padding=1), torch.randn(2, 4, *size, requires_grad=True)
    wanted = F.conv3d(x, layer.weight, layer.bias, padding=1)
    (gradient,) = torch.autograd.grad(wanted.square().sum(), layer.weight)
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    assert made.shape == wanted.shape and made.dtype is torch.bfloat16
    assert (made.float() - wanted).abs().max() < 0.03
    (found,) = torch.autograd.grad(made.float().square().sum(), layer.weight)
    assert (found - gradient).abs().max() < 0.03 * gradient.abs().max()


def test_every_3d_convolution_is_made_of_it() -> None:
    assert isinstance(conv(3, 1, 1), Conv3d) and CONV[3] is Conv3d


def test_other_convolutions_are_torchs_own() -> None:
    layer, x = Conv3d(2, 3, 4, stride=2, padding=1), torch.randn(1, 2, 2, 4, 4)
    plain = nn.Conv3d(2, 3, 4, stride=2, padding=1)
    plain.load_state_dict(layer.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).equal(plain(x))
    assert Conv3d(2, 3, 3, padding=1)(x).dtype is torch.float32
