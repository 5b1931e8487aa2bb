"""PatchGAN: as published, what a patch sees, scales, constant images, no mates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.networks.patch_discriminator import PatchDiscriminator, ReceptiveField
from medudl.tricks.instance_norm import InstanceNorm
from medudl.tricks.layers import CONVOLUTIONS
from medudl.tricks.spectral_norm import SpectralNorm

FIELDS: list[ReceptiveField] = [1, 16, 34, 70, 142, 286]


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_numbers_of_the_published_network() -> None:
    """2.769 million, published with batch norm, of image and condition together. Of CycleGAN's with instance norm,
    2.765 million, we leave out the biases that the norm takes away again."""
    assert _count(PatchDiscriminator(2, 6, norm="batch")) == 2_768_705
    assert _count(PatchDiscriminator(2, 3)) + (128 + 256 + 512) == 2_764_737


@pytest.mark.parametrize("field", FIELDS)
def test_receptive_field_is_its_name(field: ReceptiveField) -> None:
    """Voxels that the logit in the middle has a gradient for, along both axes."""
    torch.manual_seed(0)
    network = PatchDiscriminator(2, 1, width=1, receptive_field=field, norm="none").double()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.1, 1)  # none near 0, which would hide the corners of a field
    side = 2 * field + 6
    image = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    logits = network(image)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0, 0] != 0
    assert int(seen.any(0).sum()) == field and int(seen.any(1).sum()) == field and int(seen.sum()) == field**2


@pytest.mark.parametrize(("field", "patches"), [(1, 48), (16, 22), (34, 10), (70, 4)])
@pytest.mark.parametrize("dims", [2, 3])
@torch.no_grad()
def test_logits_of_the_published_size(field: ReceptiveField, patches: int, dims: int) -> None:
    network = PatchDiscriminator(dims, 2, width=2, receptive_field=field)
    assert network(torch.rand(2, 2, *[48] * dims)).shape == (2, 1, *[patches] * dims)


@pytest.mark.parametrize("size", [(47, 33), (24, 25), (24, 31, 26)], ids=str)
@torch.no_grad()
def test_any_size_that_gives_a_patch(size: tuple[int, ...]) -> None:
    """Images smaller than the field, too."""
    torch.manual_seed(0)
    logits = PatchDiscriminator(len(size), 1, width=4)(torch.rand(2, 1, *size))
    assert logits.shape == (2, 1, *(side // 8 - 2 for side in size)) and logits.isfinite().all()


@pytest.mark.parametrize(
    ("field", "scales", "least", "fits"),
    [(70, 1, 24, "34"), (70, 2, 48, "34"), (34, 1, 12, "16"), (286, 1, 96, "142"), (1, 2, 4, "fewer scales")],
)
def test_too_small_is_said_in_one_line(field: ReceptiveField, scales: int, least: int, fits: str) -> None:
    network = PatchDiscriminator(2, 1, width=2, receptive_field=field, scales=scales)
    network(torch.rand(1, 1, least, least))
    with pytest.raises(
        UserError, match=f"needs {least} voxels along each side, and images have {least} x {least - 1};"
    ):
        network(torch.rand(1, 1, least, least - 1))


@torch.no_grad()
def test_each_scale_weighs_the_same() -> None:
    torch.manual_seed(0)
    network, image = PatchDiscriminator(2, 1, width=4, receptive_field=1, scales=3), torch.rand(2, 1, 32, 32)
    logits = network(image)
    assert logits.shape == (2, 3, 32, 32)
    for scale, judge in enumerate(network.judges):
        own = judge(nn.functional.avg_pool2d(image, 2**scale))
        torch.testing.assert_close(logits[:, scale : scale + 1, :: 2**scale, :: 2**scale], own)
        torch.testing.assert_close(logits[:, scale].mean((1, 2)), own.mean((1, 2, 3)))
    assert len({float(judge[0][0].weight.detach().sum()) for judge in network.judges}) == 3, "weights of their own"


@pytest.mark.parametrize("scales", [1, 2])
@torch.no_grad()
def test_features_are_the_hidden_layers(scales: int) -> None:
    torch.manual_seed(0)
    network, image = PatchDiscriminator(2, 1, width=4, scales=scales), torch.rand(2, 1, 64, 64)
    features = network.features(image)
    assert [f.shape[1] for f in features] == [4, 8, 16, 32] * scales
    torch.testing.assert_close(network.judges[0][-1](features[3]), network(image)[:, :1])


@torch.no_grad()
def test_is_told_the_condition() -> None:
    torch.manual_seed(0)
    network, image = PatchDiscriminator(2, 3, width=4, receptive_field=16), torch.rand(2, 1, 16, 16)
    numbers = torch.rand(2, 2)
    places = numbers[:, :, None, None].expand(-1, -1, 16, 16)
    torch.testing.assert_close(network(image, numbers), network(torch.cat([image, places], 1)))
    torch.testing.assert_close(network(image, places), network(torch.cat([image, places], 1)))
    assert not torch.allclose(network(image, numbers), network(image, 1 - numbers))
    assert network.features(image, numbers)[0].shape[1] == 4


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dims", [2, 3])
def test_an_empty_slice_gives_finite_numbers_and_gradients(value: float, dtype: torch.dtype, dims: int) -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(dims, 1, width=4)
    image = torch.full((1, 1, *[24] * dims), value, requires_grad=True)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits: Tensor = network(image)
    logits.float().square().sum().backward()
    assert logits.isfinite().all() and image.grad is not None and image.grad.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_no_image_depends_on_its_mates() -> None:
    torch.manual_seed(0)
    network, images = PatchDiscriminator(2, 1, width=8, scales=2), torch.rand(4, 1, 65, 50)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone, atol=1e-5, rtol=0)


def test_a_penalty_on_its_slope_has_a_gradient() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(2, 1, width=4, receptive_field=16)
    image = torch.rand(2, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(network(image).sum(), image, create_graph=True)
    slope.square().sum().backward()
    weights = [m.weight for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    assert all(w.grad is not None and w.grad.isfinite().all() and w.grad.any() for w in weights)


@torch.no_grad()
def test_tricks_find_its_layers() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(2, 1, width=4, norm="batch")
    InstanceNorm(players=["discriminator"]).build({"discriminator": network})
    SpectralNorm().build({"discriminator": network})
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    layers = [m for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    assert len(layers) == 5 and all(hasattr(m, "parametrizations") for m in layers)
    assert network(torch.rand(1, 1, 32, 32)).isfinite().all()
