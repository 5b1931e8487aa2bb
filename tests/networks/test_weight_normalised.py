"""The discriminator of K classes: what it is made of, any size, noise in training alone, nobody's batch mates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from medudl.losses.semi_supervised import real_logit
from medudl.networks.weight_normalised import GaussianNoise, NoisyDiscriminator

NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, _InstanceNorm)
SHAPES = [(1, 8, 8), (4, 128, 128), (1, 28, 28), (3, 45, 71), (2, 12, 10), (1, 8, 6, 5), (1, 20, 16, 18)]


def _network(shape: tuple[int, ...] = (1, 28, 28), width: int = 4, noise: float = 0.5) -> NoisyDiscriminator:
    torch.manual_seed(0)
    return NoisyDiscriminator(shape, 3, width, 0.5, noise, 0.3)


def _images(count: int, shape: tuple[int, ...] = (1, 28, 28)) -> Tensor:
    return 2 * torch.rand(count, *shape, generator=torch.Generator().manual_seed(1)) - 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_any_size(shape: tuple[int, ...]) -> None:
    network, image = _network(shape), _images(2, shape)
    assert network.classify(image).shape == (2, 3) and network(image).shape == (2,)
    *maps, code = network.features(image)
    padded = -(-shape[1] // network.multiple) * network.multiple
    assert [m.shape[2] for m in maps] == [padded // 2 ** (i + 1) for i in range(len(maps))]
    assert code.shape == (2, network.code) and code.isfinite().all()


def test_layers_are_weight_normalised_and_noisy() -> None:
    network = _network((1, 64, 64))
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 2 * 4 + 2 + 1 and all(hasattr(layer, "parametrizations") for layer in layers)
    for layer in layers:
        g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1  # type: ignore[union-attr]
        norm = v.flatten(1).norm(dim=1).view_as(g)
        torch.testing.assert_close(layer.weight, g * v / norm)
    noise = [m.sigma for m in network.modules() if isinstance(m, GaussianNoise)]
    assert noise == [0.3] + [0.5] * 10
    assert not [m for m in network.modules() if isinstance(m, NORMS)], "no norm over batch or space"
    assert len([m for m in network.modules() if isinstance(m, nn.Dropout)]) == 4


@torch.no_grad()
def test_first_activations_neither_grow_nor_vanish() -> None:
    """Ten layers deep; torch's own first weights would leave 3^-5 of the spread."""
    network = _network((1, 128, 128), width=16, noise=0.0).eval()
    spread = [float(f.std()) for f in network.features(torch.randn(8, 1, 128, 128))[:-1]]
    assert len(spread) == 5 and all(0.2 < s < 2 for s in spread), spread


@torch.no_grad()
def test_the_first_answer_is_the_logit_of_being_real() -> None:
    network, image = _network().eval(), _images(5)
    assert torch.equal(network(image), real_logit(network.classify(image)))
    assert network.double()(image.double()).dtype == torch.float64


@torch.no_grad()
def test_noise_is_drawn_in_training_alone() -> None:
    network, image = _network(), _images(3)
    network.eval()
    before = torch.get_rng_state()
    first, second = network.classify(image), network.classify(image)
    assert torch.equal(first, second) and torch.equal(before, torch.get_rng_state())
    network.train()
    torch.manual_seed(1)
    first, second = network.classify(image), network.classify(image)
    assert not torch.equal(first, second) and not torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(network.classify(image), first), "from torch's global generator"


@torch.no_grad()
def test_noise_has_the_spread_it_says() -> None:
    layer, x = GaussianNoise(0.3), torch.ones(100_000)
    assert float((layer.train()(x) - x).std()) == pytest.approx(0.3, rel=0.02)
    assert layer.eval()(x) is x


@torch.no_grad()
def test_no_image_depends_on_its_batch_mates() -> None:
    network, image = _network().eval(), _images(6)
    alone = torch.cat([network.classify(one[None]) for one in image])
    torch.testing.assert_close(network.classify(image), alone, rtol=0, atol=1e-6)
    others = torch.cat([image[:1], 100 * torch.ones_like(image[1:])])
    torch.testing.assert_close(network.classify(others)[0], alone[0], rtol=0, atol=1e-6)
