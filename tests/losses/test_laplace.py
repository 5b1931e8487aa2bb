"""The whole Laplace likelihood, its constants included."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Laplace

from medudl.losses.reconstruction import absolute_error, laplace_nll

LOG_SCALE = torch.tensor(-1.3)


@pytest.mark.parametrize("shape", [(3, 2, 5, 4), (3, 1, 4, 3, 2)], ids=["2d", "3d"])
def test_laplace_nll_is_the_whole_likelihood(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    prediction, image = torch.randn(shape), torch.rand(shape)
    nll = -Laplace(prediction, LOG_SCALE.exp()).log_prob(image).flatten(1).sum(1)
    value = laplace_nll(prediction, image, LOG_SCALE)
    print(f"\nlargest relative difference {((value - nll) / nll).abs().max():.1e}, n = 3 images, seed 0")
    torch.testing.assert_close(value, nll)
    heat = laplace_nll(prediction, image, LOG_SCALE, voxelwise=True)
    assert heat.shape == (3, 1, *shape[2:])
    torch.testing.assert_close(heat.flatten(1).sum(1), value)


def test_laplace_nll_is_least_at_the_mean_absolute_error() -> None:
    torch.manual_seed(0)
    prediction, image = torch.randn(1, 1, 40, 50), torch.rand(1, 1, 40, 50)
    scales = torch.linspace(0.2, 3, 400)
    values = torch.cat([laplace_nll(prediction, image, s.log()) for s in scales])
    assert scales[values.argmin()] == pytest.approx(absolute_error(prediction, image).item() / 2000, abs=0.01)


def test_outside_the_foreground_no_constant_counts_either() -> None:
    torch.manual_seed(0)
    prediction, image = torch.randn(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    foreground = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    assert laplace_nll(prediction, image, LOG_SCALE, foreground).tolist() == [0, 0]
    foreground[..., :2] = True
    inside = laplace_nll(prediction[..., :2], image[..., :2], LOG_SCALE)
    torch.testing.assert_close(laplace_nll(prediction, image, LOG_SCALE, foreground), inside)


def test_sixteen_bits_in_full_precision_out() -> None:
    image = torch.zeros(1, 1, 64, 64)
    prediction = torch.full_like(image, 0.125)
    value = laplace_nll(prediction.bfloat16(), image.bfloat16(), LOG_SCALE.bfloat16().float())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, laplace_nll(prediction, image, LOG_SCALE.bfloat16().float()))
    assert laplace_nll(prediction.double(), image.double(), LOG_SCALE.double()).dtype == torch.float64
