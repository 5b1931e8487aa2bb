"""Unrolled GAN: closed form, second-order gradient against finite differences, what it must leave alone, the ring."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.losses.adversarial import Loss
from medudl.methods.adversarial import frozen
from medudl.tricks import unrolling
from medudl.tricks.adversarial import AdversarialTrick, Duel
from medudl.tricks.unrolling import Unrolling


class Discriminator(nn.Module):
    """(B, 2) -> (B,), smooth, so that finite differences are exact."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 12), middle, nn.Softplus(), nn.Linear(12, 1))

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        logits: Tensor = self.net(image).squeeze(1)
        return logits


class Smoothing(AdversarialTrick):
    """A target of .5 on real images."""

    def targets(self, duel: Duel) -> tuple[float, float]:
        return 0.5, 0.0


class Game:
    """A generator and a discriminator in double precision, and the unrolled loss as a function of G's weights."""

    def __init__(self, trick: Unrolling, middle: nn.Module | None = None, loss: Loss = "non_saturating") -> None:
        torch.manual_seed(0)
        self.discriminator = Discriminator(middle or nn.Identity()).double()
        self.generator = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2)).double()
        self.trick, self.kind = trick, loss
        self.z, self.real = torch.randn(16, 2).double(), 1 + torch.randn(16, 2).double()

    def duel(self, tricks: Sequence[AdversarialTrick] = ()) -> Duel:
        fake = self.generator(self.z)
        return Duel("discriminator", "generator", self.discriminator, self.kind, self.real, fake, tricks=tricks)

    def loss(self) -> Tensor:
        duel = self.duel()
        with frozen(self.discriminator):
            return self.trick.generator_loss(duel)

    def follow(self, updates: int) -> None:
        """Let Adam's averages meet some gradients of the discriminator."""
        for _ in range(updates):
            duel = self.duel()
            self.discriminator.zero_grad()
            duel.discriminator_loss().backward()
            self.trick.seen(duel, self.real, self.real)
            self.trick.after_update("discriminator", self.discriminator)

    def error(self, first_order: bool = False, step: float = 1e-5) -> float:
        """Worst relative error of the gradient along 5 random directions; differences of 4th order."""
        weights = list(self.generator.parameters())
        slopes = self.slopes(first_order)
        worst = 0.0
        for seed in range(5):
            drawing = torch.Generator().manual_seed(seed)
            way = [torch.randn(w.shape, generator=drawing, dtype=w.dtype) for w in weights]
            told = sum((s * d).sum().item() for s, d in zip(slopes, way, strict=True))
            at = {n: self._moved(weights, way, n * step) for n in (-2, -1, 1, 2)}
            measured = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
            worst = max(worst, abs(told - measured) / abs(measured))
        return worst

    def slopes(self, first_order: bool = False) -> tuple[Tensor, ...]:
        """Gradient of the generator's weights. first_order: as if D's steps ahead were constants."""
        true = torch.autograd.grad

        def cut(*given: object, **options: object) -> list[Tensor]:
            return [slope.detach() for slope in true(*given, **options)]  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            if first_order:
                patch.setattr(torch.autograd, "grad", cut)
            loss = self.loss()
        return true(loss, list(self.generator.parameters()))

    def _moved(self, weights: list[nn.Parameter], way: list[Tensor], by: float) -> float:
        with torch.no_grad():
            for w, d in zip(weights, way, strict=True):
                w.add_(by * d)
        value = self.loss().item()
        with torch.no_grad():
            for w, d in zip(weights, way, strict=True):
                w.sub_(by * d)
        return value


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("steps", [1, 5, 10])
def test_gradient_against_finite_differences(steps: int, optimiser: Literal["sgd", "adam"]) -> None:
    game = Game(Unrolling(steps=steps, rate={"sgd": 0.3, "adam": 0.02}[optimiser], optimiser=optimiser))
    game.follow(3)
    error, wrong = game.error(), game.error(first_order=True)
    print(f"{optimiser}, k = {steps}: {error:.1e}; first order {wrong:.1e}")
    assert error < 1e-7 < 1e-3 < wrong


def test_closed_form_on_a_linear_critic() -> None:
    """D(x) = w'x and L_D = w'(f - r), so w_k = w - k rate (f - r) and L_G = -w_k'f, f and r the means."""
    discriminator = nn.Linear(2, 1, bias=False)
    critic = Discriminator(nn.Identity())
    critic.net = nn.Sequential(discriminator)
    fake, real = torch.tensor([[1.0, 2.0], [3.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    duel = Duel("critic", "generator", critic, "wasserstein", real, fake)
    loss = Unrolling(steps=3, rate=0.5, optimiser="sgd").generator_loss(duel)
    f, r, w = fake.detach().mean(0), real.mean(0), discriminator.weight.detach()[0]
    torch.testing.assert_close(loss, -(w - 1.5 * (f - r)) @ f)
    (slope,) = torch.autograd.grad(loss, fake)
    torch.testing.assert_close(slope, ((1.5 * (f - r) - w) / 2 + 1.5 * f / 2).expand(2, 2))


def test_adam_ahead_is_torchs_adam() -> None:
    """k steps ahead, begun with D's own averages, are those that torch.optim.Adam would take."""
    game = Game(Unrolling(steps=4, rate=0.01, optimiser="adam", betas=(0.5, 0.9)))
    game.follow(0)
    adam = torch.optim.Adam(game.discriminator.parameters(), lr=0.01, betas=(0.5, 0.9))
    for _ in range(3):  # updates of its own turn
        duel = game.duel()
        duel.fake = duel.fake.detach()
        adam.zero_grad()
        duel.discriminator_loss().backward()
        game.trick.seen(duel, duel.real, duel.fake)
        adam.step()
        game.trick.after_update("discriminator", game.discriminator)
    ahead = game.loss().item()
    for _ in range(4):
        adam.zero_grad()
        game.duel().discriminator_loss().backward()
        adam.step()
    assert ahead == pytest.approx(game.duel().generator_loss().item(), rel=1e-6)


@pytest.mark.parametrize("middle", [nn.Identity(), nn.BatchNorm1d(12)], ids=["plain", "batch_norm"])
def test_the_discriminator_is_not_touched(middle: nn.Module) -> None:
    game = Game(Unrolling(steps=5, rate=0.3, optimiser="sgd"), copy.deepcopy(middle))
    before = copy.deepcopy(game.discriminator.state_dict())
    game.loss().backward()
    after = game.discriminator.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(p.grad is None and p.requires_grad for p in game.discriminator.parameters())
    assert all(p.grad is not None for p in game.generator.parameters())


def test_gradient_through_batch_norm() -> None:
    game = Game(Unrolling(steps=5, rate=0.3, optimiser="sgd"), nn.BatchNorm1d(12))
    assert game.error() < 1e-7


def test_spectral_norm_is_refused_because_its_gradient_would_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def game() -> Game:
        made = Game(Unrolling(steps=3, rate=0.3, optimiser="sgd"))
        nn.utils.parametrizations.spectral_norm(made.discriminator.net[0])
        return made

    with pytest.raises(UserError, match=r"spectral norm \(net.0\) treats its singular vectors as constants"):
        game().loss()
    monkeypatch.setattr(unrolling, "refuse_spectral_norm", lambda duel: None)
    unchecked = game()
    assert unchecked.error() > 1e-3
    # The same in evaluation mode, where no power iteration blurs the comparison: the vectors stay, and all is exact.
    unchecked.discriminator.eval()
    assert unchecked.error() < 1e-7


def test_the_old_spectral_norm_is_refused_too() -> None:
    game = Game(Unrolling())
    nn.utils.spectral_norm(game.discriminator.net[0])
    with pytest.raises(UserError, match="spectral norm"):
        game.trick.seen(game.duel(), game.real, game.real)


def test_steps_ahead_have_the_targets_in_force_and_the_generator_its_own() -> None:
    trick = Unrolling(steps=1, rate=0.3, optimiser="sgd")
    game = Game(trick)
    plain, smooth = trick.generator_loss(game.duel([trick])), trick.generator_loss(game.duel([trick, Smoothing()]))
    duel = game.duel()
    duel.targets = (0.5, 0.0)
    names, weights = zip(*game.discriminator.named_parameters(), strict=True)
    slopes = torch.autograd.grad(duel.discriminator_loss(), weights)
    moved = {n: w - 0.3 * s for n, w, s in zip(names, weights, slopes, strict=True)}
    torch.testing.assert_close(smooth, duel.generator_loss(moved))
    assert (smooth - plain).abs() > 1e-3


def test_full_precision_inside_autocast() -> None:
    game = Game(Unrolling(steps=3, rate=0.3, optimiser="sgd"))
    game.discriminator.float(), game.generator.float()
    game.z, game.real = game.z.float(), game.real.float()
    duel = game.duel()
    expected = game.trick.generator_loss(duel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = game.trick.generator_loss(duel)
    assert inside.dtype == torch.float32 and torch.equal(inside, expected)


def test_averages_survive_a_resume() -> None:
    one, other = Game(Unrolling()), Game(Unrolling())
    one.follow(3)
    other.trick.load_state(one.trick.state())
    assert torch.equal(one.loss(), other.loss())
    assert not torch.equal(one.loss(), Game(Unrolling()).loss())
