"""Instance norm in the place of batch norm: torch's own as reference, constant images, no mates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medudl.errors import UserError
from medudl.methods import build
from medudl.networks.instance_norm import InstanceNormalisation
from medudl.tricks import build_tricks
from medudl.tricks.instance_norm import InstanceNorm


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (2, 4, 3, 2, 5)], ids=["2d", "3d"])
@pytest.mark.parametrize("affine", [True, False])
def test_equals_torchs_own(shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(0)
    own, x = InstanceNormalisation(4, affine), torch.randn(shape) * 3 + 2
    theirs = (nn.InstanceNorm2d if len(shape) == 4 else nn.InstanceNorm3d)(4, affine=affine)
    if affine:
        nn.init.normal_(own.weight)  # type: ignore[arg-type]
        nn.init.normal_(own.bias)  # type: ignore[arg-type]
        theirs.load_state_dict(own.state_dict())
    torch.testing.assert_close(own(x), theirs(x))


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4, -1 / 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_constant_images_give_the_bias_and_finite_gradients(value: float, dtype: torch.dtype) -> None:
    """Empty slices of a scan."""
    own = InstanceNormalisation(2, affine=True)
    nn.init.constant_(own.bias, 0.5)  # type: ignore[arg-type]
    x = torch.full((2, 2, 8, 8), value, dtype=dtype, requires_grad=True)
    y = own(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), torch.full((2, 2, 8, 8), 0.5))
    (y.float() * torch.randn(2, 2, 8, 8)).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert own.weight is not None and own.weight.grad is not None and own.weight.grad.isfinite().all()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 16, 16, 16)], ids=["2d", "3d"])
def test_in_a_gan_no_image_depends_on_its_mates_nor_on_the_mode(shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(0)
    tricks = build_tricks([{"name": "instance_norm", "affine": affine}])
    networks = build("gan", shape, {"width": 4, "latent": 3}, tricks).players()
    for name, network in networks.items():
        kinds = [type(m) for m in network.modules()]
        assert InstanceNormalisation in kinds and not {nn.BatchNorm2d, nn.BatchNorm3d} & set(kinds), name
        x = torch.randn(4, *(shape if name == "discriminator" else (3,)))
        torch.testing.assert_close(network(x)[:1], network(x[:1]))
        assert torch.equal(network(x), network.eval()(x))
        assert any("bias" in key for key in network.state_dict()) or not affine


def test_begins_from_the_scale_of_the_batch_norm() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, eps=1e-3))
    nn.init.normal_(network[1].weight)  # type: ignore[arg-type]
    scale = network[1].weight.clone()  # type: ignore[operator]
    InstanceNorm(players=["a"]).build({"a": network})
    made = network[1]
    assert isinstance(made, InstanceNormalisation) and made.weight is not None
    assert torch.equal(made.weight, scale) and made.eps == 1e-3 and made.weight.requires_grad


def test_refused_with_the_reason() -> None:
    with pytest.raises(UserError, match="instance_norm stands in for batch norm, and a has none; leave a out"):
        InstanceNorm(players=["a"]).build({"a": nn.Sequential(nn.Linear(2, 2))})
    with pytest.raises(UserError, match="changes player b, which this method lacks"):
        InstanceNorm(players=["b"]).build({"a": nn.Sequential(nn.BatchNorm2d(2))})
    for shape in [(4, 2), (4, 2, 1, 1)]:
        with pytest.raises(UserError, match="but one voxel, which would come out 0 whatever it was"):
            InstanceNormalisation(2, affine=True)(torch.randn(shape))
