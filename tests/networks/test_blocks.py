"""Building blocks: shapes, exact round trips, the formulas they claim."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medudl.networks.blocks import (
    ConvBlock,
    StandardisedConv,
    channels_to_space,
    conv,
    conv_transpose,
    groups_of,
    halve,
    norm,
    space_to_channels,
)
from medudl.networks.padding import crop_to, pad_to_multiple

SIZES = {2: (6, 8), 3: (4, 6, 8)}
both_dims = pytest.mark.parametrize("dims", [2, 3])


@both_dims
@pytest.mark.parametrize("patch", [1, 2])
def test_folding_voxels_into_channels_loses_nothing(dims: int, patch: int) -> None:
    x = torch.randn(2, 3, *SIZES[dims])
    folded = space_to_channels(x, patch)
    assert folded.shape == (2, 3 * patch**dims, *(s // patch for s in SIZES[dims]))
    assert torch.equal(channels_to_space(folded, patch), x)


def test_folding_is_torchs_in_2d_and_local_in_3d() -> None:
    x = torch.randn(2, 3, 6, 8)
    assert torch.equal(space_to_channels(x, 2), F.pixel_unshuffle(x, 2))
    y = torch.randn(1, 1, 4, 6, 8)
    cube = y[0, 0, 2:4, 4:6, 6:8]
    assert torch.equal(space_to_channels(y, 2)[0, :, 1, 2, 3], cube.flatten())


@both_dims
@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_padding_is_undone(dims: int, multiple: int) -> None:
    x = torch.randn(2, 3, *SIZES[dims])
    padded = pad_to_multiple(x, multiple)
    assert all(
        side % multiple == 0 and side - s < multiple for side, s in zip(padded.shape[2:], x.shape[2:], strict=True)
    )
    assert torch.equal(crop_to(padded, x.shape[2:]), x)


def test_padding_repeats_the_rim() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert pad_to_multiple(x, 4)[0, 0].tolist() == [[0, 1, 2, 2], [0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5]]


@both_dims
def test_standardised_weights_ignore_offset_and_scale(dims: int) -> None:
    x = torch.randn(2, 3, *SIZES[dims])
    layer = StandardisedConv(dims, 3, 5)
    expected = layer(x)
    assert expected.shape == (2, 5, *SIZES[dims])
    with torch.no_grad():
        layer.weight.mul_(7).add_(2)
    torch.testing.assert_close(layer(x), expected, atol=1e-2, rtol=1e-3)


def test_standardised_convolution_equals_its_formula() -> None:
    layer, x = StandardisedConv(2, 3, 5), torch.randn(2, 3, 6, 8)
    rows = []
    for w in layer.weight:
        rows.append((w - w.mean()) / (w.std() + 1e-5))
    torch.testing.assert_close(layer(x), F.conv2d(x, torch.stack(rows), layer.bias, padding=1))


@both_dims
def test_halving_and_doubling(dims: int) -> None:
    x = torch.randn(2, 4, *SIZES[dims])
    half = halve(x)
    assert half.shape == (2, 4, *(s // 2 for s in SIZES[dims]))
    corner = x[(0, 0, *[slice(0, 2)] * dims)]
    torch.testing.assert_close(half[(0, 0, *[0] * dims)], corner.mean())
    assert conv_transpose(dims, 4, 2)(half).shape == (2, 2, *SIZES[dims])
    assert conv(dims, 4, 3, stride=2)(x).shape == (2, 3, *half.shape[2:])


def test_groups_are_a_middle_divisor() -> None:
    assert [groups_of(c) for c in (1, 7, 8, 12, 32, 64, 512)] == [1, 7, 4, 4, 8, 8, 32]


@both_dims
def test_group_norm_does_not_mix_images_and_batch_norm_does(dims: int) -> None:
    x = torch.randn(2, 4, *SIZES[dims])
    other = x.clone()
    other[1] *= 3
    group, batch = norm("group", dims, 4), norm("batch", dims, 4)
    assert torch.equal(group(x)[0], group(other)[0])
    assert not torch.equal(batch(x)[0], batch(other)[0])
    assert torch.equal(norm("none", dims, 4)(x), x)


@both_dims
@pytest.mark.parametrize("kind", ["group", "batch", "none"])
def test_block(dims: int, kind: str) -> None:
    block = ConvBlock(dims, 3, 4, kind)  # type: ignore[arg-type]
    assert block(torch.randn(2, 3, *SIZES[dims])).shape == (2, 4, *SIZES[dims])
    standardised = [isinstance(layer, StandardisedConv) for layer in block if not isinstance(layer, nn.SiLU)][::2]
    assert standardised == [kind == "group"] * 2
