"""What is the autoencoder's own, beyond the contract."""

import pytest
import torch
from flow import train

from medudl.errors import UserError
from medudl.losses.reconstruction import gaussian_nll
from medudl.losses.ssim import structural_dissimilarity
from medudl.methods import build
from medudl.methods.autoencoder import Autoencoder, error_map

TINY = {"latent": 4, "width": 4, "levels": 2}


def _build(shape: tuple[int, ...] = (2, 8, 8), **options: object) -> Autoencoder:
    method = build("autoencoder", shape, {**TINY, **options})
    assert isinstance(method, Autoencoder)
    return method.eval()


def test_reconstruction_passes_through_the_code_alone() -> None:
    method, image = _build(), torch.rand(3, 2, 8, 8)
    assert method.encode(image).shape == (3, 4)
    torch.testing.assert_close(method.reconstruct(image), method.decoder(method.encode(image)))


def test_residual_is_the_mean_over_channels() -> None:
    image, expected = torch.zeros(1, 2, 1, 2), torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]])
    heat, score = error_map(expected, image)
    assert heat.tolist() == [[[[2.0, 1.0]]]] and score.tolist() == [1.5]


def test_outside_the_foreground_nothing_is_learned() -> None:
    """The same foreground, unequal background, equal losses."""
    torch.manual_seed(0)
    method, image = _build(), torch.rand(3, 2, 8, 8)
    output = method.decoder(method.encoder(image))
    foreground = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    foreground[..., 2:5, 2:5] = True
    loss = method.validate({"image": image, "foreground": foreground})["loss"]
    expected = ((output - image).square() * foreground).flatten(1).sum(1)
    torch.testing.assert_close(loss, expected.detach())


def test_gaussian_learns_its_sigma() -> None:
    """Images of pure noise of spread .3 about .5, more than the code can hold: sigma ends at what is left."""
    torch.manual_seed(0)
    image = 0.5 + 0.3 * torch.randn(64, 1, 8, 8)
    method = _build((1, 8, 8), loss="gaussian_nll", latent=1)
    train(method, {"image": image}, 300, lr=1e-2)
    left = (method.reconstruct(image) - image).square().mean().sqrt().item()
    log_sigma = dict(method.named_parameters())["likelihood.log_sigma"]
    assert log_sigma.exp().item() == pytest.approx(left, rel=0.05)
    expected = gaussian_nll(method.reconstruct(image), image, log_sigma)
    torch.testing.assert_close(method.validate({"image": image})["loss"], expected.detach())


def test_bernoulli_ends_in_a_sigmoid_and_stays_finite_on_bright_voxels() -> None:
    """A target of 3 would drive its logit up for ever."""
    method = _build((1, 8, 8), loss="bernoulli_cross_entropy", norm="none")
    image = torch.full((4, 1, 8, 8), 3.0)
    train(method, {"image": image}, 50, lr=1e-2)
    out = method.reconstruct(image)
    assert out.min() >= 0 and out.max() <= 1
    assert method.validate({"image": image})["loss"].min() >= 0


def test_an_unknown_pattern_stands_out() -> None:
    """Trained on one family of images, the map is higher where a planted square does not belong."""
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
    image = torch.rand(16, 1, 1, 1) * ramp
    method = _build((1, 16, 16), latent=2, width=8)
    train(method, {"image": image}, 250, lr=1e-2)
    sick = image[:4].clone()
    sick[..., 4:8, 4:8] += 0.8
    heat, score = method.anomaly(sick)
    square = torch.zeros(16, 16, dtype=torch.bool)
    square[4:8, 4:8] = True
    assert heat[..., square].mean() > 3 * heat[..., ~square].mean()
    assert (score > method.anomaly(image[:4])[1]).all()


def test_linear_is_affine_and_dense_is_not() -> None:
    torch.manual_seed(0)
    a, b = torch.rand(2, 1, 2, 8, 8)
    for network, affine in (("linear", True), ("dense", False)):
        method = _build(network=network, hidden=[9])
        middle = (method.reconstruct(a) + method.reconstruct(b)) / 2
        assert torch.allclose(method.reconstruct((a + b) / 2), middle, atol=1e-5) is affine


def test_hidden_layers_are_mirrored() -> None:
    method = _build(network="dense", hidden=[9, 7])
    shapes = [tuple(p.shape) for p in method.parameters() if p.ndim == 2]
    assert shapes == [(9, 128), (7, 9), (4, 7), (7, 4), (9, 7), (128, 9)]


def test_a_code_passes_a_gradient_and_a_feature_map_needs_convolutions() -> None:
    image = torch.rand(2, 2, 8, 8, requires_grad=True)
    method = _build()
    method.encode(image).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert method.feature_map(image).shape == (2, 8, 2, 2)
    with pytest.raises(UserError, match="network: convolutional"):
        _build(network="linear").feature_map(image)


@torch.no_grad()
def test_latent_distance_tells_an_image_of_another_kind_once_training_has_ended() -> None:
    torch.manual_seed(0)
    with torch.enable_grad():
        ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
        image = 0.5 + torch.rand(64, 1, 1, 1) * 0.5 * ramp + 0.02 * torch.randn(64, 1, 16, 16)
        method = _build((1, 16, 16), network="dense", hidden=[32])
        train(method, {"image": image}, 150, lr=3e-3)
    method.settle([{"image": image[:40]}, {"image": image[40:]}])
    known = method.scores(image)["latent_distance"]
    other = method.scores(image.transpose(2, 3))["latent_distance"]
    print(f"latent distance: {known.median():.2f} on images like those of the training, {other.median():.2f} on others")
    assert other.median() > 2 * known.median()
    assert method.codes.count == 64


def test_trained_on_structure_the_map_is_of_structure() -> None:
    method, image = _build(loss="ssim"), torch.rand(3, 2, 8, 8)
    heat, score = method.anomaly(image)
    expected = structural_dissimilarity(method.reconstruct(image), image, voxelwise=True) / 2
    torch.testing.assert_close(heat, expected)
    torch.testing.assert_close(score, expected.flatten(1).mean(1))


def test_a_run_from_before_the_code_was_measured_loads() -> None:
    state = {name: value for name, value in _build().state_dict().items() if not name.startswith("codes.")}
    method = _build()
    method.load_state_dict(state)
    assert method.scores(torch.rand(2, 2, 8, 8))["latent_distance"].isfinite().all()
