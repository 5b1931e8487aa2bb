"""Two batch norms: running statistics of real and of generated images never mix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.adversarial import Adversarial
from medudl.networks.separate_batch_norm import SeparateBatchNormalisation
from medudl.tricks import build_tricks
from medudl.tricks.adversarial import AdversarialTrick, Duel
from medudl.tricks.separate_batch_norm import SeparateBatchNorm

REAL, FAKE = (2.0, 0.5), (-3.0, 2.0)  # mean and deviation


class Critic(nn.Module):
    """A batch norm and nothing else before the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(1))

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.body(image).mean((1, 2, 3))  # type: ignore[no-any-return]

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        return [self.body(image)]


class Shifted(AdversarialTrick):
    """Shows other images than the duel's own, as an augmentation does."""

    def shown(self, duel: Duel, image: Tensor) -> Tensor:
        return image + 0


def images(of: tuple[float, float], seed: int) -> Tensor:
    return of[0] + of[1] * torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def separate() -> tuple[Critic, SeparateBatchNorm, SeparateBatchNormalisation]:
    critic, trick = Critic(), SeparateBatchNorm()
    trick.build({"discriminator": critic})
    layer = critic.body[0]
    assert isinstance(layer, SeparateBatchNormalisation)
    return critic, trick, layer


def duel(critic: Critic, trick: SeparateBatchNorm, seed: int, fake: Tensor | None = None) -> Duel:
    tricks = [Shifted(), trick, Shifted()]  # wherever in the list it stands
    fake = images(FAKE, seed + 1000) if fake is None else fake
    return Duel("discriminator", "generator", critic, "hinge", images(REAL, seed), fake, tricks=tricks)


def test_each_kind_has_its_own_statistics_and_a_plain_batch_norm_mixes_them() -> None:
    critic, trick, layer = separate()
    plain = Critic()
    for seed in range(100):
        turn = duel(critic, trick, seed)
        turn.verdict()
        plain(turn.real), plain(turn.fake)
    assert layer.running_mean is not None and layer.running_var is not None
    assert layer.running_mean.item() == pytest.approx(REAL[0], abs=0.02)
    assert layer.running_var.item() == pytest.approx(REAL[1] ** 2, rel=0.05)
    assert layer.generated_mean.item() == pytest.approx(FAKE[0], abs=0.1)
    assert layer.generated_var.item() == pytest.approx(FAKE[1] ** 2, rel=0.05)
    mixed = plain.body[0].running_mean.item()  # type: ignore[union-attr,operator]
    assert FAKE[0] + 1 < mixed < REAL[0] - 1


def test_evaluation_goes_by_the_kind_and_takes_an_image_for_real_where_nobody_says() -> None:
    critic, trick, _ = separate()
    for seed in range(100):
        duel(critic, trick, seed).verdict()
    critic.eval()
    turn = duel(critic, trick, 0)
    real, fake = turn.judge(turn.real), turn.judge(turn.fake)
    assert real.mean().abs() < 0.1 and fake.mean().abs() < 0.1
    assert torch.equal(critic(turn.real), real), "not real once the question is answered"
    assert critic(turn.fake).mean() < -5
    assert turn.features(turn.fake)[0].mean().abs() < 0.1
    assert turn.judge(turn.fake + 0).mean() < -5


def test_in_training_it_is_batch_norm() -> None:
    critic, trick, layer = separate()
    plain = Critic()
    for one in (layer, plain.body[0]):
        nn.init.constant_(one.weight, 1.7)  # type: ignore[arg-type]
        nn.init.constant_(one.bias, -0.3)  # type: ignore[arg-type]
    turn = duel(critic, trick, 0)
    for image in (turn.real, turn.fake, turn.real + turn.fake):
        torch.testing.assert_close(turn.features(image), plain.features(image))


def test_a_mixture_moves_nothing() -> None:
    critic, trick, layer = separate()
    turn = duel(critic, trick, 0)
    turn.verdict()
    before = {name: b.clone() for name, b in layer.named_buffers()}
    turn.judge((turn.real + turn.fake) / 2)
    critic(turn.real)
    assert all(torch.equal(b, before[name]) for name, b in layer.named_buffers())
    turn.judge(turn.fake)
    assert torch.equal(layer.running_mean, before["running_mean"])  # type: ignore[arg-type]
    assert not torch.equal(layer.generated_mean, before["generated_mean"])


def test_a_past_discriminator_uses_and_moves_its_own() -> None:
    critic, trick, layer = separate()
    turn = duel(critic, trick, 0)
    before = {name: b.clone() for name, b in layer.named_buffers()}
    past = {name: t.detach().clone() for name, t in critic.state_dict().items()}
    turn.judge(turn.fake, past)
    assert all(torch.equal(b, before[name]) for name, b in layer.named_buffers())
    assert not torch.equal(past["body.0.generated_mean"], before["generated_mean"])
    functional_call(critic, past, (turn.real,))


def test_in_a_gan_through_its_state_dict() -> None:
    torch.manual_seed(0)
    tricks = build_tricks([{"name": "separate_batch_norm"}])
    method, other = (
        build("gan", (1, 16, 16), {"width": 4, "latent": 3}, [trick]) for trick in (*tricks, SeparateBatchNorm())
    )
    method.join(tricks)
    assert isinstance(method, Adversarial)
    for objective in method.step({"image": torch.rand(4, 1, 16, 16)}):
        assert objective.loss is not None and objective.loss.isfinite()
    buffers = dict(method.players()["discriminator"].named_buffers())
    means = [b for name, b in buffers.items() if name.endswith(("running_mean", "generated_mean"))]
    assert len(means) == 2 and all(mean.abs().sum() > 0 for mean in means) and not torch.equal(*means)
    assert not [n for n, _ in method.players()["generator"].named_buffers() if "generated" in n]
    other.load_state_dict(method.state_dict())
    image = torch.rand(4, 1, 16, 16)
    assert torch.equal(*(m.eval().discriminator(image) for m in (method, other)))  # type: ignore[operator]


def test_a_player_without_batch_norm_is_told() -> None:
    with pytest.raises(UserError, match="separate_batch_norm stands in for batch norm, and discriminator has none"):
        SeparateBatchNorm().build({"discriminator": nn.Linear(2, 2)})
