"""Spectral norm: every layer's largest singular value is 1, and the network's slope stays below the bound."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.linalg import svdvals

from medudl.errors import UserError
from medudl.methods import build
from medudl.tricks import build_tricks
from medudl.tricks.spectral_norm import SpectralNorm

SIDE = 16


def critic(dims: int) -> nn.Sequential:
    """DCGAN-like, of weights far from norm 1, without batch norm."""
    torch.manual_seed(0)
    conv = nn.Conv2d if dims == 2 else nn.Conv3d
    layers: list[nn.Module] = [conv(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), conv(8, 16, 4, 2, 1), nn.LeakyReLU(0.2)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * (SIDE // 4) ** dims, 1))
    for p in network.parameters():
        nn.init.normal_(p, 0, 0.5)
    return network


def largest(layer: nn.Module) -> float:
    """Largest singular value of the weight in use, channels out x all else, exactly."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
        weight = weight.transpose(0, 1)
    return svdvals(weight.detach().flatten(1))[0].item()


def slope(network: nn.Module, image: Tensor, rounds: int = 50) -> float:
    """The largest slope found by climbing: the norm of the gradient, at images that follow it."""
    best = 0.0
    for _ in range(rounds):
        image = image.detach().requires_grad_()
        (g,) = torch.autograd.grad(network(image).sum(), image, create_graph=True)
        norms = g.flatten(1).norm(dim=1)
        best = max(best, norms.max().item())
        image = image + g.detach() / norms.detach().max()
    return best


@pytest.mark.parametrize("dims", [2, 3])
def test_every_layer_has_norm_1_and_the_slope_stays_below_the_bound(dims: int) -> None:
    network, image = critic(dims), torch.randn(4, 1, *[SIDE] * dims)
    free = slope(network, image)
    SpectralNorm().build({"discriminator": network})
    for _ in range(200):
        network(image)
    network.eval()
    norms = [largest(layer) for layer in network if hasattr(layer, "weight")]
    bound = (
        math.sqrt(2**dims) ** 2
    )  # two convolutions whose input voxels are part of 2^dims outputs each, a dense layer
    found = slope(network, image)
    print(f"{dims}-D: largest singular values {[f'{n:.4f}' for n in norms]}; slope {found:.3f}, bound {bound:.0f},"
          f" without {free:.1f}")  # fmt: skip
    assert all(norm == pytest.approx(1, abs=0.01) for norm in norms)
    assert 0.05 < found <= bound * 1.01**3 < free


def test_the_bound_of_a_convolution_holds_for_its_whole_matrix() -> None:
    """The norm of the map itself, by its matrix: at most sqrt(m), m outputs a voxel."""
    for kernel, stride, m in [(4, 2, 4), (3, 1, 9), (2, 2, 1)]:
        torch.manual_seed(0)
        layer = nn.Conv2d(2, 3, kernel, stride, kernel // 2 if stride == 1 else (kernel - 2) // 2, bias=False)
        network = nn.Sequential(layer)
        SpectralNorm(iterations=100).build({"discriminator": network})
        network(torch.zeros(1, 2, 8, 8))
        matrix = network.eval()(torch.eye(128).view(128, 2, 8, 8)).flatten(1)  # a column of the map is a row of it
        norm = svdvals(matrix.detach())[0].item()
        print(f"kernel {kernel}, stride {stride}: {norm:.3f} of at most {math.sqrt(m):.3f}")
        assert norm <= math.sqrt(m) * 1.001


def test_it_follows_weights_that_move() -> None:
    network, image = critic(2), torch.randn(4, 1, SIDE, SIDE)
    SpectralNorm().build({"discriminator": network})
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(200):
        optimiser.zero_grad()
        (network(image) - 3).square().mean().backward()
        optimiser.step()
    network(image)
    assert all(largest(layer) == pytest.approx(1, abs=0.02) for layer in network if hasattr(layer, "weight"))


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 16, 16, 16)], ids=["2d", "3d"])
def test_a_gans_state_goes_on_bit_by_bit(shape: tuple[int, ...]) -> None:
    """Vectors of the power iteration are buffers; names are the same wherever it is built."""
    methods = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        tricks = build_tricks([{"name": "spectral_norm", "players": ["discriminator", "generator"]}])
        methods.append(build("gan", shape, {"width": 4, "latent": 3}, tricks))
    image = torch.rand(4, *shape)
    for _ in range(3):
        methods[0].discriminator(image)  # type: ignore[operator]
    state = methods[0].state_dict()
    assert any(name.endswith("parametrizations.weight.original") for name in state)
    methods[1].load_state_dict(state)
    outs = [[m.discriminator(image) for _ in range(3)] for m in methods]  # type: ignore[operator]
    assert all(torch.equal(a, b) for a, b in zip(*outs, strict=True))
    states = [m.state_dict() for m in methods]
    assert all(torch.equal(states[0][name], states[1][name]) for name in state)


def test_refused_with_the_reason() -> None:
    with pytest.raises(UserError, match="spectral_norm divides the weights of convolutions .* and a has none"):
        SpectralNorm(players=["a"]).build({"a": nn.Sequential(nn.ReLU(), nn.BatchNorm2d(2))})
    nothing = nn.Linear(2, 1)
    nn.init.zeros_(nothing.weight)
    with pytest.raises(UserError, match="a layer of a begins with weights of 0"):
        SpectralNorm(players=["a"]).build({"a": nn.Sequential(nn.Linear(2, 2), nothing)})
    with pytest.raises(UserError, match="spectral_norm changes player discriminator, which this method lacks"):
        SpectralNorm().build({"critic": critic(2)})
