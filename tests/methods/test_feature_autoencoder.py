"""Feature autoencoder: the linear one is PCA of the features, a planted pattern is found, nothing fixed moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from flow import train
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.feature_autoencoder import FeatureAutoencoder
from medudl.methods.feature_statistics import Moments, Reservoir, pooled

SHAPE = (1, 48, 40)


def _stripes(count: int, seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Soft waves of any place and strength: what is healthy here."""
    random = torch.Generator().manual_seed(seed)
    axes = torch.meshgrid(*(torch.arange(float(side)) for side in shape[1:]), indexing="ij")
    phase = 6.3 * torch.rand(count, 1, *[1] * (len(shape) - 1), generator=random)
    strength = 0.2 + 0.2 * torch.rand(count, 1, *[1] * (len(shape) - 1), generator=random)
    noise = 0.02 * torch.randn(count, *shape, generator=random)
    return 0.5 + strength * torch.sin(axes[-1] / 3 + phase) + noise


def _batches(image: Tensor, size: int = 8, **more: Tensor) -> Iterator[Batch]:
    for start in range(0, len(image), size):
        part = {name: value[start : start + size] for name, value in {"image": image, **more}.items()}
        yield {**part, "id": [""] * len(part["image"])}  # type: ignore[typeddict-item]


def _method(options: dict[str, Any], seed: int = 0, shape: tuple[int, ...] = SHAPE) -> FeatureAutoencoder:
    torch.manual_seed(seed)
    method = build("feature_autoencoder", shape, {"side": 64, "stages": [2], "latent": 4, **options})
    assert isinstance(method, FeatureAutoencoder)
    return method


def _positions(method: FeatureAutoencoder, image: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Features of every position of stage 2, (N, C)."""
    return method.network(image)[0].movedim(1, -1).flatten(0, -2).double().numpy()


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"features": "random"}], ids=["efficientnet_lite0", "random"])
def test_the_linear_one_is_pca_of_the_features(options: dict[str, Any]) -> None:
    method, image = _method(options).eval(), _stripes(20, seed=1)
    with torch.enable_grad():
        train(method, next(_batches(image)), 2)
    method.settle(_batches(image))
    values = _positions(method, image)
    scaled = (values - values.mean(0)) / values.std(0)
    pca = PCA(4, svd_solver="full").fit(scaled)
    model = method.models[0]
    angle = np.rad2deg(subspace_angles(model.decode.weight.double().numpy(), pca.components_.T).max())
    residual = ((scaled - pca.inverse_transform(pca.transform(scaled))) ** 2).mean(1)
    ours = method._residuals(method.network(image))[0].flatten().double().numpy()
    worst = np.abs(ours - residual).max() / residual.max()
    print(f"angle {angle:.1e} degrees, residual {worst:.1e} apart; n = {len(values)} positions, seed 0")
    assert angle < 1e-3 and worst < 1e-5


@torch.no_grad()
def test_scores_of_whole_images_are_pca_and_neighbours_of_pooled_features() -> None:
    method, healthy, other = _method({"components": 3}).eval(), _stripes(20, seed=1), _stripes(6, seed=2) * 0.8
    method.settle(_batches(healthy))
    p, q = (pooled(method.network(x)).double().numpy() for x in (healthy, other))
    scaled, seen = (p - p.mean(0)) / p.std(0), (q - p.mean(0)) / p.std(0)
    pca = PCA(3, svd_solver="full").fit(scaled)
    residual = ((seen - pca.inverse_transform(pca.transform(seen))) ** 2).mean(1)
    near = NearestNeighbors(n_neighbors=3).fit(scaled).kneighbors(seen)[0].mean(1) / np.sqrt(p.shape[1])
    found = method.scores(other)
    assert np.allclose(found["feature_residual"], residual, rtol=1e-5)
    assert np.allclose(found["nearest_neighbours"], near, rtol=1e-5)
    assert np.allclose(method.encode(other), seen, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("model", ["linear", "convolutional", "nearest"])
@pytest.mark.parametrize("features", ["efficientnet_lite0", "random"])
def test_the_map_peaks_on_a_planted_pattern(model: str, features: str) -> None:
    size = {"nearest": 256}.get(model, 4)  # prototypes, or channels
    method, image = _method({"model": model, "features": features, "latent": size}), _stripes(24, seed=1)
    with torch.enable_grad():
        train(method, next(_batches(image, 24)), 60)
    method.settle(_batches(image))
    planted, places = _stripes(6, seed=3), [(8 + 5 * i, 6 + 4 * i) for i in range(6)]
    board = (torch.arange(10)[:, None] + torch.arange(10)) % 4 < 2
    for picture, (row, column) in zip(planted, places, strict=True):
        picture[0, row : row + 10, column : column + 10] = board.float() * 0.8 + 0.1
    heat, score = method.anomaly(planted)
    _, healthy = method.anomaly(_stripes(6, seed=4))
    inside = 0.0
    for picture, (row, column) in zip(heat[:, 0], places, strict=True):
        peak = int(picture.argmax())
        assert row - 2 <= peak // SHAPE[2] < row + 12 and column - 2 <= peak % SHAPE[2] < column + 12
        inside += float(picture[row : row + 10, column : column + 10].mean() / picture.mean()) / 6
    print(f"{features}, {model}: map {inside:.1f} times its mean on the pattern; n = 6 images, seed 0")
    assert score.min() > healthy.max()


def test_what_is_fixed_stays_fixed_while_it_trains() -> None:
    method, image = _method({"features": "efficientnet_lite0"}), _stripes(8, seed=1)
    before = {name: value.clone() for name, value in method.network.state_dict().items()}
    train(method, next(_batches(image)), 3)
    method.settle(_batches(image))
    assert all(torch.equal(before[name], value) for name, value in method.network.state_dict().items())
    assert {id(p) for p in method.parameters()} == {id(p) for p in method.models.parameters()}


@torch.no_grad()
def test_background_teaches_nothing() -> None:
    """Positions outside the foreground, whatever is in them, neither count in the loss nor in the moments."""
    image = _stripes(8, seed=1)
    foreground = torch.zeros(8, 1, *SHAPE[1:], dtype=torch.bool)
    foreground[..., :24, :] = True
    other = torch.where(foreground, image, 1 - image.roll(5, -1))
    found = []
    for picture in (image, other):
        # A receptive field of one position alone: what lies beside the foreground reaches nothing inside.
        method = _method({"features": "random", "stages": [1], "latent": 3}).eval()
        method.network.look = lambda x: [torch.cat([x[:, :, ::2, ::2] ** k for k in range(1, 17)], 1)]  # type: ignore[method-assign]
        method.settle(_batches(picture, foreground=foreground))
        batch = next(_batches(picture, foreground=foreground))
        found.append((method.models[0].state_dict(), method.validate(batch)["loss"]))
    assert all(torch.equal(found[0][0][name], found[1][0][name]) for name in found[0][0])
    assert torch.allclose(found[0][1], found[1][1])


@torch.no_grad()
def test_encode_carries_a_gradient_to_the_image() -> None:
    method, image = _method({}).eval(), _stripes(2, seed=1).requires_grad_()
    with torch.enable_grad():
        method.encode(image).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0


def test_looks_through_another_runs_encoder() -> None:
    torch.manual_seed(4)
    section = {"name": "autoencoder", "latent": 5, "width": 4, "levels": 3, "norm": "batch"}
    source = build("autoencoder", SHAPE, {k: v for k, v in section.items() if k != "name"}).eval()
    method = _method({"features": "encoder", "body": section, "stages": [3]})
    image = _stripes(4, seed=1)
    with pytest.raises(UserError, match=r"method\.init=RUN"):
        method.validate(next(_batches(image)))
    method.take(source)
    with torch.no_grad():
        assert torch.equal(method.network(image)[0], source.encoder.features(image))  # type: ignore[operator, union-attr]
    opened = _method({"features": "encoder", "body": section, "stages": [3]}, seed=9)
    opened.load_state_dict(method.state_dict())
    assert torch.equal(opened.feature_map(image), method.feature_map(image))
    assert "Autoencoder" in method.notes()[0]


def test_notes_name_network_stage_and_model_and_what_is_kept_of_patients() -> None:
    method = _method({"model": "nearest"})
    method.settle(_batches(_stripes(9, seed=1)))
    name, kept = method.notes()
    assert "EfficientNet-Lite0" in name and "57934424" in name and "stage 2" in name and "64 x 53" in name
    assert "nearest of 4 positions" in name and "9 training images" in kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 24}, r"latent: 24 of a stage's 24 channels"),
        ({"components": 48}, r"components: 48 of 48"),
        ({"stages": [2, 2]}, r"twice"),
        ({"stages": [8]}, r"method\.stages"),
        ({"stages": []}, r"method\.stages"),
        ({"features": "encoder"}, r"method\.init=RUN"),
        ({"features": "resnet"}, r"method\.features"),
    ],
)
def test_slips_are_told_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        _method(options)
    assert "\n" not in str(caught.value)


def test_take_refuses_what_does_not_fit() -> None:
    section = {"name": "autoencoder", "latent": 5, "width": 4, "levels": 3}
    method = _method({"features": "encoder", "body": section, "stages": [1], "latent": 2})
    small = build("autoencoder", (1, 32, 32), {"latent": 5, "width": 4, "levels": 3})
    wide = build("autoencoder", SHAPE, {"latent": 5, "width": 8, "levels": 3})
    unet = build("denoising_autoencoder", SHAPE, {"width": 4, "levels": 2})
    for other, message in [(small, r"one size"), (wide, r"does not fit"), (unet, r"no convolutional encoder")]:
        with pytest.raises(UserError, match=message):
            method.take(other)
    with pytest.raises(UserError, match=r"features: encoder"):
        _method({}).take(small)


def test_moments_in_parts_are_those_of_the_whole() -> None:
    random = torch.Generator().manual_seed(0)
    values = 1e3 + torch.randn(50, 4, generator=random, dtype=torch.float64) * torch.tensor([1.0, 2, 3, 0])
    weight = torch.rand(50, generator=random, dtype=torch.float64)
    weight[:7] = 0
    found = Moments(4)
    for part, share in zip(values.split(7), weight.split(7), strict=True):
        found.add(part, share)
    cov = np.cov(values.T.numpy(), aweights=weight.numpy(), ddof=0)
    assert np.allclose(found.scatter / found.weight, cov, atol=1e-8)
    assert np.allclose(found.std[:3], np.sqrt(np.diag(cov)[:3])) and found.std[3] == 1


def test_reservoir_is_a_uniform_sample_in_order() -> None:
    values, counts = torch.arange(40.0)[:, None], torch.zeros(40)
    for seed in range(400):
        sample = Reservoir(10)
        sample.generator.manual_seed(seed)
        for part in values.split(9):
            sample.add(part)
        assert sample.kept is not None and len(sample.kept) == 10
        assert (sample.kept.diff(dim=0) > 0).all()
        counts[sample.kept[:, 0].long()] += 1
    assert (counts - 100).abs().max() < 4 * (100 * 0.75) ** 0.5
