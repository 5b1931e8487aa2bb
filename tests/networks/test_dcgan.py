"""DCGAN's networks: what they are made of, any size, and no checkerboard."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medudl.networks.dcgan import Discriminator, Generator, ResizeConv, Upsampling, levels_of

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
SHAPES = [(1, 28, 28), (3, 64, 64), (4, 45, 71), (2, 12, 10), (1, 8, 6, 5), (1, 20, 16, 18)]


def _kinds(network: nn.Module) -> list[str]:
    kinds = {**dict.fromkeys(CONVOLUTIONS, "conv"), **dict.fromkeys(NORMS, "norm")}
    plain = {nn.ReLU: "relu", nn.LeakyReLU: "leaky", nn.Tanh: "tanh"}
    return [{**kinds, **plain}[type(m)] for m in network.modules() if type(m) in {**kinds, **plain}]


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
def test_layers_are_those_of_the_paper(upsampling: Upsampling) -> None:
    generator, discriminator = (
        Generator((1, 64, 64), 100, 64, "batch", upsampling),
        Discriminator((1, 64, 64), 64, "batch"),
    )
    assert _kinds(generator) == ["conv", "norm", "relu"] * 4 + ["conv", "tanh"], "no norm at the output"
    assert _kinds(discriminator) == ["conv", "leaky"] + ["conv", "norm", "leaky"] * 3 + ["conv"], "none at the input"
    for network in (generator, discriminator):
        assert not [m for m in network.modules() if isinstance(m, (nn.Linear, nn.MaxPool2d, nn.AvgPool2d))]
    assert {m.negative_slope for m in discriminator.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}
    shapes = [tuple(f.shape[1:]) for f in discriminator.features(torch.zeros(2, 1, 64, 64))]
    assert shapes == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    halving = [m for m in discriminator.body.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.stride == (2, 2) for m in halving)


def test_first_weights_are_normal() -> None:
    torch.manual_seed(0)
    for network in (Generator((1, 64, 64), 100, 64, "batch", "resize"), Discriminator((1, 64, 64), 64, "batch")):
        weights = [m.weight.flatten() for m in network.modules() if isinstance(m, CONVOLUTIONS)]
        everything = torch.cat(weights)
        assert abs(everything.mean()) < 1e-4 and everything.std().item() == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@torch.no_grad()
def test_any_size(shape: tuple[int, ...], upsampling: Upsampling) -> None:
    torch.manual_seed(0)
    condition = torch.rand(3, 2)
    image = Generator(shape, 5, 4, "batch", upsampling, condition=2)(10 * torch.randn(3, 5), condition)
    assert image.shape == (3, *shape) and image.abs().max() <= 1
    discriminator = Discriminator(shape, 4, "batch", condition=2)
    assert discriminator(image, condition).shape == (3,)
    features = discriminator.features(image, condition)
    torch.testing.assert_close(discriminator.head(features[-1]), discriminator(image, condition), atol=1e-6, rtol=0)


def test_levels() -> None:
    assert [levels_of((side, side)) for side in (8, 16, 28, 32, 64, 100, 128, 256)] == [1, 2, 2, 3, 4, 4, 5, 6]


@torch.no_grad()
def test_both_are_told_the_condition() -> None:
    torch.manual_seed(0)
    one, other = torch.eye(2)[[0, 0, 0]], torch.eye(2)[[1, 1, 1]]
    generator, discriminator = (
        Generator((1, 16, 16), 5, 8, "none", "resize", 2),
        Discriminator((1, 16, 16), 8, "none", 2),
    )
    code, image = torch.randn(3, 5), torch.rand(3, 1, 16, 16)
    assert not torch.allclose(generator(code, one), generator(code, other))
    assert not torch.allclose(discriminator(image, one), discriminator(image, other))


@pytest.mark.parametrize(("dims", "size"), [(2, (5, 7)), (2, (9, 11)), (3, (3, 4, 5)), (3, (5, 4, 6))])
@pytest.mark.parametrize("bias", [True, False])
def test_one_pass_is_enlarging_and_then_convolving(dims: int, size: tuple[int, ...], bias: bool) -> None:
    """Of few voxels, where they are done apart, and of more."""
    torch.manual_seed(0)
    layer, x = ResizeConv(dims, 3, 4, bias).double(), torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(layer(x), layer.conv(nn.Upsample(scale_factor=2)(x)), atol=1e-12, rtol=0)


def _nyquist(image: Tensor) -> float:
    """Share of the power, but for the mean's, that lies at the highest frequency along either axis."""
    power = torch.fft.fft2(image).abs().square()
    middle = image.shape[-1] // 2
    highest = power[..., middle, :].sum() + power[..., :, middle].sum() - power[..., middle, middle].sum()
    return float(highest / image.square().sum() / image.shape[-1] / image.shape[-2])


@torch.no_grad()
def test_constant_features_make_a_checkerboard_only_by_transposed_convolution() -> None:
    """Away from the border, for first weights of three seeds."""
    shares: dict[str, list[float]] = {"resize": [], "transposed": []}
    for seed in range(3):
        for upsampling, found in shares.items():
            torch.manual_seed(seed)
            generator = Generator((1, 64, 64), 10, 16, "batch", upsampling)  # type: ignore[arg-type]
            enlarge = generator.body[-1][0]
            channels = generator.body[-2][0].conv.out_channels if upsampling == "resize" else enlarge.in_channels
            made = enlarge(torch.rand(1, channels, 1, 1).expand(1, channels, 20, 20))
            found.append(_nyquist(made[..., 4:-4, 4:-4]))
    print(
        f"\npower at Nyquist, resize {max(shares['resize']):.1e}, transposed {min(shares['transposed']):.2f}, 3 seeds"
    )
    assert max(shares["resize"]) < 1e-10
    assert min(shares["transposed"]) > 1e-2
