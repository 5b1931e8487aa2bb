"""The generator of CycleGAN: as published, any size, constant images, no mates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medudl.networks.dcgan import Upsampling
from medudl.networks.instance_norm import InstanceNormalisation, Norm
from medudl.networks.resnet_generator import ResNetGenerator
from medudl.tricks.instance_norm import InstanceNorm
from medudl.tricks.layers import CONVOLUTIONS
from medudl.tricks.spectral_norm import SpectralNorm

SIZES = [(28, 28), (45, 71), (5, 8), (4, 4), (1, 9), (6, 11, 9), (2, 8, 8)]


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("blocks", "published"), [(9, 11_378_179), (6, 7_837_699)])
def test_numbers_of_the_published_networks(blocks: int, published: int) -> None:
    """11.378 and 7.838 million, of which we leave out the biases that instance norm takes away again."""
    with torch.device("meta"):
        network = ResNetGenerator(2, 3, 3, blocks=blocks, upsampling="transposed")
    taken_away = sum(m.out_channels for m in network.modules() if isinstance(m, CONVOLUTIONS) and m.bias is None)
    norms = sum(isinstance(m, InstanceNormalisation) for m in network.modules())
    assert norms == 5 + 2 * blocks and taken_away == 64 + 128 + 256 + 2 * blocks * 256 + 128 + 64
    assert _count(network) + taken_away == published


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@torch.no_grad()
def test_any_size_and_channels(size: tuple[int, ...], upsampling: Upsampling, norm: Norm) -> None:
    torch.manual_seed(0)
    network = ResNetGenerator(len(size), 2, 3, width=4, blocks=1, norm=norm, upsampling=upsampling)
    made = network(torch.rand(2, 2, *size) * 2 - 1)
    assert made.shape == (2, 3, *size) and made.abs().max() <= 1 and made.std() > 0


def test_reflects_outside_first_last_and_in_the_blocks() -> None:
    layers = [m for m in ResNetGenerator(2, 1, 1, width=4, blocks=2).modules() if isinstance(m, nn.Conv2d)]
    shapes = [(m.kernel_size[0], m.stride[0], m.padding_mode) for m in layers]
    down, block, up = [(3, 2, "zeros")] * 2, [(3, 1, "reflect")] * 4, [(3, 1, "zeros")] * 2
    assert shapes == [(7, 1, "reflect"), *down, *block, *up, (7, 1, "reflect")]


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dims", [2, 3])
def test_an_empty_slice_gives_finite_numbers_and_gradients(value: float, dtype: torch.dtype, dims: int) -> None:
    torch.manual_seed(0)
    network = ResNetGenerator(dims, 1, 1, width=4, blocks=2)
    image = torch.full((1, 1, *[8] * dims), value, requires_grad=True)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        made = network(image)
    made.float().abs().sum().backward()
    assert made.isfinite().all() and image.grad is not None and image.grad.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_no_image_depends_on_its_mates() -> None:
    torch.manual_seed(0)
    network, images = ResNetGenerator(2, 1, 1, width=8, blocks=2), torch.rand(4, 1, 33, 20)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_tricks_find_its_layers() -> None:
    torch.manual_seed(0)
    network = ResNetGenerator(2, 1, 1, width=4, blocks=2, norm="batch")
    InstanceNorm(players=["generator"]).build({"generator": network})
    SpectralNorm(players=["generator"]).build({"generator": network})
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    layers = [m for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    assert len(layers) == 10 and all(hasattr(m, "parametrizations") for m in layers)
    assert network(torch.rand(1, 1, 16, 16)).isfinite().all()


def test_first_weights() -> None:
    torch.manual_seed(0)
    layers = [m for m in ResNetGenerator(2, 1, 1, width=32).modules() if isinstance(m, CONVOLUTIONS)]
    weights = torch.cat([m.weight.flatten() for m in layers])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert all(m.bias is None or not m.bias.any() for m in layers)
