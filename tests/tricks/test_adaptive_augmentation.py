"""Adaptive augmentation: p follows the discriminator's confidence, and nothing leaks into what is generated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from augmentation_on_two_ranks import OPTIONS, STEPS
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods.adversarial import Adversarial
from medudl.methods.method import Objective
from medudl.tricks import build_tricks, image_changes
from medudl.tricks.adaptive_augmentation import AdaptiveAugmentation
from medudl.tricks.adversarial import Duel

ALL = ("flip", "turn", "translation", "rotation", "scale", "brightness", "contrast", "gamma")


class Critic(nn.Module):
    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        return image.flatten(1).mean(1)


class Game(Adversarial):
    """Only what the turns need."""

    def players(self) -> dict[str, nn.Module]:
        return {}

    def step(self, batch: Batch) -> Iterator[Objective]:
        raise NotImplementedError

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError


def duel(loss: str = "non_saturating", image: Tensor | None = None, name: str = "discriminator") -> Duel:
    image = torch.zeros(4, 1, 8, 8) if image is None else image
    return Duel(name, "generator", Critic(), loss, image, image)  # type: ignore[arg-type]


def logits(share: float, count: int = 20) -> Tensor:
    """A share of them above 0."""
    return torch.where(torch.arange(count) < share * count, 2.0, -0.5)


def told(trick: AdaptiveAugmentation, real: Tensor, updates: int, turn: Duel | None = None) -> float:
    for _ in range(updates):
        trick.seen(turn or duel(), real, real)
    return trick.p.get((turn or duel()).name, 0.0)


def test_p_rises_when_the_discriminator_is_too_sure_and_falls_otherwise() -> None:
    trick = AdaptiveAugmentation(interval=2, speed=400)
    assert told(trick, logits(0.9), 1) == 0, "adjusted before its time"
    assert told(trick, logits(0.9), 1) == pytest.approx(0.1)  # r = .8; 2 updates of 20 images in 400
    assert told(trick, logits(0.9), 4) == pytest.approx(0.3)
    assert told(trick, logits(0.7), 2) == pytest.approx(0.2)  # r = .4
    assert told(trick, logits(0.7), 20) == 0
    assert told(trick, logits(0.9), 100) == pytest.approx(0.8), "beyond where it could leak"


def test_the_statistic_is_over_all_updates_since_the_last_look() -> None:
    trick = AdaptiveAugmentation(interval=2, speed=400)
    trick.seen(duel(), logits(1.0), logits(1.0))
    trick.seen(duel(), logits(0.55), logits(1.0))  # r = (1 + .1) / 2 = .55
    assert trick.p["discriminator"] == 0
    assert trick.figures(duel())["overfitting"].item() == pytest.approx(0.55)
    trick.seen(duel(), logits(1.0, 60), logits(1.0))
    trick.seen(duel(), logits(0.55), logits(1.0))  # each image counts, not each batch: r = (60 + 2) / 80
    assert trick.figures(duel())["overfitting"].item() == pytest.approx(0.775)
    assert trick.p["discriminator"] == pytest.approx(80 / 400)


def test_least_squares_has_its_middle_at_a_half_and_patches_count_as_images() -> None:
    trick = AdaptiveAugmentation(interval=1, speed=100)
    assert told(trick, torch.full((10,), 0.4), 1, duel("least_squares")) == 0
    assert trick.figures(duel())["overfitting"].item() == -1
    assert told(trick, torch.full((10, 1, 3, 3), 0.6), 1, duel("least_squares")) == pytest.approx(0.1)


def test_each_discriminator_has_its_own() -> None:
    trick = AdaptiveAugmentation(interval=1, speed=100)
    told(trick, logits(1.0), 1, duel(name="a"))
    told(trick, logits(0.0), 1, duel(name="b"))
    assert trick.p == {"a": 0.2, "b": 0.0}


def test_ranks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rank sees 60 images, all taken for fakes: the mean over all counts, and so do all their images."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.add_(torch.tensor([-60.0, 60.0])))
    trick = AdaptiveAugmentation(interval=1, speed=800)
    trick.p["discriminator"] = 0.5
    assert told(trick, logits(1.0), 1) == pytest.approx(0.4)
    assert trick.figures(duel())["overfitting"].item() == pytest.approx(-0.5)


def test_two_ranks(tmp_path: Path) -> None:
    """p is at every step what one process finds that is told both ranks' logits; the weights stay in step."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
         str(here / "augmentation_on_two_ranks.py"), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, (here, here.parents[1])))},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    ranks = [torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]
    together = alone_with([torch.cat(both) for both in zip(*(rank["logits"] for rank in ranks), strict=True)])
    alone = [alone_with(rank["logits"]) for rank in ranks]
    print("p, both ranks and each alone:", *(f"{p[-1]:.2f}" for p in (together, *alone)))
    assert ranks[0]["p"] == ranks[1]["p"] == together
    assert len(together) == STEPS and len(set(together)) > 3 and all(p != together for p in alone)
    for name, weight in ranks[0]["weights"].items():
        assert torch.equal(weight, ranks[1]["weights"][name]), f"{name} differs between the ranks"


def alone_with(logits: list[Tensor]) -> list[float]:
    """p after each update, in this one process."""
    trick = AdaptiveAugmentation(**OPTIONS)  # type: ignore[arg-type]
    return [told(trick, real, 1) for real in logits]


def test_p_stands_in_the_log_and_not_in_the_loss() -> None:
    trick = AdaptiveAugmentation(interval=1, speed=40)
    game = Game((1, 8, 8), "non_saturating")
    game.join([trick])
    sure = duel(image=torch.ones(4, 1, 8, 8))
    objective = game.discriminator_turn(sure)
    assert objective.parts["augmentation"].item() == pytest.approx(0.1)
    assert objective.parts["overfitting"].item() == 1
    assert objective.loss is not None
    torch.testing.assert_close(objective.loss, sure.discriminator_loss())


@pytest.mark.parametrize("shape", [(256, 1, 8, 8), (256, 2, 4, 6, 6)], ids=["2-D", "3-D"])
@pytest.mark.parametrize("change", ALL)
def test_happens_with_probability_p_with_a_gradient(change: str, shape: tuple[int, ...]) -> None:
    (trick,) = build_tricks([{"name": "adaptive_augmentation", "changes": [change], "translation": 0.25}])
    assert isinstance(trick, AdaptiveAugmentation)
    torch.manual_seed(0)
    image = (torch.rand(shape) - 0.5).requires_grad_()
    assert trick.shown(duel(), image) is image
    trick.p["discriminator"] = 0.4
    shown = trick.shown(duel(), image)
    # Of what is drawn, the identity is part where it is a group: a half of the flips, a quarter of the turns.
    sides = {"flip": 1 / 2, "turn": 1 / 4, "translation": 1.0}
    if change == "translation":
        for size in shape[2:]:
            sides[change] /= round(0.25 * size) + 1  # two ends that are equal
    changed = (shown != image).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(0.4 * (1 - sides.get(change, 0.0)), abs=0.08)
    assert shown.isfinite().all()
    shown.square().sum().backward()
    assert image.grad is not None and image.grad.isfinite().all() and (image.grad != 0).any()


# --- Nothing leaks: on a small discrete space every law and every change is a matrix, by the very functions in use.

GREYS = (-1.0, 1.0)
PICTURES = torch.tensor(list(product(GREYS, repeat=4))).view(-1, 1, 1, 4)  # all 16 pictures of 1 x 4 voxels


def markov(change: str, p: float, draws: int = 0) -> Tensor:
    """[from, to]: the law of each changed picture. Exact, by going through all that can be drawn; or measured."""
    count = len(PICTURES)
    if draws:
        trick = AdaptiveAugmentation(changes=(change,), translation=0.25)  # type: ignore[arg-type]
        trick.p["discriminator"] = p
        shown = torch.stack([trick.shown(duel(), PICTURES) for _ in range(draws)])
        return torch.stack([_is_picture(each) for each in shown]).mean(0)
    if change == "flip":
        drawn = [image_changes.flip(PICTURES, torch.full((count,), side)) for side in (0, 1)]
    else:
        drawn = [image_changes.translate(PICTURES, torch.tensor([[0, by]] * count)) for by in (-1, 0, 0, 1)]
    return (1 - p) * torch.eye(count) + p * torch.stack([_is_picture(each) for each in drawn]).mean(0)


def _is_picture(shown: Tensor) -> Tensor:
    return (shown[:, None] == PICTURES[None]).flatten(2).all(2).float()


def smallest_singular_value(matrix: Tensor) -> float:
    return torch.linalg.svdvals(matrix.double()).min().item()


@pytest.mark.parametrize("change", ["flip", "translation"])
def test_what_is_shown_has_the_law_of_the_matrix(change: str) -> None:
    torch.manual_seed(0)
    torch.testing.assert_close(markov(change, 0.6, draws=4000), markov(change, 0.6), atol=0.035, rtol=0)


def test_a_uniform_shift_would_leak_at_three_quarters() -> None:
    """On a ring of voxels, where the spectrum is the whole truth: why a shift is a difference of two draws."""
    ring = torch.eye(8)

    def spectrum(law: dict[int, float], p: float) -> float:
        return smallest_singular_value((1 - p) * ring + p * sum(w * ring.roll(by, 1) for by, w in law.items()))

    assert spectrum({-1: 1 / 3, 0: 1 / 3, 1: 1 / 3}, 0.75) < 1e-6
    assert spectrum({-1: 1 / 4, 0: 1 / 2, 1: 1 / 4}, 0.75) == pytest.approx(0.25, abs=1e-6)


def test_changed_laws_differ_if_and_only_if_the_true_ones_do() -> None:
    """Up to p = .8 the matrix has an inverse, so T(p_model) = T(p_data) only where p_model = p_data."""
    torch.manual_seed(0)
    least = {}
    for p in (0.2, 0.5, 0.8):
        both = markov("flip", p) @ markov("translation", p)
        least[p] = smallest_singular_value(both)
        data, model = torch.rand(2, 16).softmax(1)
        torch.testing.assert_close(torch.linalg.solve(both.T.double(), (data @ both).double()).float(), data)
        assert (data @ both - model @ both).abs().sum() >= least[p] * (data - model).norm()
    print("smallest singular value of flip and translation:", {p: round(v, 4) for p, v in least.items()})
    assert min(least.values()) > 0.01
    # At p = 1 a law and its mirror image look the same: this is the leak.
    left, right = torch.zeros(2, 16)
    left[8], right[1] = 1, 1  # + - - - and - - - +
    always = markov("flip", 1.0)
    assert smallest_singular_value(always) < 1e-6 and torch.equal(left @ always, right @ always)
    # "Flipped where it happens", without the identity in what is drawn, would leak at p = 1/2 already.
    flipped = _is_picture(image_changes.flip(PICTURES, torch.ones(16)))
    assert smallest_singular_value(0.5 * torch.eye(16) + 0.5 * flipped) < 1e-6


def best_law(data: Tensor, change: Tensor) -> tuple[float, Tensor]:
    """(JS of what is shown, the law that makes it least), by descent on a law of free parameters."""
    free = torch.zeros(len(data), dtype=torch.float64)
    free[0] = 0.5  # not symmetric, lest it start among its own mirror images
    free.requires_grad_()
    optimiser = torch.optim.LBFGS(
        [free], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def divergence() -> Tensor:
        optimiser.zero_grad()
        real, fake = data @ change, free.softmax(0) @ change
        middle = (real + fake) / 2
        value = 0.5 * ((real * (real / middle).log()).sum() + (fake * (fake / middle).log()).sum())
        value.backward()
        return value

    optimiser.step(divergence)
    return divergence().item(), free.detach().softmax(0)


def test_the_best_generator_is_the_true_one_also_behind_the_changes() -> None:
    torch.manual_seed(0)
    data, off = torch.softmax(torch.randn(16, dtype=torch.float64), 0), {}
    for p in (0.8, 1.0):
        left, law = best_law(data, (markov("flip", p) @ markov("translation", 0.8)).double())
        off[p] = 0.5 * (law - data).abs().sum().item()
        assert left < 1e-9, "what is shown could still be told apart"
    print(f"total variation to the data's law: {off[0.8]:.1e} at p = .8, {off[1.0]:.2f} at p = 1")
    assert off[0.8] < 1e-3
    assert off[1.0] > 0.05, "at p = 1 the law itself is lost"


def test_state_survives_a_resume() -> None:
    one = AdaptiveAugmentation(interval=3, speed=1000)
    told(one, logits(1.0), 4)
    other = AdaptiveAugmentation(interval=3, speed=1000)
    other.load_state(one.state())
    assert told(one, logits(0.9), 2) == told(other, logits(0.9), 2) == pytest.approx(0.12)
    assert one.state()["updates"] == other.state()["updates"] == {"discriminator": 6}


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match="a Wasserstein critic's scores have no zero"):
        AdaptiveAugmentation().check("wasserstein")
    AdaptiveAugmentation().check("hinge")
    with pytest.raises(UserError, match=r"turns square slices only, these are \(6, 8\)"):
        AdaptiveAugmentation(changes=("turn",)).shown(duel(), torch.zeros(1, 1, 6, 8))
    with pytest.raises(UserError, match=r"tricks\[0\].most"):
        build_tricks([{"name": "adaptive_augmentation", "most": 1.5}])
