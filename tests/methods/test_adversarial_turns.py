"""The two turns of a game, and what tricks may do in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.adversarial import Loss, discriminator_loss, generator_loss
from medudl.methods import build
from medudl.methods.adversarial import Adversarial, frozen, signed, unsigned
from medudl.methods.method import Objective
from medudl.tricks.adversarial import AdversarialTrick, Duel, Weights
from medudl.tricks.trick import Trick


class Judge(nn.Module):
    """One linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(image.flatten(1))[:, 0]
        return logits if condition is None else logits + condition.sum(1)

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        return [image.flatten(1)]


class Game(Adversarial):
    def __init__(self, shape: tuple[int, ...] = (1, 2, 2), *, loss: Loss = "non_saturating") -> None:
        super().__init__(shape, loss)
        self.discriminator, self.generator = Judge(), nn.Linear(3, 4)

    def players(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def made(self, z: Tensor) -> Tensor:
        fake: Tensor = torch.unflatten(torch.tanh(self.generator(z)), 1, self.shape)
        return fake

    def turn(self) -> Duel:
        generator = torch.Generator().manual_seed(0)
        real, z = torch.rand(5, *self.shape, generator=generator), torch.randn(5, 3, generator=generator)
        return self.duel("discriminator", "generator", self.discriminator, signed(real), self.made(z))

    def step(self, batch: Batch) -> Iterator[Objective]:
        yield self.discriminator_turn(self.turn())
        yield self.generator_turn(self.turn())

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": batch["image"].flatten(1).sum(1)}


class Halved(AdversarialTrick):
    """Every hook at once, each by a number that can be told from the others."""

    def __init__(self) -> None:
        self.logits: list[Tensor] = []

    def targets(self, duel: Duel) -> tuple[float, float]:
        return 0.5, duel.targets[1]

    def fakes(self, duel: Duel, fake: Tensor) -> Tensor:
        assert not fake.requires_grad
        return fake / 2

    def shown(self, duel: Duel, image: Tensor) -> Tensor:
        return image / 3

    def discriminator_terms(self, duel: Duel) -> dict[str, Tensor]:
        return {"seven": 7 + 0 * duel.judge(duel.real).sum()}

    def generator_terms(self, duel: Duel) -> dict[str, Tensor]:
        return {"nine": 9 + 0 * duel.fake.sum()}

    def seen(self, duel: Duel, real: Tensor, fake: Tensor) -> None:
        assert not real.requires_grad
        self.logits += [real, fake]


class Replaced(AdversarialTrick):
    replaces = True

    def generator_loss(self, duel: Duel) -> Tensor | None:
        return 2 * duel.fake.sum()


class Past(AdversarialTrick):
    """A discriminator that is always sure."""

    def stand_in(self, player: str) -> Weights | None:
        return {"head.weight": torch.zeros(1, 4), "head.bias": torch.full((1,), 3.0)}


@pytest.fixture
def game() -> Game:
    torch.manual_seed(0)
    return Game()


def test_without_tricks_the_turns_are_the_textbooks(game: Game) -> None:
    duel = game.turn()
    of_real, of_fake = game.discriminator(duel.real), game.discriminator(duel.fake)
    objective = game.discriminator_turn(game.turn())
    assert objective.player == "discriminator" and objective.loss is not None
    assert torch.equal(objective.loss, discriminator_loss("non_saturating", of_real, of_fake).mean())
    assert torch.equal(objective.parts["real_logit"], of_real.mean())
    answer = game.generator_turn(game.turn())
    assert answer.player == "generator" and answer.loss is not None
    assert torch.equal(answer.loss, generator_loss("non_saturating", of_fake).mean())


def test_each_turn_gives_gradients_to_its_own_player_alone(game: Game) -> None:
    for turn, mine, other in [
        (game.discriminator_turn, game.discriminator, game.generator),
        (game.generator_turn, game.generator, game.discriminator),
    ]:
        game.zero_grad()
        loss = turn(game.turn()).loss
        assert loss is not None
        loss.backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in mine.parameters())
        assert all(p.grad is None for p in other.parameters())
        assert all(p.requires_grad for p in game.parameters())


def test_tricks_act_where_the_contract_says(game: Game) -> None:
    trick = Halved()
    game.join([Trick(), trick])
    plain = game.turn()
    of_real, of_fake = game.discriminator(plain.real / 3), game.discriminator(plain.fake.detach() / 6)
    expected = discriminator_loss("non_saturating", of_real, of_fake, real_target=0.5).mean()
    objective = game.discriminator_turn(game.turn())
    assert objective.loss is not None
    assert torch.allclose(objective.loss, expected + 7)
    assert objective.parts["seven"] == 7
    assert torch.equal(torch.stack(trick.logits), torch.stack([of_real, of_fake]))
    answer = game.generator_turn(game.turn())
    assert answer.loss is not None
    # The generator's own target stays 1, and its images are not those of the pool.
    wanted = generator_loss("non_saturating", game.discriminator(plain.fake / 3)).mean() + 9
    assert torch.allclose(answer.loss, wanted)


def test_a_trick_can_replace_the_generators_loss(game: Game) -> None:
    game.join([Replaced()])
    loss = game.generator_turn(game.turn()).loss
    assert loss is not None and torch.equal(loss, 2 * game.turn().fake.sum())


def test_a_past_player_stands_in_for_its_present_self(game: Game) -> None:
    game.join([Past()])
    loss = game.generator_turn(game.turn()).loss
    assert loss is not None and torch.allclose(loss, torch.nn.functional.softplus(torch.tensor(-3.0)))


def test_a_condition_goes_to_the_judge(game: Game) -> None:
    duel = game.turn()
    duel.condition = torch.ones(5, 2)
    assert torch.allclose(duel.judge(duel.real), game.discriminator(duel.real) + 2)
    assert torch.allclose(duel.judge(duel.real, condition=torch.zeros(5, 2)), game.discriminator(duel.real))


def test_what_makes_no_sense_is_refused_with_the_reason() -> None:
    with pytest.raises(UserError, match="Halved acts on a discriminator, and Autoencoder has none"):
        type(build("autoencoder", (1, 8, 8), {"latent": 2, "levels": 1})).check_tricks([Halved()], {})
    with pytest.raises(UserError, match="Replaced and Replaced both replace the generator's loss"):
        Game.check_tricks([Replaced(), Replaced()], {})
    asked: list[str] = []

    class Picky(AdversarialTrick):
        def check(self, loss: Loss) -> None:
            asked.append(loss)

    Game.check_tricks([Picky()], {})
    Game.check_tricks([Picky()], {"loss": "hinge"})
    assert asked == ["non_saturating", "hinge"]


def test_a_trick_can_change_the_architecture_before_weights_are_loaded() -> None:
    class Wider(Trick):
        def build(self, players: dict[str, nn.Module]) -> None:  # type: ignore[override]
            for player in players.values():
                player.register_buffer("more", torch.ones(3))

    assert "more" in build("autoencoder", (1, 8, 8), {"latent": 2, "levels": 1}, [Wider()]).state_dict()


def test_intensities_go_there_and_back() -> None:
    image = torch.tensor([0.0, 0.25, 1.0, 1.5])
    assert torch.equal(signed(image), torch.tensor([-1.0, -0.5, 1.0, 1.0]))
    assert torch.equal(unsigned(signed(image)), image.clamp(max=1))


def test_frozen_gives_back_what_learnt_before() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    with pytest.raises(ZeroDivisionError), frozen(layer):
        assert not any(p.requires_grad for p in layer.parameters())
        raise ZeroDivisionError
    assert layer.weight.requires_grad and not layer.bias.requires_grad
