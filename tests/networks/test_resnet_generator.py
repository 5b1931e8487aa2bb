"""The generator of CycleGAN: as published."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medudl.networks.instance_norm import InstanceNormalisation
from medudl.networks.resnet_generator import ResNetGenerator
from medudl.tricks.layers import CONVOLUTIONS


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


def test_reflects_outside_first_last_and_in_the_blocks() -> None:
    layers = [m for m in ResNetGenerator(2, 1, 1, width=4, blocks=2).modules() if isinstance(m, nn.Conv2d)]
    shapes = [(m.kernel_size[0], m.stride[0], m.padding_mode) for m in layers]
    down, block, up = [(3, 2, "zeros")] * 2, [(3, 1, "reflect")] * 4, [(3, 1, "zeros")] * 2
    assert shapes == [(7, 1, "reflect"), *down, *block, *up, (7, 1, "reflect")]


def test_first_weights() -> None:
    torch.manual_seed(0)
    layers = [m for m in ResNetGenerator(2, 1, 1, width=32).modules() if isinstance(m, CONVOLUTIONS)]
    weights = torch.cat([m.weight.flatten() for m in layers])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert all(m.bias is None or not m.bias.any() for m in layers)
