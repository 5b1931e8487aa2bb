"""Minibatch discrimination: its definition by a double loop, its place before the head, and a ring of Gaussians."""

from __future__ import annotations

import math

import pytest
import torch
from ring import Settings, drawn, held, points, train_ring
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.errors import UserError
from medudl.methods import build
from medudl.metrics.collapse import Collapse, collapse
from medudl.networks.minibatch_discrimination import MinibatchDiscriminationLayer, MinibatchHead
from medudl.tricks import build_tricks
from medudl.tricks.minibatch_discrimination import MinibatchDiscrimination

# Found on seeds 100 to 105. The plain GAN differs in nothing but the trick.
RING = Settings(steps=4000, batch=64, discriminator_lr=1e-4)
SEEDS = range(10)


def layer() -> MinibatchDiscriminationLayer:
    torch.manual_seed(0)
    return MinibatchDiscriminationLayer(5, kernels=4, size=3)


def test_equals_a_double_loop_that_leaves_the_image_itself_out() -> None:
    own, f = layer(), torch.randn(6, 5)
    wanted = torch.zeros(6, 4)
    t = own.projection.view(5, 4, 3)
    for i in range(6):
        for j in range(6):
            for b in range(4):
                if j != i:
                    wanted[i, b] += math.exp(-(f[i] @ t[:, b] - f[j] @ t[:, b]).abs().sum().item())
    torch.testing.assert_close(own(f), wanted)


def test_a_batch_of_one_has_no_company_and_equal_images_the_most() -> None:
    own = layer()
    assert torch.equal(own(torch.randn(1, 5)), torch.zeros(1, 4))
    torch.testing.assert_close(own(torch.ones(7, 5)), torch.full((7, 4), 6.0))


def test_follows_a_permutation_of_the_batch() -> None:
    own, f, order = layer(), torch.randn(6, 5), torch.randperm(6)
    torch.testing.assert_close(own(f[order]), own(f)[order])


def test_computed_in_full_precision() -> None:
    own, f = layer(), torch.randn(6, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(own(f), own(f.float()))
        assert own(f.bfloat16()).dtype == torch.float32


def test_gradient_and_its_gradient() -> None:
    """A penalty on slopes needs the second; at equal images neither is NaN."""
    own = layer().double()
    f = torch.randn(4, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(own, f) and torch.autograd.gradgradcheck(own, f)
    same = torch.ones(4, 5, dtype=torch.double, requires_grad=True)
    (slope,) = torch.autograd.grad(own(same).square().sum(), same, create_graph=True)
    assert slope.isfinite().all()


@pytest.mark.parametrize(("head", "shape"), [(nn.Linear(5, 1), (6, 5)), (nn.Conv2d(5, 1, 3), (6, 5, 4, 4))])
def test_the_head_takes_features_and_closeness_side_by_side(
    head: nn.Linear | nn.Conv2d, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    own = MinibatchHead(head, 5, kernels=4, size=3, pooled=len(shape) > 2)
    f = torch.randn(shape)
    assert torch.equal(own(f), head(f)), "it does not begin as the head alone"
    nn.init.normal_(own.closeness)
    o = own.layer(f.flatten(2).mean(2) if len(shape) > 2 else f)
    side_by_side = torch.cat([f, o.view(6, 4, *[1] * (f.ndim - 2)).expand(-1, -1, *f.shape[2:])], dim=1)
    w = own.closeness[None].detach()
    if isinstance(head, nn.Linear):
        wanted = F.linear(side_by_side, torch.cat([head.weight, w], dim=1), head.bias)
    else:
        middle = F.pad(w[:, :, None, None], (1, 1, 1, 1))  # the whole weight on one voxel of the kernel
        wanted = F.conv2d(side_by_side, torch.cat([head.weight, middle], dim=1), head.bias)
    torch.testing.assert_close(own(f), wanted)


@pytest.mark.parametrize("shape", [(1, 16, 12), (2, 8, 8, 8)], ids=["2d", "3d"])
def test_in_a_gan(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    tricks = build_tricks([{"name": "minibatch_discrimination", "kernels": 3, "size": 2}])
    method = build("gan", shape, {"width": 4, "latent": 3}, tricks)
    discriminator = method.players()["discriminator"]
    assert isinstance(discriminator.head, MinibatchHead)
    image = torch.rand(5, *shape)
    alone: Tensor = discriminator(image)
    assert alone.shape == (5,)
    nn.init.ones_(discriminator.head.closeness)
    told = discriminator(image) - alone
    assert (told > 0).all() and (discriminator(image[:1].expand(5, *shape)) - alone[0]).mean() > told.mean()


def test_a_player_without_a_last_layer_of_its_own() -> None:
    for network in (nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 1))):
        with pytest.raises(UserError, match="joins the last layer of critic, which has none of its own"):
            MinibatchDiscrimination(players=["critic"]).build({"critic": network})
    with pytest.raises(UserError, match="changes player critic, which this method lacks; known keys: generator"):
        MinibatchDiscrimination(players=["critic"]).build({"generator": nn.Linear(2, 1)})


def ring(seed: int, *, trick: bool) -> tuple[int, Collapse]:
    """Modes held, and what the alarm says of 2,048 samples beside as many real points."""
    samples = drawn(train_ring(seed, RING, [MinibatchDiscrimination(kernels=8, size=4)] if trick else []))
    torch.manual_seed(1000 + seed)
    found = collapse(samples.numpy(), points(len(samples)).numpy(), seed)
    modes = held(samples)
    print(f"seed {seed}: {modes} of 8 modes; {found.sentence}", flush=True)
    return modes, found


@pytest.mark.proof
def test_a_plain_gan_collapses_on_the_ring_and_the_alarm_tells() -> None:
    found = [ring(seed, trick=False) for seed in SEEDS]
    print("plain: modes", [modes for modes, _ in found])
    assert max(modes for modes, _ in found) <= 1
    assert all(told.alarm for _, told in found)


@pytest.mark.proof
def test_minibatch_discrimination_holds_the_ring_and_the_alarm_is_silent() -> None:
    found = [ring(seed, trick=True) for seed in SEEDS]
    print("minibatch discrimination: modes", [modes for modes, _ in found])
    assert sum(modes == 8 for modes, _ in found) >= 9
    assert not any(told.alarm for modes, told in found if modes == 8)
