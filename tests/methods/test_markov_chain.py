"""The Markov chain of a denoising autoencoder recovers mean and variance of Gaussian images; one of means does not."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.denoising_autoencoder import DenoisingAutoencoder
from medudl.methods.markov_chain import Chain, Residual, ResidualSums

SHAPE, SIGMA = (1, 4, 4), 0.2


class Pixels:
    """Images of independent pixels, each N(m_i, s_i^2): there, p(x given corrupted) is as the chain takes it to be."""

    def __init__(self) -> None:
        self.mean = torch.linspace(0.3, 0.7, 16).view(SHAPE)
        self.spread = torch.linspace(0.3, 0.1, 16).view(SHAPE)

    def draw(self, count: int) -> Tensor:
        return self.mean + self.spread * torch.randn(count, *SHAPE)


class Exact(nn.Module):
    """The best denoiser in closed form: E(x given x + n) = m + s^2 / (s^2 + sigma^2) (x + n - m)."""

    def __init__(self, data: Pixels) -> None:
        super().__init__()
        self.data = data
        self.gain = nn.Parameter(data.spread.square() / (data.spread.square() + SIGMA**2))

    def forward(self, image: Tensor) -> Tensor:
        return self.data.mean + self.gain * (image - self.data.mean)


def _build(**options: Any) -> DenoisingAutoencoder:
    method = build("denoising_autoencoder", SHAPE, {"noise": "gaussian", "sigma": SIGMA, **options})
    assert isinstance(method, DenoisingAutoencoder)
    return method


def _exact(data: Pixels, **chain: Any) -> DenoisingAutoencoder:
    method = _build(width=4, levels=1, chain=chain)
    method.network = Exact(data)
    method.codes.fit = lambda codes: sum(1 for _ in codes)  # type: ignore[assignment,method-assign]
    method.encode = lambda image: image.flatten(1)  # type: ignore[method-assign]
    return method.eval()


def _errors(samples: Tensor, data: Pixels) -> tuple[float, float]:
    """Largest error of a pixel's mean in its standard deviations, and of its variance, relative."""
    mean = ((samples.mean(0) - data.mean) / data.spread).abs().max().item()
    variance = (samples.var(0) / data.spread.square() - 1).abs().max().item()
    return mean, variance


@torch.no_grad()
def test_the_residual_is_the_spread_of_the_clean_image_given_the_corrupted_one() -> None:
    torch.manual_seed(0)
    data = Pixels()
    method = _exact(data)
    assert method.left is not None
    torch.testing.assert_close(method.left.variance, torch.full(SHAPE, SIGMA**2))
    method.settle({"image": data.draw(500)} for _ in range(20))
    expected = data.spread.square() * SIGMA**2 / (data.spread.square() + SIGMA**2)
    torch.testing.assert_close(method.left.variance, expected, rtol=0.06, atol=0)
    torch.testing.assert_close(method.left.mean, data.mean, rtol=0, atol=0.02)


@pytest.mark.parametrize("start", ["mean", "noise"])
@torch.no_grad()
def test_the_chain_recovers_mean_and_variance_and_a_chain_of_means_does_not(
    start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    data = Pixels()
    method = _exact(data, start=start, burn_in=30, thin=5, chains=3000)
    method.settle({"image": data.draw(500)} for _ in range(20))
    mean, variance = _errors(method.sample(6000), data)
    monkeypatch.setattr(Residual, "draw", lambda _, expected: expected)
    wrong_mean, wrong = _errors(method.sample(6000), data)
    print(f"mean off by {mean:.3f} sd, variance by {variance:.1%}; of means alone {wrong_mean:.3f} sd, {wrong:.1%}")
    assert mean < 0.08 and variance < 0.12
    assert wrong > 0.3


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
@torch.enable_grad()
def test_a_trained_denoiser_generates_the_gaussian_it_was_trained_on(seed: int) -> None:
    torch.manual_seed(seed)
    data = Pixels()
    chain = {"burn_in": 30, "thin": 5, "chains": 2000}
    method = _build(network="bottleneck", latent=32, width=32, levels=1, norm="none", chain=chain)
    optimiser = torch.optim.Adam(method.parameters(), lr=3e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 2000)
    for _ in range(2000):
        loss = next(iter(method.step({"image": data.draw(256)}))).loss
        assert loss is not None
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        method.eval().settle({"image": data.draw(500)} for _ in range(20))
        samples = method.sample(4000)
    mean = ((samples.mean(0) - data.mean) / data.spread).square().mean().sqrt().item()
    ratio = samples.var(0).mean() / data.spread.square().mean()
    print(f"mean off by {mean:.3f} sd (root mean square over pixels), variance {ratio:.3f} of the true one")
    assert mean < 0.15
    assert ratio.item() == pytest.approx(1, abs=0.12)


def test_chains_are_burnt_in_and_thinned() -> None:
    counted: list[int] = []
    method = _exact(Pixels(), burn_in=7, thin=3, chains=4)
    restore = method.reconstruct
    method.reconstruct = lambda x: counted.append(len(x)) or restore(x)  # type: ignore[method-assign,func-returns-value]
    assert method.sample(10).shape == (10, *SHAPE)
    assert counted == [4] * (7 + 3 + 3)
    counted.clear()
    assert method.sample(2).shape == (2, *SHAPE) and counted == [2] * 7


def test_where_no_foreground_ever_was_samples_show_the_mean_image() -> None:
    residual, sums = Residual(SHAPE, 1.0), ResidualSums(SHAPE)
    foreground = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    foreground[0, ..., :2] = True
    image = torch.rand(2, *SHAPE)
    sums.add(image, image + 0.5, foreground)
    residual.take(sums)
    torch.testing.assert_close(residual.variance, 0.25 * foreground[0].float())
    drawn = residual.draw(torch.full((5, *SHAPE), 9.0))
    torch.testing.assert_close(drawn[..., 2:], image.mean(0)[..., 2:].expand(5, 1, 4, 2))
    assert (drawn[..., :2] > 5).all()


def test_samples_are_offered_only_where_the_noise_has_independent_voxels() -> None:
    assert "sample" not in _build().verbs() and "sample" in _build(chain={}).verbs()
    assert _build(chain={}).chain == Chain()
    with pytest.raises(UserError, match="chain: absent"):
        _build().sample(1)
    for noise in ("masking", "coarse"):
        with pytest.raises(UserError, match=f"noise: gaussian, not {noise}"):
            _build(noise=noise, chain={})
    with pytest.raises(UserError, match="method.chain"):
        _build(chain={"burn": 3})
    assert math.isclose(float(_build(chain={}).left.variance.mean()), SIGMA**2, rel_tol=1e-5)  # type: ignore[union-attr]
