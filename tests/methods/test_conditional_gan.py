"""What the conditional GAN adds: it makes what it is told, and its samples have the frequencies of the data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from factors import CLASSES, SHAPE, discs, is_disc, measured
from games import played
from torch import Tensor

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.conditional_gan import ConditionalGAN


def _build(**options: Any) -> ConditionalGAN:
    torch.manual_seed(0)
    method = build("conditional_gan", SHAPE, {"latent": 5, "width": 4, "classes": CLASSES, **options})
    assert isinstance(method, ConditionalGAN)
    return method.eval()


def _batch(labels: list[int], **more: Tensor) -> Batch:
    batch: Batch = {"image": discs(len(labels), 0)[0], "label": torch.tensor(labels), **more}  # type: ignore[typeddict-item]
    return batch


def test_labels_become_zeros_and_ones() -> None:
    told = _build().condition(_batch([2, -1, 0]))
    assert told.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert _build().condition({"image": torch.zeros(2, *SHAPE)}).tolist() == [[0] * 4] * 2


def test_a_condition_of_the_loader_stands_in_for_labels() -> None:
    method = _build(
        classes=(), conditions=[{"name": "age", "low": 0, "high": 90}, {"name": "slice_position", "low": 0, "high": 1}]
    )
    y = torch.tensor([[0.1, 1.0], [0.9, 0.0]])
    assert torch.equal(method.condition(_batch([0, 1], condition=y)), y)
    assert len(list(method.step(_batch([0, 1], condition=y)))) == 2
    assert method.draw(3).shape == (3, 7)
    with pytest.raises(UserError, match="method.classes: there is no class"):
        _build(classes=[])


def test_both_networks_are_told_the_same_of_real_and_made_images() -> None:
    method, told = _build(), {"generator": [], "discriminator": []}
    for name, player in method.players().items():
        player.register_forward_pre_hook(lambda _, given, name=name: told[name].append(given[1]))
    batch = _batch([0, 3, 3, -1])
    list(method.step(batch))
    assert len(told["generator"]) == 2 and len(told["discriminator"]) == 3
    assert all(torch.equal(y, method.condition(batch)) for found in told.values() for y in found)


@torch.no_grad()
def test_a_code_says_what_it_shows() -> None:
    method = _build()
    y = method.of_class(torch.tensor([1, 1, 1]))
    torch.manual_seed(2)
    asked = method.sample_of(3, 1)
    torch.manual_seed(2)
    code = torch.cat([method.noise(3), y], dim=1)
    assert torch.equal(asked, method.decode(code)) and code.shape == (3, 9)
    torch.manual_seed(2)
    assert torch.equal(asked, method.sample_of(3, y))
    torch.manual_seed(2)
    assert not torch.allclose(asked, method.sample_of(3, 2))


def test_draws_have_the_frequencies_of_the_training_set() -> None:
    method = _build()
    assert method.draw(3)[:, 5:].abs().sum() == 0, "nothing was seen yet"
    batches = [_batch([0] * 6 + [1] * 3 + [3]) for _ in range(30)]
    method.settle(iter(batches))
    shares = method.draw(20_000)[:, 5:].mean(0)
    torch.testing.assert_close(shares, torch.tensor([0.6, 0.3, 0.0, 0.1]), atol=0.012, rtol=0)
    assert method.remembered.sum(0).sub(512 * torch.tensor([0.6, 0.3, 0.0, 0.1])).abs().max() <= 1


def test_while_it_trains_the_latest_conditions_are_known() -> None:
    method = _build()
    for label in (0, 1):
        list(method.step(_batch([label] * 8)))
    assert set(method.draw(200)[:, 5:].argmax(1).tolist()) == {0, 1}
    for _ in range(64):
        method._remember(method.of_class(torch.full((8,), 2)))
    assert set(method.draw(200)[:, 5:].argmax(1).tolist()) == {2}, "512 later ones take their places"


@torch.no_grad()
def test_the_monitor_tells_its_samples_what_the_images_show() -> None:
    method = _build()
    codes = method.fixed_codes(6, _batch([3, 0, 0, 1]))
    assert codes[:, 5:].argmax(1).tolist() == [3, 0, 0, 1, 3, 0]
    assert torch.equal(codes, method.fixed_codes(6, _batch([3, 0, 0, 1])))
    other = method.validate(_batch([1, 1, 1, 1]))["kid"]
    assert not torch.allclose(other, method.validate(_batch([3, 3, 3, 3]))["kid"])


@pytest.mark.proof
def test_an_independent_measurement_agrees_with_what_was_asked_for() -> None:
    """Discs left or right, small or large; their area and centre are measured. More than 95 % at each seed."""
    image, label = discs(4000, 1)
    assert (measured(image) == label).all() and is_disc(image).all(), "the measurement itself is right"
    found, shaped = [], []
    for seed in (10, 11, 12):
        train, val = discs(2000, seed + 100), discs(256, seed + 200)
        sets: list[Batch] = [{"image": x, "label": y} for x, y in (train, val)]
        options = {"classes": CLASSES, "latent": 16, "width": 16}
        method = played("conditional_gan", options, sets[0], sets[1], steps=1000, seed=seed)
        asked = torch.arange(4).repeat(250)
        with torch.no_grad():
            made = method.sample_of(1000, method.of_class(asked))
        found.append(float((measured(made) == asked).float().mean()))
        shaped.append(float(is_disc(made).float().mean()))
    print(f"\nmade as asked: {[f'{share:.3f}' for share in found]}, discs at all {[f'{s:.3f}' for s in shaped]};"
          " n = 1000 samples each, seeds 10 to 12")  # fmt: skip
    assert min(found) > 0.95
