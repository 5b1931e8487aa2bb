"""The generator of pix2pix: as published."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medudl.networks.instance_norm import InstanceNormalisation
from medudl.networks.unet_generator import UNetGenerator, depth_of
from medudl.tricks.layers import CONVOLUTIONS


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("depth", "published"), [(8, 54_413_955), (7, 41_828_995)])
def test_numbers_of_the_published_networks(depth: int, published: int) -> None:
    """54.414 and 41.829 million, published with batch norm. With instance norm its code has 54.410 and 41.826 million,
    of which we leave out the biases that the norm takes away again."""
    with torch.device("meta"):
        batch = UNetGenerator(2, 3, 3, depth=depth, norm="batch", upsampling="transposed")
        instance = UNetGenerator(2, 3, 3, depth=depth, upsampling="transposed")
    assert _count(batch) == published
    scales = 2 * sum(m.num_features for m in batch.modules() if isinstance(m, nn.BatchNorm2d))
    taken_away = sum(m.out_channels for m in instance.modules() if isinstance(m, CONVOLUTIONS) and m.bias is None)
    with_biases = published - scales + taken_away + 64 + 512  # of the first and the innermost, which have no norm
    assert _count(instance) + taken_away == with_biases and round(with_biases, -3) in (54_410_000, 41_826_000)


@pytest.mark.parametrize("dims", [2, 3])
@torch.no_grad()
def test_no_norm_sees_a_single_voxel_but_the_innermost_level_is_one(dims: int) -> None:
    seen: list[int] = []
    network = UNetGenerator(dims, 1, 1, width=2, depth=4)

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(min(given[0].shape[2:]))

    for module in network.modules():
        if isinstance(module, InstanceNormalisation):
            module.register_forward_pre_hook(look)
    sides: list[int] = []
    network.down[-1].register_forward_hook(lambda _, __, made: sides.append(max(made.shape[2:])))
    network(torch.rand(1, 1, *[9] * dims))
    assert seen == [4, 2, 2, 4, 8] and sides == [1]


@torch.no_grad()
def test_every_level_reaches_the_output() -> None:
    torch.manual_seed(0)
    network, image = UNetGenerator(2, 1, 1, width=4, depth=4), torch.rand(1, 1, 16, 16)
    plain = network(image)
    for level in network.down:
        handle = level.register_forward_hook(lambda _, __, made: made + 1 + torch.rand_like(made))
        assert not torch.allclose(network(image), plain)
        handle.remove()


@torch.no_grad()
def test_dropout_is_innermost_and_of_training_alone() -> None:
    torch.manual_seed(0)
    network, image = UNetGenerator(2, 1, 1, width=4, depth=6, dropout=0.5), torch.rand(1, 1, 64, 64)
    assert [any(isinstance(m, nn.Dropout) for m in up.modules()) for up in network.up] == [True] * 3 + [False] * 2
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


def test_depth() -> None:
    assert [depth_of(size) for size in ((256, 256), (128, 200), (300, 300), (28, 28), (16, 64, 64), (2, 9))] == [
        8, 7, 8, 4, 4, 2
    ]  # fmt: skip
