"""pix2pix and CycleGAN: what they minimise, piece by piece, and every trick of the house on them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from medudl.batch import Batch
from medudl.config import Optimiser, Train
from medudl.errors import UserError
from medudl.methods import build, method_class
from medudl.methods.cyclegan import CycleGAN
from medudl.methods.method import Method, Objective
from medudl.methods.pix2pix import Pix2Pix
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks import TRICKS, build_tricks

SIDE = 24
SMALL: dict[str, dict[str, Any]] = {
    "pix2pix": {"width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16},
}


def batch(count: int = 2, channels: int = 1, target: int = 1) -> Batch:
    image = torch.rand(count, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    return {"image": image, "target": 0.2 + 0.5 * image.mean(1, keepdim=True).expand(-1, target, -1, -1), "id": []}


def made(name: str, channels: int = 1, **options: Any) -> Method:
    torch.manual_seed(0)
    return build(name, (channels, SIDE, SIDE), {**SMALL[name], **options})


def objectives(method: Method, shown: Batch) -> dict[str, Objective]:
    return {objective.player: objective for objective in method.step(shown)}


def test_pix2pix_minimises_what_it_says() -> None:
    method, shown = made("pix2pix", l1=7.0, adversarial=3.0), batch()
    assert isinstance(method, Pix2Pix) and method.discriminator is not None
    x, y = (2 * shown[key] - 1 for key in ("image", "target"))  # type: ignore[literal-required]
    fake = method.make(x)
    real_logit, fake_logit = (method.discriminator(torch.cat([x, one], 1)) for one in (y, fake))
    found = objectives(method, shown)
    expected = 7 * (fake - y).abs().mean() + 3 * (fake_logit - 1).square().mean()
    torch.testing.assert_close(found["generator"].loss, expected)
    judged = (real_logit - 1).square().mean() + fake_logit.square().mean()
    torch.testing.assert_close(found["discriminator"].loss, judged)


def test_cyclegan_minimises_what_it_says() -> None:
    method, shown = made("cyclegan", cycle=4.0, identity=2.0, adversarial=3.0), batch()
    assert isinstance(method, CycleGAN)
    x, y = (2 * shown[key] - 1 for key in ("image", "target"))  # type: ignore[literal-required]
    g, f = method.generator["target"], method.generator["source"]
    d_y, d_x = method.judges["target"], method.judges["source"]
    found = objectives(method, shown)
    expected = 3 * ((d_y(g(x)) - 1).square().mean() + (d_x(f(y)) - 1).square().mean())
    expected = expected + 4 * ((f(g(x)) - x).abs().mean() + (g(f(y)) - y).abs().mean())
    expected = expected + 2 * ((g(y) - y).abs().mean() + (f(x) - x).abs().mean())
    torch.testing.assert_close(found["generator"].loss, expected)
    for name, judge, real, fake in (("target", d_y, y, g(x)), ("source", d_x, x, f(y))):
        judged = (judge(real) - 1).square().mean() + judge(fake).square().mean()
        torch.testing.assert_close(found[f"discriminator_{name}"].loss, judged)


@pytest.mark.parametrize(("cycles", "kept"), [("forward", "cycle_source"), ("backward", "cycle_target")])
def test_one_direction_of_the_cycle(cycles: str, kept: str) -> None:
    parts = objectives(made("cyclegan", cycles=cycles), batch())["generator"].parts
    assert {name for name in parts if name.startswith("cycle")} == {kept}


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("structure", ["gradient", "mind", "mutual_information"])
def test_structure_joins_the_loss(name: str, structure: str) -> None:
    plain = objectives(made(name), batch())["generator"]
    found = objectives(made(name, structure=structure, structure_weight=0.5), batch())["generator"]
    extra = sum(value for part, value in found.parts.items() if part.startswith("structure"))
    assert found.loss is not None and plain.loss is not None
    torch.testing.assert_close(found.loss, plain.loss + 0.5 * extra)


@pytest.mark.parametrize(("name", "made_slices"), [("pix2pix", 1), ("cyclegan", 3)])
@pytest.mark.parametrize("structure", ["gradient", "mind", "mutual_information"])
def test_structure_is_compared_slice_by_slice(name: str, made_slices: int, structure: str) -> None:
    """Three slices of two contrasts go in; a copy of the slices must cost less than their mean."""
    random = torch.Generator().manual_seed(0)
    slices = torch.rand(2, 3, 1, SIDE, SIDE, generator=random) * 2 - 1  # nothing in common
    image = slices.expand(-1, -1, 2, -1, -1).flatten(1, 2)  # (B, 6, H, W), slice by slice
    method = made(name, channels=6, structure=structure, slices=3, target_channels=made_slices)
    own = slices[:, 1] if made_slices == 1 else slices.flatten(1, 2)
    blurred = slices.mean(1).expand(-1, made_slices, -1, -1)
    lost = [float(method.structure_lost(image, one)) for one in (own, blurred)]
    assert lost[0] < lost[1] - 0.1 * abs(lost[0])


def test_slices_that_do_not_share_the_channels_are_told() -> None:
    with pytest.raises(UserError, match="3 slices do not share 4 channels"):
        made("pix2pix", channels=4, slices=3)


def test_without_a_discriminator_it_is_l1_alone() -> None:
    method = made("pix2pix", adversarial=0, l1=1.0)
    assert list(method.players()) == ["generator"]
    (objective,) = method.step(batch())
    assert set(objective.parts) == {"l1"}


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("pix2pix", {"adversarial": 0, "l1": 0}, "both 0"),
        ("cyclegan", {"adversarial": 0, "cycle": 0}, "both 0"),
        ("cyclegan", {"identity": 1.0, "target_channels": 2}, "1 and 2 channels"),
        ("pix2pix", {"network": "resnet", "dropout": 0.5}, "the ResNet generator has none"),
    ],
)
def test_slips(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        made(name, **options)


@pytest.mark.parametrize("name", list(SMALL))
def test_label_maps_are_refused(name: str) -> None:
    shown = batch()
    shown["target"] = (shown["image"] > 0.5).float()
    with pytest.raises(UserError, match="label maps"):
        next(made(name).step(shown))


@pytest.mark.parametrize("name", list(SMALL))
def test_several_channels_on_either_side(name: str) -> None:
    method = made(name, channels=3, target_channels=2)
    for objective in method.step(batch(channels=3, target=2)):
        assert objective.loss is not None and objective.loss.isfinite()
    assert method.translate(batch(channels=3)["image"]).shape == (2, 2, SIDE, SIDE)  # type: ignore[operator]


@pytest.mark.parametrize("name", list(SMALL))
def test_an_empty_slice_gives_finite_numbers(name: str) -> None:
    for level in (0.0, 0.37):
        method = made(name)
        method.looked = True  # a batch of one value alone is no label map either
        shown: Batch = {"image": torch.full((1, 1, SIDE, SIDE), level), "target": torch.zeros(1, 1, SIDE, SIDE)}
        for objective in method.step(shown):
            assert objective.loss is not None and objective.loss.isfinite()
            objective.loss.backward()
            for module in method.players().values():
                assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


# Those that stand in for batch norm find none here, and a judge of patches has no layer behind the whole batch.
REFUSED = {"virtual_batch_norm", "separate_batch_norm", "instance_norm", "minibatch_discrimination"}
SETTINGS: dict[str, dict[str, Any]] = {
    "unrolling": {"steps": 1, "rate": 0.01},
    "image_replay": {"size": 4},
    "player_replay": {"every": 1, "keep": 2, "steps": 1, "cycle": 1},
    "perceptual": {"side": 32, "stages": [1]},
}


def stepped(name: str, trick: str, **options: Any) -> list[Tensor]:
    """The losses of three steps with one trick, through the product's own loop."""
    torch.manual_seed(0)
    settings = {**SMALL[name], **options}
    tricks = build_tricks([{"name": trick, **SETTINGS.get(trick, {})}])
    method_class(name).check_tricks(tricks, settings)
    method = build(name, (1, SIDE, SIDE), settings, tricks)
    fabric = launch(Train(steps=3, device="cpu"))
    for one in tricks:
        one.setup(method.players())
    method.join(tricks)
    players = {
        player: Player(fabric, player, module, Optimiser(lr=1e-3)) for player, module in method.players().items()
    }
    losses = []
    for _ in range(3):
        turns = train_step(fabric, method, players, tricks, batch(4), lambda: True)
        losses += [turn.loss for turn in turns if turn.loss is not None]
    return losses


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("trick", sorted(TRICKS))
def test_every_trick_works_or_says_why_not(name: str, trick: str) -> None:
    if trick in REFUSED:
        with pytest.raises(UserError, match="has none"):
            stepped(name, trick)
        return
    losses = stepped(name, trick)
    assert losses and all(torch.isfinite(loss) for loss in losses)


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "kl"])
def test_every_loss_at_several_scales(loss: str) -> None:
    for objective in made("pix2pix", loss=loss, scales=2, receptive_field=1).step(batch()):
        assert objective.loss is not None and objective.loss.isfinite()
