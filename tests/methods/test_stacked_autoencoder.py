"""What is the stacked autoencoder's own: what each phase trains, on what, and that all three ways of training work."""

from typing import Any

import pytest
import torch
from flow import adam, train, turns
from torch import Tensor

from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.stacked_autoencoder import StackedAutoencoder

SHAPE = (1, 12, 10)


def _build(shape: tuple[int, ...] = SHAPE, **options: Any) -> StackedAutoencoder:
    method = build("stacked_autoencoder", shape, {"channels": [4], "sizes": [24, 8], **options})
    assert isinstance(method, StackedAutoencoder)
    return method


def _blobs(count: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    axes = torch.meshgrid(*(torch.linspace(-1, 1, s) for s in shape[1:]), indexing="ij")
    centre = torch.rand(count, len(axes), *[1] * len(axes)) - 0.5
    return torch.exp(-3 * (torch.stack(axes)[None] - centre).square().sum(1, keepdim=True))


@pytest.mark.parametrize("shape", [SHAPE, (1, 7, 6, 5)], ids=["2d", "3d"])
@pytest.mark.parametrize("corruption", ["none", "gaussian", "masking"])
def test_each_layers_loss_falls_and_the_stack_learns_to_draw(shape: tuple[int, ...], corruption: str) -> None:
    torch.manual_seed(0)
    method, batch = _build(shape, corruption=corruption), {"image": _blobs(32, shape)}
    told = []
    for phase in method.phases():
        method.enter_phase(phase)
        before = method.validate(batch)["loss"].mean()  # type: ignore[arg-type]
        optimisers = adam(method, 3e-3)
        for _ in range(150):
            turns(method, batch, optimisers, lambda _: None)  # type: ignore[arg-type]
        after = method.validate(batch)["loss"].mean()  # type: ignore[arg-type]
        told.append(f"{phase.name} {before:.3g} -> {after:.3g}")
        assert after < (0.5 if phase.name != "together" else 0.95) * before, phase.name
    print(f"{corruption}, {len(shape) - 1}-D: {'; '.join(told)}")
    image = batch["image"]
    left = (method.reconstruct(image) - image).square().sum() / (image - image.mean(0)).square().sum()
    assert left < 0.4


def test_end_to_end_is_one_phase_and_learns() -> None:
    torch.manual_seed(0)
    method, batch = _build(training="end_to_end"), {"image": _blobs(32)}
    before = method.validate(batch)["loss"].mean()  # type: ignore[arg-type]
    train(method, batch, 300)  # type: ignore[arg-type]
    after = method.validate(batch)["loss"].mean()  # type: ignore[arg-type]
    print(f"end to end {before:.3g} -> {after:.3g}")
    assert [phase.name for phase in method.phases()] == ["together"] == list(method.players())
    assert after < 0.2 * before


def test_a_layer_learns_from_the_clean_code_of_those_below_which_stay() -> None:
    torch.manual_seed(0)
    method, image = _build(corruption="masking", training="greedy"), _blobs(16)
    assert [phase.name for phase in method.phases()] == ["layer1", "layer2", "layer3"]
    method.enter_phase(method.phases()[1])
    first, second = method._layers()[:2]
    seen: list[Tensor] = []
    down = second.down
    second.down = lambda x: seen.append(x) or down(x)  # type: ignore[assignment,method-assign,func-returns-value]
    objective = next(iter(method.step({"image": image})))
    clean = first.down(image)
    hidden = seen[0] == 0
    torch.testing.assert_close(seen[0][~hidden], clean[~hidden])
    assert 0.15 < hidden.float().mean() < 0.35, "a share of what the layer sees is put to zero"
    assert hidden[:, 0].ne(hidden[:, 1]).any(), "each channel on its own"
    assert objective.player == "layer2" and objective.loss is not None
    objective.loss.backward()
    assert all(p.grad is None for p in first.parameters())
    expected = (second.up(down(seen[0])) - clean).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(objective.loss, expected)


def test_together_every_layer_gets_the_gradient_of_one_loss() -> None:
    torch.manual_seed(0)
    method, image = _build(), _blobs(8)
    method.enter_phase(method.phases()[-1])
    (method.reconstruct(image) - image).square().flatten(1).sum(1).mean().backward()
    found = {objective.player: objective.gradients for objective in method.step({"image": image})}
    assert list(found) == ["layer1", "layer2", "layer3"]
    for name, player in method.players().items():
        for key, parameter in player.named_parameters():
            torch.testing.assert_close((found[name] or {})[key], parameter.grad)


def test_gaussian_corruption_is_measured_in_the_layers_own_spread() -> None:
    torch.manual_seed(0)
    method = _build(corruption="gaussian", sigma=0.5)
    x = 7 * torch.randn(50, 200)
    noise = method._corrupted(x, None, None) - x
    assert noise.std().item() == pytest.approx(3.5, rel=0.05)


def test_the_image_outside_the_foreground_is_neither_corrupted_nor_compared() -> None:
    method, image = _build(corruption="gaussian"), _blobs(4)
    foreground = torch.zeros(4, 1, *SHAPE[1:], dtype=torch.bool)
    foreground[..., 3:9, 2:8] = True
    noisy = method._corrupted(image, foreground, None)
    assert torch.equal(noisy * ~foreground, image * ~foreground) and not torch.equal(noisy, image)
    none = method.validate({"image": image, "foreground": torch.zeros_like(foreground)})
    assert none["loss"].tolist() == [0.0] * 4


def test_the_code_is_the_last_layer() -> None:
    method, image = _build(), _blobs(3)
    assert method.encode(image).shape == (3, 8)
    torch.testing.assert_close(method.decode(method.encode(image)), method.reconstruct(image))
    assert method.feature_map(image).shape == (3, 4, 6, 5)
    assert _build(channels=[4, 6], sizes=[]).encode(image).shape == (3, 6 * 3 * 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": [], "sizes": []}, "at least one layer"),
        ({"sizes": [120]}, "no bottleneck"),
        ({"channels": [], "sizes": [0]}, "greater than or equal to 1"),
    ],
)
def test_a_stack_that_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        _build(**options)
    with pytest.raises(UserError, match="no feature map"):
        _build(channels=[]).feature_map(_blobs(1))
