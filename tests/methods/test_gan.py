"""What is the GAN's own, beyond the contract: its turns, its guard, its monitor, what it makes of codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from factors import SHAPE, discs
from flow import ForkWatch
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.discrete import is_discrete
from medudl.methods.gan import GAN
from medudl.methods.method import Objective
from medudl.methods.pixel_kernel import kernel_distance, small
from medudl.metrics.kernel import kernel_distance as of_sets
from medudl.tricks.adversarial import AdversarialTrick, Weights


def _gan(seed: int = 0, **options: Any) -> GAN:
    torch.manual_seed(seed)
    method = build("gan", SHAPE, {"latent": 6, "width": 4, **options})
    assert isinstance(method, GAN)
    return method


def _batch(count: int = 8, seed: int = 0) -> Batch:
    return {"image": discs(count, seed)[0], "id": [str(i) for i in range(count)]}


@pytest.mark.parametrize(("k", "j"), [(1, 1), (3, 1), (1, 2), (2, 3)])
def test_turns_are_as_many_as_asked_for(k: int, j: int) -> None:
    method = _gan(discriminator_steps=k, generator_steps=j)
    players = [objective.player for objective in method.step(_batch())]
    assert players == ["discriminator"] * k + ["generator"] * j


@pytest.mark.parametrize("option", ["discriminator_steps", "generator_steps"])
def test_no_player_is_left_out(option: str) -> None:
    with pytest.raises(UserError, match=f"method.{option}: .*greater than or equal to 1"):
        _gan(**{option: 0})


def test_every_turn_has_codes_of_its_own() -> None:
    method, made = _gan(discriminator_steps=2, generator_steps=2), []
    make = method.make
    method.make = lambda noise, *rest: made.append(noise) or make(noise, *rest)  # type: ignore[func-returns-value,method-assign]
    assert len(list(method.step(_batch()))) == 4
    assert len(made) == 4 and not any(torch.equal(a, b) for i, a in enumerate(made) for b in made[:i])


class _Past(AdversarialTrick):
    """Weights of zeros for the generator, in the discriminator's turn."""

    def __init__(self, method: GAN) -> None:
        self.weights = {name: torch.zeros_like(w) for name, w in method.generator.named_parameters()}
        self.asked: list[str] = []
        self.fake: Tensor | None = None

    def stand_in(self, player: str) -> Weights | None:
        self.asked.append(player)
        return self.weights if player == "generator" else None

    def fakes(self, duel: Any, fake: Tensor) -> Tensor:
        self.fake = fake
        return fake


def test_past_weights_of_the_generator_stand_in_for_its_own_only_in_the_discriminators_turn() -> None:
    method = _gan()
    trick = _Past(method)
    method.join([trick])
    before = {name: w.clone() for name, w in method.generator.named_parameters()}
    flow = method.step(_batch())
    assert next(flow).player == "discriminator"
    assert trick.asked == ["generator"] and trick.fake is not None and trick.fake.abs().max() == 0
    assert all(torch.equal(w, before[name]) for name, w in method.generator.named_parameters())
    loss = next(flow).loss
    assert loss is not None and trick.asked == ["generator", "discriminator"]
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in method.generator.parameters())


def test_images_come_out_as_they_went_in() -> None:
    method, batch, seen = _gan().eval(), _batch(), []
    method.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    batch["image"][0, 0, 0, 0] = 1.7  # brighter than the pipeline's nominal range
    next(method.step(batch))
    assert seen[0].min() >= -1 and seen[0].max() == 1
    torch.testing.assert_close((seen[0] + 1) / 2, batch["image"].clamp(0, 1))
    with torch.no_grad():
        assert method.sample(50).min() >= 0 and method.sample(50).max() <= 1


@torch.no_grad()
def test_a_sample_is_the_image_of_a_drawn_code() -> None:
    method = _gan().eval()
    torch.manual_seed(3)
    sample = method.sample(5)
    torch.manual_seed(3)
    code = method.draw(5)
    assert code.shape == (5, 6)
    torch.testing.assert_close(sample, method.decode(code))
    torch.testing.assert_close(method.decode(code)[:2], method.decode(code[:2]), atol=1e-6, rtol=0)


def test_without_encoder_it_offers_no_task_that_needs_one() -> None:
    assert _gan().verbs() == ("decode", "sample")


# The monitor.


def test_the_monitor_is_the_unbiased_kernel_distance() -> None:
    """Its mean over one batch is the closed form over all pairs, here by the metric of `metrics/kernel.py`."""
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 20, generator=random), 0.5 + torch.randn(7, 20, generator=random)
    ours = kernel_distance(x, y).double().mean().item()
    assert ours == pytest.approx(of_sets(x.double().numpy(), y.double().numpy()).value, abs=1e-5)
    assert kernel_distance(x, y[:1]).shape == (1,)
    mixed = ((x @ y[:1].T / 20 + 1) ** 3).mean()
    pairs = ((x @ x.T / 20 + 1) ** 3).masked_select(~torch.eye(9, dtype=torch.bool)).mean()
    assert kernel_distance(x, y[:1]).item() == pytest.approx((pairs - 2 * mixed).item(), rel=1e-5)


def test_the_monitor_is_zero_on_average_for_equal_distributions_and_falls_towards_them() -> None:
    values = [kernel_distance(small(discs(64, 2 * i)[0]), small(discs(64, 2 * i + 1)[0])).mean() for i in range(40)]
    mean, error = torch.stack(values).mean(), torch.stack(values).std() / 40**0.5
    assert mean.abs() < 3 * error
    image, other = small(2 * discs(64, 0)[0] - 1), small(2 * discs(64, 1)[0] - 1)
    steps = [kernel_distance(other + (1 - t) * 0.5, image).mean() for t in (0, 0.25, 0.5, 0.75, 1)]
    assert steps == sorted(steps, reverse=True) and steps[0] > 10 * steps[-1]


def test_the_monitor_is_small_images_mean() -> None:
    image = torch.rand(2, 3, 64, 48, 32)
    assert small(image).shape == (2, 3 * 16**3)
    boxes = image.unflatten(2, (16, 4)).unflatten(4, (16, 3)).unflatten(6, (16, 2)).mean((3, 5, 7))
    torch.testing.assert_close(small(image), boxes.flatten(1))
    assert small(image[..., :5, :7, :9]).shape == (2, 3 * 5 * 7 * 9)


def test_the_monitor_is_the_same_under_autocast() -> None:
    method, batch = _gan().eval(), _batch()
    plain = method.validate(batch)["kid"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(method.validate(batch)["kid"], plain, atol=2e-2, rtol=0)


# The guard.


def _labels(shape: tuple[int, ...], kinds: int) -> Tensor:
    blocks = torch.randint(kinds, (2, 1, *[s // 4 for s in shape]), generator=torch.Generator().manual_seed(0)).float()
    return nn.functional.interpolate(blocks, shape, mode="nearest")


@pytest.mark.parametrize("kinds", [2, 3, 12])
@pytest.mark.parametrize("scale", [(1, 0), (1 / 11, 0), (0.37, -0.2)], ids=["raw", "share", "window"])
@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)], ids=str)
def test_label_maps_are_refused(kinds: int, scale: tuple[float, float], shape: tuple[int, ...]) -> None:
    image = scale[0] * _labels(shape, kinds) + scale[1]
    assert is_discrete(image)
    method = build("gan", (1, *shape), {"latent": 4, "width": 4})
    for look in (lambda: list(method.step({"image": image})), lambda: method.validate({"image": image})):
        with pytest.raises(UserError, match="distinct values, as label maps do: .* train on the scans") as told:
            look()
        assert "\n" not in str(told.value)


def test_images_pass_the_guard() -> None:
    film = (discs(4, 0)[0] * 255).round() / 255
    assert not is_discrete(film), "8 bits"
    assert not is_discrete(torch.zeros(4, 1, 16, 16)), "empty slices"
    soft = nn.functional.avg_pool2d((discs(4, 0)[0] > 0.5).float(), 3, 1, 1)
    assert not is_discrete(soft + 0.01 * torch.rand(soft.shape)), "black and white, but for noise"
    uneven = torch.tensor([0.0, 0.1, 0.57, 1.0])[_labels((32, 32), 4).long()]
    assert not is_discrete(uneven), "few values, but no multiples of one step"
    assert not is_discrete(torch.rand(1, 1, 4, 4)), "a tiny image has few values of its own"


def test_real_films_pass_the_guard(real_data: Path) -> None:
    from PIL import Image

    films = (
        sorted((real_data / "chest_xray_224").rglob("*.png"))[:4]
        or sorted((real_data / "chest_xray_224").rglob("*.j*"))[:4]
    )
    assert films
    for film in films:
        pixels = np.asarray(Image.open(film).convert("L"), np.float32) / 255
        assert not is_discrete(torch.from_numpy(pixels)[None, None]), film


def test_the_guard_looks_once() -> None:
    method = _gan()
    list(method.step(_batch()))
    list(method.step({"image": torch.zeros(8, *SHAPE)}))
    labels = torch.zeros(8, *SHAPE)
    labels[..., 8:] = 1
    assert is_discrete(labels) and len(list(method.step({"image": labels}))) == 2


# Training.


def test_it_never_yields_with_a_frozen_player(monkeypatch: pytest.MonkeyPatch) -> None:
    method, watch = _gan(discriminator_steps=2), ForkWatch(monkeypatch)
    for _ in method.step(_batch()):
        watch.check(autocast=False)
        assert all(p.requires_grad for p in method.parameters())


def test_no_gradient_of_the_other_player() -> None:
    method = _gan()

    def alone(objective: Objective) -> None:
        assert objective.loss is not None
        method.zero_grad()
        objective.loss.backward()  # type: ignore[no-untyped-call]
        for name, player in method.players().items():
            assert any(p.grad is not None for p in player.parameters()) is (name == objective.player)

    for objective in method.step(_batch()):
        alone(objective)
