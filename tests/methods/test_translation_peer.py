"""CycleGAN and pix2pix beside the plain ones of benchmarks/translation.py: the same mathematics, so the same step."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

PATH = Path(__file__).parents[2] / "benchmarks" / "translation.py"
FELT = 1e-6  # a gradient below it is rounding, which Adam's first step would blow up to a whole learning rate


@pytest.fixture(scope="module")
def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("translation", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _networks(method: Any, case: str) -> list[nn.Module]:
    if case == "pix2pix":
        return [method.generator, method.discriminator]
    sides = ("target", "source")
    return [*(method.generator[side] for side in sides), *(method.judges[side] for side in sides)]


@pytest.mark.parametrize("case", ["cyclegan", "pix2pix"])
def test_a_step_changes_the_weights_as_the_plain_one_does(benchmark: Any, case: str) -> None:
    """Gradients to 1e-4 of their norm, and moves to a thousandth of the learning rate that each weight moves by."""
    method, batch = benchmark.method_of(case, 32, 8, "cpu", blocks=2), benchmark.images(32, 2, "cpu")
    plain = benchmark.plain(method, batch)
    theirs, own = [*plain.generators, *plain.discriminators], _networks(method, case)
    pairs = [
        pair for a, b in zip(own, theirs, strict=True)
        for pair in zip(benchmark.convolutions(a), benchmark.convolutions(b), strict=True)
    ]  # fmt: skip
    before = [ours.weight.detach().clone() for ours, _ in pairs]
    benchmark.ours(method, batch, "cpu")()
    plain()
    felt = 0
    for (ours, peer), first in zip(pairs, before, strict=True):
        a, b = ours.weight, peer.weight
        assert (a.grad - b.grad).norm() <= 1e-4 * b.grad.norm()
        where = b.grad.abs() > FELT
        felt += int(where.sum())
        assert ((a - b)[where].abs() <= 1e-3 * benchmark.RATE).all()
        assert ((a - first)[where].abs() > 0.9 * benchmark.RATE).all()
        if ours.bias is not None:
            torch.testing.assert_close(ours.bias, peer.bias, atol=1e-3 * benchmark.RATE, rtol=0)
    assert felt > 0.7 * sum(first.numel() for first in before)


def test_the_plain_pool_is_full_after_fifty(benchmark: Any) -> None:
    random.seed(0)
    pool = benchmark.PlainPool()
    images = torch.arange(120.0)[:, None, None, None]
    shown = [float(pool.query(image[None])) for image in images]
    assert shown[:50] == [float(i) for i in range(50)] and len(pool.images) == 50
    replaced = [a != float(b) for a, b in zip(shown[50:], range(50, 120), strict=True)]
    assert 20 <= sum(replaced) <= 50, "half of them"
