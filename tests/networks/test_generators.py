"""What both generators of translation do: any size, constant images, no mates, layers that tricks find."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import pytest
import torch
from torch import nn

from medudl.networks.dcgan import Upsampling
from medudl.networks.instance_norm import Norm
from medudl.networks.resnet_generator import ResNetGenerator
from medudl.networks.unet_generator import UNetGenerator
from medudl.tricks.instance_norm import InstanceNorm
from medudl.tricks.layers import CONVOLUTIONS
from medudl.tricks.spectral_norm import SpectralNorm

SIZES = [(28, 28), (45, 71), (8, 8), (1, 9), (6, 11, 9), (2, 8, 8)]
SMALL = [(5, 8), (4, 4)]  # which the U-Net, at its depth, has no use for


class Make(Protocol):
    def __call__(
        self, dims: int, channels: int, out: int, *, width: int, norm: Norm = ..., upsampling: Upsampling = ...
    ) -> nn.Module: ...


RESNET: Make = partial(ResNetGenerator, blocks=2)
UNET: Make = partial(UNetGenerator, depth=4)
both = pytest.mark.parametrize("make", [RESNET, UNET], ids=["resnet", "unet"])


@pytest.mark.parametrize(
    ("make", "size"),
    [
        *(pytest.param(partial(ResNetGenerator, blocks=1), size, id=f"resnet {size}") for size in SIZES + SMALL),
        *(pytest.param(partial(UNetGenerator, depth=3), size, id=f"unet {size}") for size in SIZES),
    ],
)
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@torch.no_grad()
def test_any_size_and_channels(make: Make, size: tuple[int, ...], upsampling: Upsampling, norm: Norm) -> None:
    torch.manual_seed(0)
    network = make(len(size), 2, 3, width=4, norm=norm, upsampling=upsampling)
    made = network(torch.rand(2, 2, *size) * 2 - 1)
    assert made.shape == (2, 3, *size) and made.abs().max() <= 1 and made.std() > 0


@both
@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dims", [2, 3])
def test_an_empty_slice_gives_finite_numbers_and_gradients(
    make: Make, value: float, dtype: torch.dtype, dims: int
) -> None:
    torch.manual_seed(0)
    network = make(dims, 1, 1, width=4)
    image = torch.full((1, 1, *[16] * dims), value, requires_grad=True)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        made = network(image)
    made.float().abs().sum().backward()
    assert made.isfinite().all() and image.grad is not None and image.grad.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@both
@torch.no_grad()
def test_no_image_depends_on_its_mates(make: Make) -> None:
    torch.manual_seed(0)
    network, images = make(2, 1, 1, width=8), torch.rand(4, 1, 33, 20)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("make", "number"), [(RESNET, 10), (UNET, 8)], ids=["resnet", "unet"])
@torch.no_grad()
def test_tricks_find_its_layers(make: Make, number: int) -> None:
    torch.manual_seed(0)
    network = make(2, 1, 1, width=4, norm="batch")
    InstanceNorm(players=["generator"]).build({"generator": network})
    SpectralNorm(players=["generator"]).build({"generator": network})
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    layers = [m for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    assert len(layers) == number and all(hasattr(m, "parametrizations") for m in layers)
    assert network(torch.rand(1, 1, 16, 16)).isfinite().all()
