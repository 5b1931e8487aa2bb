"""Losses against likelihoods in closed form, against torch's own, and their invariances."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Laplace, Normal
from torch.nn import functional as F

from medudl.losses.reconstruction import absolute_error, bernoulli_cross_entropy, gaussian_nll, squared_error

SHAPES = [(3, 2, 5, 4), (3, 1, 4, 3, 2)]
LOG_SIGMA = torch.tensor(-0.7)


def gaussian(prediction: Tensor, image: Tensor, *rest: Tensor, voxelwise: bool = False) -> Tensor:
    return gaussian_nll(prediction, image, LOG_SIGMA, *rest, voxelwise=voxelwise)


Loss = Callable[..., Tensor]
every_loss = pytest.mark.parametrize("loss", [squared_error, absolute_error, gaussian, bernoulli_cross_entropy])
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])


def _pair(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(shape), torch.rand(shape)


@every_shape
def test_squared_error_is_the_gaussian_likelihood_at_sigma2_one_half(shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    nll = -Normal(prediction, math.sqrt(0.5)).log_prob(image).flatten(1).sum(1)
    constant = 0.5 * math.log(math.pi) * math.prod(shape[1:])
    torch.testing.assert_close(squared_error(prediction, image) + constant, nll)


@every_shape
def test_absolute_error_is_the_laplace_likelihood_at_scale_one(shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    nll = -Laplace(prediction, 1.0).log_prob(image).flatten(1).sum(1)
    torch.testing.assert_close(absolute_error(prediction, image) + math.log(2) * math.prod(shape[1:]), nll)


@every_shape
def test_gaussian_nll_is_the_whole_likelihood(shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    nll = -Normal(prediction, LOG_SIGMA.exp()).log_prob(image).flatten(1).sum(1)
    torch.testing.assert_close(gaussian(prediction, image), nll)


def test_gaussian_nll_is_least_at_the_errors_own_sigma() -> None:
    prediction, image = _pair((1, 1, 40, 50))
    sigmas = torch.linspace(0.2, 3, 400)
    values = torch.cat([gaussian_nll(prediction, image, s.log()) for s in sigmas])
    assert sigmas[values.argmin()] == pytest.approx((prediction - image).square().mean().sqrt().item(), abs=0.01)


@every_shape
def test_cross_entropy_is_the_bernoulli_likelihood_of_black_and_white(shape: tuple[int, ...]) -> None:
    logits, image = _pair(shape)
    image = image.round()
    nll = -Bernoulli(logits=logits).log_prob(image).flatten(1).sum(1)
    torch.testing.assert_close(bernoulli_cross_entropy(logits, image), nll)


def test_cross_entropy_of_grey_is_least_at_the_image_but_not_zero_there() -> None:
    image = torch.full((1, 1, 2, 2), 0.3)
    best = bernoulli_cross_entropy(torch.logit(image), image)
    entropy = -4 * (0.3 * math.log(0.3) + 0.7 * math.log(0.7))
    torch.testing.assert_close(best, torch.tensor([entropy]))
    for p in (0.25, 0.35):
        assert bernoulli_cross_entropy(torch.logit(torch.full_like(image, p)), image) > best


def test_cross_entropy_takes_logits_of_any_size() -> None:
    logits = torch.tensor([-1e4, 1e4]).view(1, 1, 1, 2).requires_grad_()
    loss = bernoulli_cross_entropy(logits, torch.tensor([1.0, 0.0]).view(1, 1, 1, 2))
    loss.sum().backward()
    assert loss.item() == pytest.approx(2e4) and logits.grad is not None
    assert logits.grad.flatten().tolist() == [-1.0, 1.0]


@every_loss
@every_shape
def test_a_sum_over_voxels_one_value_an_image(loss: Loss, shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    value = loss(prediction, image)
    assert value.shape == (3,)
    doubled = loss(torch.cat([prediction] * 2, dim=2), torch.cat([image] * 2, dim=2))
    torch.testing.assert_close(doubled, 2 * value)


@every_loss
@every_shape
def test_the_map_sums_to_the_value(loss: Loss, shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    foreground = torch.rand(3, 1, *shape[2:]) > 0.4
    for extra in ((), (foreground,)):
        heat = loss(prediction, image, *extra, voxelwise=True)
        assert heat.shape == (3, 1, *shape[2:])
        torch.testing.assert_close(heat.flatten(1).sum(1), loss(prediction, image, *extra))


@every_loss
@every_shape
def test_images_do_not_mix(loss: Loss, shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    order = torch.tensor([2, 0, 1])
    assert torch.equal(loss(prediction[order], image[order]), loss(prediction, image)[order])


@every_loss
@every_shape
def test_the_order_of_voxels_does_not_matter(loss: Loss, shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    order = torch.randperm(math.prod(shape[2:]))

    def shuffled(x: Tensor) -> Tensor:
        return x.flatten(2)[..., order].view(shape)

    torch.testing.assert_close(loss(shuffled(prediction), shuffled(image)), loss(prediction, image))


@every_loss
@every_shape
def test_outside_the_foreground_nothing_counts(loss: Loss, shape: tuple[int, ...]) -> None:
    prediction, image = _pair(shape)
    foreground = torch.rand(3, 1, *shape[2:]) > 0.4
    elsewhere = torch.where(foreground, prediction, prediction + 5).requires_grad_()
    torch.testing.assert_close(loss(elsewhere, image, foreground), loss(prediction, image, foreground))
    loss(elsewhere, image, foreground).sum().backward()
    assert elsewhere.grad is not None
    assert (elsewhere.grad * ~foreground == 0).all() and (elsewhere.grad * foreground != 0).any()
    assert torch.equal(loss(prediction, image, torch.ones_like(foreground)), loss(prediction, image))


def test_weights_weigh() -> None:
    prediction, image = _pair(SHAPES[0])
    half = torch.full((3, 1, 5, 4), 0.5)
    torch.testing.assert_close(squared_error(prediction, image, half), squared_error(prediction, image) / 2)


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (squared_error, F.mse_loss),
        (absolute_error, F.l1_loss),
        (bernoulli_cross_entropy, F.binary_cross_entropy_with_logits),
    ],
)
def test_equal_to_torch(loss: Loss, reference: Loss) -> None:
    prediction, image = _pair(SHAPES[0])
    for i in range(3):
        torch.testing.assert_close(loss(prediction, image)[i], reference(prediction[i], image[i], reduction="sum"))


@every_loss
def test_sixteen_bits_in_full_precision_out(loss: Loss) -> None:
    """64 x 64 errors of 0.1 would stop growing early in a bfloat16 sum."""
    image = torch.zeros(1, 1, 64, 64)
    prediction = torch.full_like(image, 0.125)
    value = loss(prediction.bfloat16(), image.bfloat16())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(prediction, image))
