"""Thin volumes in half precision: the gradient is that of what was computed, and holds nothing else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from medudl.networks.blocks import conv
from medudl.networks.dcgan import CONV, TRANSPOSED, ResizeConv
from medudl.networks.few_voxels import FEW_VOXEL_CONV
from medudl.networks.thin_volumes import Conv3d, ConvTranspose3d

Make = Callable[[int, int], Any]
# Layers of the house, and volumes on which torch's own are at fault.
THIN: list[tuple[Make, list[tuple[int, ...]]]] = [
    (partial(CONV[3], kernel_size=3, padding=1), [(2, 2, 2), (2, 4, 4), (2, 2, 8), (1, 2, 2), (3, 2, 2)]),
    (partial(CONV[3], kernel_size=4, padding=1), [(3, 3, 3), (3, 8, 8)]),
    (partial(CONV[3], kernel_size=4, stride=2, padding=1), [(6, 2, 2), (8, 2, 2), (8, 2, 9), (16, 2, 2)]),
    (partial(FEW_VOXEL_CONV[3], kernel_size=4, stride=2, padding=1), [(64, 2, 9)]),
    (partial(TRANSPOSED[3], kernel_size=4, stride=2, padding=1), [(4, 1, 1), (8, 1, 1)]),
    (partial(TRANSPOSED[3], kernel_size=3, padding=1), [(2, 4, 4)]),
]


def dirty() -> None:
    """Leave NaN in the memory that torch hands out next."""
    sizes = (64, 256, 1024, 4096, 16384, 65536, 432, 864, 1728, 3456, 13824, 27648)
    held = [torch.full((n,), float("nan"), dtype=kind) for n in sizes for kind in (torch.bfloat16, torch.float32)]
    del held


def at_fault(make: Make, size: tuple[int, ...], queue: Any) -> None:
    """Whether a gradient of some seed holds what is no number; in a process of its own, which may not come back."""
    torch.set_num_threads(1)
    found = False
    for seed in range(10):
        torch.manual_seed(seed)
        layer, x = make(32, 16), torch.randn(1, 32, *size, requires_grad=True)
        dirty()
        with torch.autocast("cpu", torch.bfloat16):
            made = layer(x)
        dirty()
        made.float().square().sum().backward()
        found |= not (layer.weight.grad.isfinite().all() and x.grad is not None and x.grad.isfinite().all())
    queue.put(found)


@pytest.mark.parametrize(("make", "size"), [(make, size) for make, sizes in THIN for size in sizes], ids=str)
def test_no_memory_of_others_in_the_gradient(make: Make, size: tuple[int, ...]) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=at_fault, args=(make, size, queue))
    process.start()
    process.join()
    assert process.exitcode == 0, "it wrote beyond the end of its memory"
    assert queue.get() is False


@pytest.mark.parametrize(("make", "size"), [(make, size) for make, sizes in THIN for size in sizes], ids=str)
def test_the_same_numbers_and_gradients(make: Make, size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer, x = make(4, 6), torch.randn(2, 4, *size, requires_grad=True)
    wanted = layer(x)
    (gradient,) = torch.autograd.grad(wanted.square().sum(), layer.weight)
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    assert made.shape == wanted.shape and made.dtype is torch.bfloat16
    assert (made.float() - wanted).abs().max() < 0.03
    (found,) = torch.autograd.grad(made.float().square().sum(), layer.weight)
    assert (found - gradient).abs().max() < 0.03 * gradient.abs().max()


def test_enlarging_a_thin_volume_is_right_too() -> None:
    torch.manual_seed(0)
    layer, x = ResizeConv(3, 4, 6), torch.randn(1, 4, 64, 1, 1)
    wanted = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    assert made.shape == wanted.shape == (1, 6, 128, 2, 2) and (made.float() - wanted).abs().max() < 0.03


def test_every_3d_convolution_is_made_of_it() -> None:
    assert isinstance(conv(3, 1, 1), Conv3d) and CONV[3] is Conv3d and issubclass(FEW_VOXEL_CONV[3], Conv3d)  # type: ignore[arg-type]
    assert TRANSPOSED[3] is ConvTranspose3d


def test_other_convolutions_are_torchs_own() -> None:
    layer, x = Conv3d(2, 3, 4, stride=2, padding=1), torch.randn(1, 2, 4, 4, 4)
    plain = nn.Conv3d(2, 3, 4, stride=2, padding=1)
    plain.load_state_dict(layer.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).equal(plain(x))
    assert Conv3d(2, 3, 3, padding=1)(x).dtype is torch.float32
