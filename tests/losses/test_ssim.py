"""1 - SSIM against MONAI's SSIM away from the border, its corners, and its invariances."""

import pytest
import torch
from monai.metrics.regression import compute_ssim_and_cs
from torch import Tensor

from medudl.losses.ssim import similarity, structural_dissimilarity

SHAPES = [(3, 2, 19, 16), (2, 1, 14, 13, 12)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])


def _pair(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    image = torch.rand(shape)
    return (image + 0.2 * torch.randn(shape)).clamp(0, 1), image


@every_shape
@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_equal_to_monai_where_the_window_fits(shape: tuple[int, ...], data_range: float) -> None:
    prediction, image = (data_range * x for x in _pair(shape))
    dims = len(shape) - 2
    reference, _ = compute_ssim_and_cs(
        prediction, image, spatial_dims=dims, kernel_size=[11] * dims, kernel_sigma=[1.5] * dims, data_range=data_range
    )
    own = similarity(prediction, image, torch.ones_like(image[:, :1]), data_range)
    inner = own[(..., *[slice(5, -5)] * dims)]
    print(f"largest difference from MONAI's SSIM: {(inner - reference).abs().max():.1e}, n = {inner.numel()} voxels")
    torch.testing.assert_close(inner, reference, rtol=0, atol=2e-5)


@every_shape
def test_between_0_and_2_a_voxel_and_0_for_equal_images(shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    heat = structural_dissimilarity(prediction, image, voxelwise=True)
    assert heat.min() >= -1e-5 and heat.max() <= 2 * shape[1] + 1e-5
    assert structural_dissimilarity(image, image).abs().max() < 1e-3
    opposite = structural_dissimilarity(1 - image, image, voxelwise=True) / shape[1]
    assert opposite.mean() > 1, "opposite structure is worse than none"


@every_shape
def test_a_sum_over_voxels_and_the_map_sums_to_it(shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    for foreground in (None, torch.rand(shape[0], 1, *shape[2:]) > 0.4):
        heat = structural_dissimilarity(prediction, image, foreground, voxelwise=True)
        value = structural_dissimilarity(prediction, image, foreground)
        assert heat.shape == (shape[0], 1, *shape[2:]) and value.shape == (shape[0],)
        torch.testing.assert_close(heat.flatten(1).sum(1), value)
    order = torch.arange(shape[0]).flip(0)
    whole = structural_dissimilarity(prediction, image)
    torch.testing.assert_close(structural_dissimilarity(prediction[order], image[order]), whole[order])


@every_shape
def test_symmetric_and_blind_to_the_unit(shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    value = structural_dissimilarity(prediction, image)
    torch.testing.assert_close(structural_dissimilarity(image, prediction), value)
    scaled = structural_dissimilarity(1000 * prediction, 1000 * image, data_range=1000)
    torch.testing.assert_close(scaled, value, rtol=1e-4, atol=1e-3)
    mirrored = structural_dissimilarity(prediction.flip(-1).transpose(-1, -2), image.flip(-1).transpose(-1, -2))
    torch.testing.assert_close(mirrored, value, rtol=1e-4, atol=1e-3)


@every_shape
def test_outside_the_foreground_nothing_counts(shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    foreground = torch.zeros(shape[0], 1, *shape[2:], dtype=torch.bool)
    foreground[..., 3:9, 2:10] = True
    elsewhere = torch.where(foreground, prediction, prediction + 5).requires_grad_()
    value = structural_dissimilarity(elsewhere, image, foreground)
    torch.testing.assert_close(value, structural_dissimilarity(prediction, image, foreground))
    value.sum().backward()
    assert elsewhere.grad is not None and elsewhere.grad.isfinite().all()
    assert (elsewhere.grad * ~foreground == 0).all() and (elsewhere.grad * foreground != 0).any()


def test_it_sees_structure_where_the_squared_error_is_the_same() -> None:
    """A constant shift and noise of the same squared error: noise destroys structure."""
    torch.manual_seed(0)
    ramp = torch.linspace(0.2, 0.8, 32).expand(1, 1, 32, 32)
    noise = torch.randn(1, 1, 32, 32)
    noise = 0.1 * noise / noise.square().mean().sqrt()
    shift, noisy = structural_dissimilarity(ramp + 0.1, ramp), structural_dissimilarity(ramp + noise, ramp)
    assert noisy > 5 * shift


def test_flat_images_and_their_gradient_are_finite() -> None:
    image = torch.full((1, 1, 8, 8), 0.5)
    prediction = image.clone().requires_grad_()
    structural_dissimilarity(prediction, image).sum().backward()
    assert prediction.grad is not None and prediction.grad.abs().max() < 1e-3
    black = torch.zeros(1, 1, 8, 8)
    assert structural_dissimilarity(black, black, torch.zeros(1, 1, 8, 8, dtype=torch.bool)).item() == 0


def test_its_gradient_points_to_the_image() -> None:
    prediction, image = _pair(SHAPES[0])
    prediction.requires_grad_()
    loss = structural_dissimilarity(prediction, image).sum()
    (slope,) = torch.autograd.grad(loss, prediction)
    direction = torch.nn.functional.normalize(torch.randn(SHAPES[0]).flatten(), dim=0).view(SHAPES[0])
    step = 1e-2
    with torch.no_grad():
        ahead = structural_dissimilarity(prediction + step * direction, image).double().sum()
        behind = structural_dissimilarity(prediction - step * direction, image).double().sum()
    assert ((ahead - behind) / (2 * step)).item() == pytest.approx((slope * direction).sum().item(), rel=0.02)


def test_sixteen_bits_in_full_precision_out() -> None:
    prediction, image = _pair(SHAPES[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = structural_dissimilarity(prediction.bfloat16(), image.bfloat16())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, structural_dissimilarity(prediction.bfloat16(), image.bfloat16()))
