"""U-Net and the encoder-decoder: any size, gradients everywhere, parameters as published, equal results again."""

import pytest
import torch

from medudl.networks.convolutional import ConvDecoder, ConvEncoder
from medudl.networks.unet import UNet

odd_sizes = pytest.mark.parametrize("size", [(16, 16), (15, 23), (1, 3), (7, 9, 6)], ids=str)


def test_parameters_of_the_full_size() -> None:
    """About 7.7 million, four contrasts in and out (Kascenas et al. 2022)."""
    with torch.device("meta"):
        net = UNet(2, 4, 4)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(7.7e6, rel=0.005)


@odd_sizes
@pytest.mark.parametrize("patch", [1, 2])
def test_unet_keeps_any_size(size: tuple[int, ...], patch: int) -> None:
    net = UNet(len(size), 2, 3, width=4, levels=3, patch=patch, norm="none")
    x = torch.randn(2, 2, *size, requires_grad=True)
    out = net(x)
    assert out.shape == (2, 3, *size)
    out.square().mean().backward()
    assert x.grad is not None and (x.grad != 0).all(), "a voxel without a way to the output"
    assert all(p.grad is not None and (p.grad != 0).any() for p in net.parameters())


def test_a_skip_carries_single_voxels() -> None:
    """Averaging alone cannot tell two neighbouring voxels apart; the finest skip can."""
    torch.manual_seed(0)
    net = UNet(2, 1, 1, width=4, levels=3, norm="none")
    x = torch.zeros(2, 1, 16, 16)
    x[0, 0, 8, 8] = x[1, 0, 8, 9] = 1  # the same 2 x 2 cell at the next level
    a, b = net(x)
    assert not torch.allclose(a, b)
    difference = (a - b).abs()
    assert difference[0, 8, 8] > 10 * difference[0, 0, 0]


def test_a_padded_image_is_not_shifted() -> None:
    """13 x 14 in the middle of a 16 x 16 frame: an identity network must give the image back."""
    net = UNet(2, 1, 1, width=4, levels=1, patch=4, norm="none")
    x = torch.randn(1, 1, 13, 14)
    net.down = torch.nn.ModuleList([torch.nn.Identity()])
    net.last = torch.nn.Identity()  # type: ignore[assignment]
    assert torch.equal(net(x), x)


@odd_sizes
def test_code_and_back(size: tuple[int, ...]) -> None:
    shape = (2, *size)
    encoder = ConvEncoder(shape, 5, width=4, levels=2, kind="none")
    decoder = ConvDecoder(shape, 5, width=4, levels=2, kind="none")
    x = torch.randn(3, *shape, requires_grad=True)
    code = encoder(x)
    assert code.shape == (3, 5)
    out = decoder(code)
    assert out.shape == x.shape
    out.square().mean().backward()
    assert x.grad is not None and (x.grad != 0).all()
    assert all(p.grad is not None and (p.grad != 0).any() for p in [*encoder.parameters(), *decoder.parameters()])


def test_same_weights_same_result() -> None:
    nets = []
    for _ in range(2):
        torch.manual_seed(1)
        net = UNet(3, 1, 1, width=4, levels=2)
        net(torch.randn(2, 1, 6, 8, 10)).square().mean().backward()
        nets.append([p.grad for p in net.parameters()])
    assert all(a is not None and b is not None and torch.equal(a, b) for a, b in zip(*nets, strict=True))
