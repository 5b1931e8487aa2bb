"""A linear variational autoencoder is probabilistic PCA (Tipping & Bishop 1999): its bound is tight, digit by digit."""

from __future__ import annotations

import math

import pytest
import torch
from flow import train
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from medudl.methods import build
from medudl.methods.observation import LEAST
from medudl.methods.posterior import fixed_noise
from medudl.methods.variational_autoencoder import VariationalAutoencoder

SHAPE = (1, 3, 4)
D, Z, N = 12, 3, 400


def _images(seed: int = 0) -> Tensor:
    """N images from a linear Gaussian model: (N, *SHAPE), float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    return (0.5 + normal(N, Z) @ normal(Z, D) + 0.5 * normal(N, D)).view(N, *SHAPE)


def _build(**options: object) -> VariationalAutoencoder:
    method = build("variational_autoencoder", SHAPE, {"network": "linear", "latent": Z, **options})
    assert isinstance(method, VariationalAutoencoder)
    return method.double().eval()


def _closed_form(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, loadings W (D, Z), sigma^2 and the Z highest variances of the maximum-likelihood model of (N, D)."""
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((rows - mean).T, correction=0))
    noise = values[: D - Z].mean()  # in ascending order
    high = values[D - Z :]
    return mean, vectors[:, D - Z :] * (high - noise).sqrt(), noise, high


def _evidence(rows: Tensor) -> Tensor:
    """Exact log p(x) of each image under the maximum-likelihood model: (N,)."""
    mean, loadings, noise, _ = _closed_form(rows)
    return MultivariateNormal(mean, loadings @ loadings.T + noise * torch.eye(D, dtype=torch.float64)).log_prob(rows)


@torch.no_grad()
def _solved(rows: Tensor) -> VariationalAutoencoder:
    """The method with the optimum's weights: posterior N(M^-1 W'(x - mean), sigma^2 M^-1), M = W'W + sigma^2."""
    method = _build()
    mean, loadings, noise, high = _closed_form(rows)
    inwards = (loadings / high).T  # M is diagonal, with the high variances on it
    weights = dict(method.named_parameters())
    weights["encoder.mean.body.0.weight"].copy_(inwards)
    weights["encoder.mean.body.0.bias"].copy_(-inwards @ mean)
    weights["encoder.log_var"].copy_(torch.log(noise / high))
    weights["decoder.body.0.weight"].copy_(loadings)
    weights["decoder.body.0.bias"].copy_(mean)
    weights["likelihood.raw"].copy_(torch.log(noise.sqrt() - LEAST))
    return method


@torch.no_grad()
def _elbo(method: VariationalAutoencoder, images: Tensor) -> Tensor:
    nll, kl = method.bound(images, None, fixed_noise(Z, Z))
    return -(nll + kl)


def test_the_bound_at_the_optimum_is_the_evidence() -> None:
    images = _images()
    gap = (_evidence(images.flatten(1)) - _elbo(_solved(images.flatten(1)), images)).abs()
    print(f"\nELBO against log p(x): {gap.max():.1e} nats off at most, n = {N} images, seed 0")
    assert gap.max() < 1e-6


def test_another_posterior_is_below_it_by_its_divergence_from_the_true_one() -> None:
    """log p(x) - ELBO = KL(q(z given x), p(z given x)), here of a sigma that is 20 % too large."""
    images = _images()
    method = _solved(images.flatten(1))
    log_var = dict(method.named_parameters())["encoder.log_var"]
    true = log_var.detach().clone()
    with torch.no_grad():
        log_var += 2 * math.log(1.2)
    own, right = (Normal(torch.zeros_like(true), torch.exp(0.5 * v)) for v in (log_var.detach(), true))
    gap = _evidence(images.flatten(1)) - _elbo(method, images)
    torch.testing.assert_close(gap, kl_divergence(own, right).sum().expand(N), rtol=1e-9, atol=1e-9)


def test_with_the_swapped_divergence_it_is_not_the_evidence() -> None:
    images = _images()
    method = _solved(images.flatten(1))
    mean, log_var = method.posterior(images)
    nll, _ = method.bound(images, None, fixed_noise(Z, Z))
    q, p = Normal(mean, torch.exp(0.5 * log_var)), Normal(0.0, 1.0)
    swapped = kl_divergence(p, q).sum(1)
    assert (_evidence(images.flatten(1)) + nll + swapped).abs().min() > 0.1


def test_a_point_of_the_prior_instead_of_the_mean_is_not_the_evidence() -> None:
    """Trap: mean + std as the code, instead of the expectation over q."""
    images = _images()
    method = _solved(images.flatten(1))
    nll, kl = method.bound(images, None, torch.ones(1, Z))
    assert (_evidence(images.flatten(1)) + nll + kl).abs().mean() > 0.1


@pytest.mark.proof
def test_gradients_lead_to_the_optimum() -> None:
    """L-BFGS on the bound itself: the evidence of the best model, from random weights."""
    torch.manual_seed(0)
    images, method = _images(), _build()
    best = _evidence(images.flatten(1)).mean()
    optimiser = torch.optim.LBFGS(
        method.parameters(), max_iter=600, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = torch.stack(method.bound(images, None, fixed_noise(Z, Z))).sum(0).mean()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    gap = (best - _elbo(method, images).mean()).item()
    print(f"\nL-BFGS: {gap:.1e} nats below the best evidence, n = {N} images, seed 0")
    assert 0 <= gap + 1e-9 and gap < 1e-6


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_as_it_is_comes_near_the_optimum(seed: int) -> None:
    """Adam with one random code an image and step, the way a training goes."""
    torch.manual_seed(seed)
    images, method = _images(), _build()
    best = _evidence(images.flatten(1)).mean()
    for rate in (3e-2, 1e-2, 1e-3):
        train(method, {"image": images}, 1500, lr=rate)
    gap = (best - _elbo(method, images).mean()).item()
    print(f"\nAdam: {gap:.4f} nats below the best evidence ({best:.2f}), n = {N} images, seed {seed}")
    assert -1e-9 < gap < 0.05
