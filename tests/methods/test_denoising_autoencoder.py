"""What is the denoising autoencoder's own, beyond the contract."""

import math
from typing import Any

import pytest
import torch
from flow import turns
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.denoising_autoencoder import DenoisingAutoencoder


def _build(shape: tuple[int, ...], **options: Any) -> DenoisingAutoencoder:
    method = build("denoising_autoencoder", shape, {"width": 4, "levels": 2, **options})
    assert isinstance(method, DenoisingAutoencoder)
    return method


class Record(nn.Module):
    """Stands in for the network: remembers its input, gives a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(0.25))

    def forward(self, image: Tensor) -> Tensor:
        self.seen = image
        return self.value.expand_as(image)


def test_it_sees_noise_and_is_compared_with_the_clean_image_inside_the_foreground() -> None:
    torch.manual_seed(0)
    method = _build((2, 8, 8), grid=4)
    method.network = Record()
    image = torch.rand(3, 2, 8, 8)
    foreground = torch.rand(3, 1, 8, 8) > 0.3
    objective = next(iter(method.step({"image": image, "foreground": foreground})))
    seen = method.network.seen
    assert torch.equal(seen * ~foreground, image * ~foreground)
    assert ((seen - image)[foreground.expand_as(image)]).abs().mean() > 0.05
    expected = ((0.25 - image).square() * foreground).flatten(1).mean(1).mean()
    assert objective.loss is not None
    torch.testing.assert_close(objective.loss, expected)


def test_without_foreground_everything_is_foreground() -> None:
    method = _build((1, 8, 8), grid=4)
    method.network = Record()
    image = torch.rand(3, 1, 8, 8)
    next(iter(method.step({"image": image})))
    assert (method.network.seen != image).all()


def test_no_noise_at_test_time() -> None:
    method = _build((1, 8, 8)).eval()
    method.network = Record()
    image = torch.rand(2, 1, 8, 8)
    for verb in (method.reconstruct, method.denoise, method.anomaly):
        verb(image)
        assert torch.equal(method.network.seen, image)


def test_map_is_the_absolute_difference() -> None:
    method = _build((2, 8, 8)).eval()
    image = torch.rand(2, 2, 8, 8)
    heat, score = method.anomaly(image)
    expected = (image - method.reconstruct(image)).abs().mean(1, keepdim=True)
    torch.testing.assert_close(heat, expected)
    torch.testing.assert_close(score, expected.flatten(1).mean(1))


@pytest.mark.parametrize("size", [(155, 24), (5, 7, 9)], ids=str)
def test_any_size_and_another_one_than_in_training(size: tuple[int, ...]) -> None:
    method = _build((1, *size), levels=3)
    assert method.reconstruct(torch.rand(1, 1, *size)).shape == (1, 1, *size)
    larger = tuple(s + 3 for s in size)
    assert method.reconstruct(torch.rand(1, 1, *larger)).shape == (1, 1, *larger)


def test_residual_adds_the_image() -> None:
    method = _build((1, 8, 8), residual=True).eval()
    method.network = Record()
    image = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(method.reconstruct(image), image + 0.25)
    method.corrupt = lambda x, *_, **__: x + 1
    torch.testing.assert_close(method.validate({"image": image})["loss"], torch.full((2,), 1.25**2))
    with pytest.raises(UserError, match="residual"):
        _build((1, 8, 8), residual=True, network="bottleneck")


def test_a_unets_code_is_the_mean_of_its_coarsest_features_and_draws_nothing() -> None:
    unet = _build((1, 8, 8))
    image = torch.rand(2, 1, 8, 8)
    assert "decode" not in unet.verbs() and {"encode", "denoise"} <= set(unet.verbs())
    assert unet.feature_map(image).shape == (2, 8, 4, 4)
    torch.testing.assert_close(unet.encode(image), unet.feature_map(image).mean((2, 3)))
    with pytest.raises(UserError, match="network: bottleneck"):
        unet.decode(torch.rand(1, 8))


def test_a_bottleneck_draws_from_its_code() -> None:
    bottleneck, image = _build((1, 8, 8), network="bottleneck", latent=5), torch.rand(2, 1, 8, 8)
    assert bottleneck.encode(image).shape == (2, 5)
    torch.testing.assert_close(bottleneck.decode(bottleneck.encode(image)), bottleneck.reconstruct(image))
    assert bottleneck.feature_map(image).shape == (2, 8, 2, 2)


class Gaussian:
    """Images from N(mean, cov) with a smooth covariance; scores of the data with and without noise."""

    def __init__(self, side: int, sigma: float) -> None:
        points = torch.cartesian_prod(torch.arange(side).float(), torch.arange(side).float())
        self.shape, n = (1, side, side), side * side
        self.mean = 0.5 + 0.1 * torch.sin(points[:, 0] + 2 * points[:, 1])
        cov = 0.04 * torch.exp(-torch.cdist(points, points).square() / 4.5) + 1e-4 * torch.eye(n)
        self.factor = torch.linalg.cholesky(cov)
        self.corrupted = torch.linalg.inv(cov + sigma**2 * torch.eye(n))
        self.clean = torch.linalg.inv(cov)

    def draw(self, count: int) -> Tensor:
        return (self.mean + torch.randn(count, len(self.mean)) @ self.factor.T).view(count, *self.shape)

    def score(self, x: Tensor, precision: Tensor) -> Tensor:
        """Gradient of the log density at x, (B, n)."""
        return -(x.flatten(1) - self.mean) @ precision


def _fit(method: DenoisingAutoencoder, data: Gaussian, steps: int, batch: int, lr: float) -> None:
    optimiser = torch.optim.Adam(method.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        turns(method, {"image": data.draw(batch)}, {"autoencoder": optimiser}, lambda _: None)
        schedule.step()


@pytest.mark.proof
@pytest.mark.parametrize(
    ("options", "batch", "lr"),
    [
        ({"network": "bottleneck", "latent": 32, "width": 32, "levels": 1}, 512, 3e-3),
        ({"network": "unet", "width": 16, "levels": 2}, 512, 4e-3),
    ],
    ids=["bottleneck", "unet"],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
@torch.enable_grad()
def test_denoising_learns_the_score(options: dict[str, Any], batch: int, lr: float, seed: int) -> None:
    """(r(x) - x) / sigma^2 = gradient of the log density of the CORRUPTED data (Alain & Bengio 2014)."""
    sigma = 0.2
    torch.manual_seed(seed)
    data = Gaussian(4, sigma)
    method = _build(data.shape, noise="gaussian", sigma=sigma, norm="none", **options)
    _fit(method, data, 3000, batch, lr)
    with torch.no_grad():
        x = data.draw(20_000)
        x = x + sigma * torch.randn_like(x)
        field = ((method.denoise(x) - x) / sigma**2).flatten(1)
        corrupted, clean = data.score(x, data.corrupted), data.score(x, data.clean)

    def error(truth: Tensor) -> float:
        return math.sqrt((field - truth).square().sum() / truth.square().sum())

    print(f"relative error of the score: {error(corrupted):.4f} (clean data's score: {error(clean):.2f})")
    assert error(corrupted) < 0.05
    assert error(clean) > 0.5
