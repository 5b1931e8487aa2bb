"""Convolution of few voxels as a matrix product."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from medudl.networks.dcgan import Generator
from medudl.networks.few_voxels import FEW_VOXEL_CONV


@pytest.mark.parametrize(
    ("size", "few"), [((2, 2), True), ((4, 6), True), ((8, 16), False), ((2, 2, 4), True), ((8, 8, 8), False)], ids=str
)
@pytest.mark.parametrize("bias", [True, False])
def test_the_same_numbers_and_gradients(
    size: tuple[int, ...], few: bool, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    products: list[Tensor] = []
    linear = F.linear

    def noted(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        products.append(x)
        return linear(x, weight, bias)

    monkeypatch.setattr(F, "linear", noted)
    layer = FEW_VOXEL_CONV[len(size)](3, 5, 4, stride=2, padding=1, bias=bias).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    direct = (F.conv2d if len(size) == 2 else F.conv3d)(x, layer.weight, layer.bias, stride=2, padding=1)  # type: ignore[arg-type]
    towards, inputs = torch.randn_like(direct), [x, *layer.parameters()]
    for a, b in zip(
        torch.autograd.grad(layer(x), inputs, towards), torch.autograd.grad(direct, inputs, towards), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    torch.testing.assert_close(layer(x), direct, atol=1e-12, rtol=0)
    assert bool(products) == few


def test_a_graph_leaves_the_size_of_the_batch_open() -> None:
    generator = Generator((1, 32, 32), 5, 4, "batch", "resize").eval()
    exported = torch.export.export(
        generator, (torch.randn(3, 5),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=512)},)
    ).module()
    for count in (1, 3, 50):
        code = torch.randn(count, 5)
        torch.testing.assert_close(exported(code), generator(code))
