"""A linear autoencoder with squared error spans the first principal components' subspace (Baldi & Hornik 1989)."""

import math

import pytest
import torch
from torch import Tensor

from medudl.methods import build
from medudl.methods.autoencoder import Autoencoder

SHAPE, LATENT = (1, 4, 5), 5


def _images(seed: int) -> Tensor:
    """200 images from a Gaussian around .5, in random directions, each of .8 times the spread of the one before."""
    torch.manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(20, 20, dtype=torch.float64))[0]
    return ((torch.randn(200, 20).double() * 0.8 ** torch.arange(20.0)) @ basis.T + 0.5).view(200, *SHAPE)


def _build(seed: int) -> Autoencoder:
    torch.manual_seed(seed)
    method = build("autoencoder", SHAPE, {"network": "linear", "latent": LATENT}).double()
    assert isinstance(method, Autoencoder)
    return method


def _loss(method: Autoencoder, image: Tensor) -> Tensor:
    loss = next(iter(method.step({"image": image}))).loss
    assert loss is not None
    return loss


def _principal(image: Tensor) -> Tensor:
    centred = image.flatten(1) - image.flatten(1).mean(0)
    return torch.linalg.svd(centred, full_matrices=False)[2][:LATENT].T  # (20, Z)


def _decoder(method: Autoencoder) -> Tensor:
    """The decoder's matrix: its slopes between unit codes."""
    with torch.no_grad():
        zero, unit = torch.zeros(1, LATENT).double(), torch.eye(LATENT).double()
        return (method.decoder(unit) - method.decoder(zero)).flatten(1).T  # (20, Z)


def _largest_angle(a: Tensor, b: Tensor) -> float:
    """Between the spans of a and b (orthonormal), in degrees; by the sine, which is exact where it is small."""
    q = torch.linalg.qr(a)[0]
    return math.degrees(math.asin(min(1.0, torch.linalg.matrix_norm(q - b @ (b.T @ q), 2).item())))


def _unlike(a: Tensor, b: Tensor) -> float:
    """How far the least similar column of a is from every column of b: cosine of the closest one."""
    return (torch.nn.functional.normalize(a, dim=0).T @ b).abs().amax(1).min().item()


def _check(method: Autoencoder, image: Tensor, bar: float) -> None:
    principal, matrix = _principal(image), _decoder(method)
    angle = _largest_angle(matrix, principal)
    print(f"largest principal angle {angle:.2g} degrees; basis: closest cosine {_unlike(matrix, principal):.2f}")
    assert angle < bar
    assert _unlike(matrix, principal) < 0.9, "the basis is any, not the components themselves"


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_spans_the_principal_subspace_with_lbfgs(seed: int) -> None:
    image, method = _images(seed), _build(seed)
    optimiser = torch.optim.LBFGS(
        method.parameters(), max_iter=2000, max_eval=4000, history_size=50, tolerance_grad=1e-13,
        tolerance_change=1e-16, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> float:
        optimiser.zero_grad()
        loss = _loss(method, image)
        loss.backward()
        return loss.item()

    optimiser.step(closure)
    _check(method, image, 1e-3)
    # Centred by the biases alone: the mean image is its own reconstruction.
    mean = image.mean(0, keepdim=True)
    with torch.no_grad():
        torch.testing.assert_close(method.decoder(method.encode(mean)), mean, rtol=0, atol=1e-5)


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_spans_the_principal_subspace_with_adam(seed: int) -> None:
    image, method = _images(seed), _build(seed)
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 4000)
    for _ in range(4000):
        optimiser.zero_grad()
        _loss(method, image).backward()
        optimiser.step()
        schedule.step()
    _check(method, image, 1.0)


def test_the_angle_sees_another_subspace() -> None:
    eye = torch.eye(20).double()
    assert _largest_angle(eye[:, 1:6], eye[:, :5]) == pytest.approx(90)
    tilted = eye[:, :5].clone()
    tilted[5, 0] = math.tan(math.radians(0.01))
    assert _largest_angle(tilted, eye[:, :5]) == pytest.approx(0.01, rel=1e-6)
