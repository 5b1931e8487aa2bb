"""The Gaussian of the training codes, against scikit-learn and in its corners."""

import numpy as np
import pytest
import torch
from sklearn.covariance import OAS

from medudl.errors import UserError
from medudl.methods.code_distance import CodeGaussian


def _codes(count: int, latent: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(count, latent) @ torch.randn(latent, latent) + 100 * torch.rand(latent)


@pytest.mark.parametrize(("count", "latent"), [(400, 5), (6, 9), (3, 1)])
def test_equal_to_scikit_learns_shrunk_mahalanobis(count: int, latent: int) -> None:
    codes, fitted = _codes(count, latent), CodeGaussian(latent)
    fitted.fit(codes.split(7))
    reference = OAS().fit(codes.double().numpy())
    seen = torch.cat([codes[:3], 2 * codes[:2]])
    expected = np.sqrt(reference.mahalanobis(seen.double().numpy()))
    assert fitted.distance(seen).numpy() == pytest.approx(expected, rel=2e-3)
    assert fitted.count == count


def test_distance_of_gaussian_codes_is_chi() -> None:
    codes, fitted = _codes(20_000, 8), CodeGaussian(8)
    fitted.fit(codes.split(500))
    assert fitted.distance(codes).square().mean() == pytest.approx(8, rel=0.01)


def test_the_unit_of_the_code_does_not_matter() -> None:
    codes, small, large = _codes(50, 4), CodeGaussian(4), CodeGaussian(4)
    small.fit([codes])
    large.fit([1000 * codes])
    torch.testing.assert_close(large.distance(1000 * codes), small.distance(codes), rtol=1e-3, atol=1e-3)


def test_before_fit_it_is_the_plain_distance() -> None:
    fresh = CodeGaussian(3)
    assert fresh.count == 0
    assert fresh.distance(torch.tensor([[3.0, 4.0, 0.0]])).tolist() == [5.0]


@pytest.mark.parametrize("count", [1, 50])
def test_codes_without_spread_give_the_plain_distance_from_them(count: int) -> None:
    fitted = CodeGaussian(2)
    fitted.fit([torch.full((count, 2), 7.0)])
    assert fitted.distance(torch.tensor([[7.0, 8.0]])).tolist() == [1.0]


def test_a_dead_dimension_does_not_make_it_infinite() -> None:
    codes = _codes(5000, 4)
    codes[:, 2] = 1.5
    fitted = CodeGaussian(4)
    fitted.fit([codes])
    assert fitted.distance(codes).isfinite().all()


def test_sixteen_bits_in_full_precision_out() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert CodeGaussian(2).distance(torch.ones(1, 2, dtype=torch.bfloat16)).dtype == torch.float32


def test_weights_without_it_load_and_stand_as_before_fit() -> None:
    fitted = CodeGaussian(2)
    fitted.load_state_dict({})
    assert fitted.count == 0
    with pytest.raises(RuntimeError, match="size mismatch"):
        fitted.load_state_dict({"mean": torch.zeros(3)})


def test_what_cannot_be_measured_is_told() -> None:
    with pytest.raises(UserError, match="no training image"):
        CodeGaussian(2).fit([])
    with pytest.raises(UserError, match="not finite"):
        CodeGaussian(2).fit([torch.tensor([[1.0, float("nan")]])])
