"""Virtual batch norm: an explicit loop over R + x_i, no mates, and where the reference batch lies."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.adversarial import Adversarial, signed
from medudl.networks.virtual_batch_norm import VirtualBatchNormalisation
from medudl.tricks import build_tricks
from medudl.tricks.adversarial import Duel
from medudl.tricks.virtual_batch_norm import VirtualBatchNorm

KINDS: dict[str, tuple[tuple[int, ...], Any, type[nn.Module]]] = {
    "dense": ((3,), nn.Linear, nn.BatchNorm1d),
    "2d": ((3, 5, 4), lambda a, b: nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d),
    "3d": ((3, 4, 3, 2), lambda a, b: nn.Conv3d(a, b, 3, padding=1), nn.BatchNorm3d),
}  # fmt: skip


class Critic(nn.Module):
    """Two batch norms in a stack; `features` asks for the first alone."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        _, layer, norm = KINDS[kind]
        self.body = nn.Sequential(layer(3, 4), norm(4), nn.LeakyReLU(0.2), layer(4, 6), norm(6))
        for i in (1, 4):
            nn.init.normal_(self.body[i].weight, 1, 0.3)  # type: ignore[arg-type]
            nn.init.normal_(self.body[i].bias, 0, 0.3)  # type: ignore[arg-type]

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        out: Tensor = self.body(image)
        return out

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        return [self.body[:2](image)]


def images(kind: str, count: int, seed: int = 1) -> Tensor:
    noise = torch.randn(count, *KINDS[kind][0], generator=torch.Generator().manual_seed(seed))
    return noise * torch.rand(count, *[1] * (noise.ndim - 1), generator=torch.Generator().manual_seed(seed)) + 0.5


def duel(critic: nn.Module, real: Tensor) -> Duel:
    return Duel("discriminator", "generator", critic, "non_saturating", real, real.flip(0))


def virtual(kind: str, reference: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Critic, VirtualBatchNorm]:
    """A critic in training mode that has met its reference batch."""
    torch.manual_seed(0)
    critic, trick = Critic(kind).to(dtype), VirtualBatchNorm(players=["discriminator"])
    trick.build({"discriminator": critic})
    trick.fakes(duel(critic, reference), reference)
    return critic.to(dtype), trick


def looped(critic: Critic, reference: Tensor, x: Tensor) -> Tensor:
    """What is meant: each x_i alone, beside R, with the statistics of both together."""

    def normalised(y: Tensor, of: Tensor, layer: Any) -> Tensor:
        axes = [0, *range(2, y.ndim)]
        mean, mean_of_squares = of.mean(axes, keepdim=True), of.square().mean(axes, keepdim=True)
        shape = (1, -1, *[1] * (y.ndim - 2))
        spread = (mean_of_squares - mean.square() + layer.eps).sqrt()
        return (y - mean) / spread * layer.weight.view(shape) + layer.bias.view(shape)

    outs = []
    for one in x.split(1):
        r = reference
        for layer in critic.body:
            if isinstance(layer, VirtualBatchNormalisation):
                one, r = normalised(one, torch.cat([r, one]), layer), normalised(r, r, layer)
            else:
                one, r = layer(one), layer(r)
        outs.append(one)
    return torch.cat(outs)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_an_explicit_loop_with_its_gradients(kind: str) -> None:
    reference, x = images(kind, 6).double(), images(kind, 4, seed=2).double().requires_grad_()
    critic, _ = virtual(kind, reference, torch.float64)
    weights = [x, *critic.parameters()]
    found, wanted = critic(x), looped(critic, reference, x)
    off = (found - wanted).abs().max().item()
    slopes = [torch.autograd.grad(out.pow(3).sum(), weights) for out in (found, wanted)]
    slopes_off = max((a - b).abs().max().item() for a, b in zip(*slopes, strict=True))
    with torch.no_grad():
        single = (virtual(kind, reference.float())[0](x.float()) - found).abs().max().item()
    print(f"{kind}: {off:.1e} from the loop, gradients {slopes_off:.1e}; in float32 {single:.1e}")
    assert off < 1e-6 and slopes_off < 1e-6 and single < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_does_not_depend_on_its_mates_and_with_batch_norm_it_does(kind: str) -> None:
    x, others = images(kind, 1, seed=2), images(kind, 3, seed=3)
    critic, _ = virtual(kind, images(kind, 6))
    plain = Critic(kind)
    plain.load_state_dict({k: v for k, v in critic.state_dict().items() if "reference" not in k}, strict=False)
    for network, least, most in ((critic, 0.0, 1e-6), (plain, 1e-2, 1e9)):
        apart = (network(torch.cat([x, others]))[:1] - network(torch.cat([x, 2 * others]))[:1]).abs().max().item()
        print(f"{type(network.body[1]).__name__}: {apart:.1e}")
        assert least <= apart <= most
    torch.testing.assert_close(critic(x), critic(torch.cat([x, others]))[:1])


def test_the_reference_goes_through_with_the_weights_of_the_pass() -> None:
    reference, x = images("2d", 6).double(), images("2d", 4, seed=2).double()
    critic, _ = virtual("2d", reference, torch.float64)
    before = critic(x)
    others = {name: p.detach() * 1.3 + 0.1 for name, p in critic.named_parameters()}
    given = functional_call(critic, {**others, **dict(critic.named_buffers())}, (x,))
    assert torch.equal(critic(x), before)
    critic.load_state_dict(others, strict=False)
    torch.testing.assert_close(given, looped(critic, reference, x))
    assert not torch.allclose(given, before)


def test_features_ask_for_a_part_of_the_network() -> None:
    critic, _ = virtual("2d", images("2d", 6))
    x = images("2d", 4, seed=2)
    whole = critic(x)
    (first,) = critic.features(x)
    torch.testing.assert_close(first, critic.body[1](critic.body[0](x)))
    assert torch.equal(critic(x), whole)


def test_a_layer_that_is_passed_twice_keeps_its_two_places_apart() -> None:
    reference, x = images("dense", 6).double(), images("dense", 4, seed=2).double()
    critic, _ = virtual("dense", reference, torch.float64)
    torch.manual_seed(1)
    again = nn.Linear(6, 4).double()
    critic.body.extend([again, critic.body[1]])
    torch.testing.assert_close(critic(x), looped(critic, reference, x))


def test_sixteen_bits_outside_and_thirty_two_within() -> None:
    critic, _ = virtual("2d", images("2d", 6))
    x = images("2d", 4, seed=2)
    whole = critic(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = critic(x)
        of_reference = critic.body[0](images("2d", 6))
    assert half.dtype == torch.bfloat16 and of_reference.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), whole, atol=0.1, rtol=0.05)


def test_a_copy_of_the_network_has_a_reference_of_its_own() -> None:
    critic, _ = virtual("2d", images("2d", 6))
    x, twin = images("2d", 4, seed=2), copy.deepcopy(critic)
    assert torch.equal(twin(x), critic(x))
    with torch.no_grad():
        for p in twin.parameters():
            p.mul_(2)
    assert not torch.allclose(twin(x), critic(x))
    torch.testing.assert_close(twin(x), looped(twin, images("2d", 6), x))


def test_the_first_batch_is_kept_whatever_comes() -> None:
    critic, trick = virtual("2d", images("2d", 6))
    trick.generator_loss(duel(critic, images("2d", 6, seed=9)))
    own = trick.references["discriminator"].images
    assert own is not None and torch.equal(own[0], images("2d", 6))
    few = VirtualBatchNorm(players=["discriminator"], reference=2)
    few.build({"discriminator": Critic("2d")})
    few.generator_loss(duel(critic, images("2d", 6)))
    own = few.references["discriminator"].images
    assert own is not None and torch.equal(own[0], images("2d", 2 + 4)[:2])


# ---- in a method ----


def gan(players: Sequence[str] = ("generator", "discriminator")) -> tuple[Adversarial, VirtualBatchNorm]:
    torch.manual_seed(0)
    tricks = build_tricks([{"name": "virtual_batch_norm", "reference": 3, "players": list(players)}])
    method = build("gan", (1, 16, 16), {"width": 4, "latent": 3}, tricks)
    method.join(tricks)
    assert isinstance(method, Adversarial) and isinstance(tricks[0], VirtualBatchNorm)
    return method, tricks[0]


def trained(method: Adversarial) -> Tensor:
    """The images of one step; nothing is updated."""
    image = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(5))
    for objective in method.step({"image": image}):
        assert objective.loss is not None and objective.loss.isfinite()
    return image


def test_patients_images_lie_in_the_tricks_state_and_codes_among_the_weights() -> None:
    method, trick = gan()
    image = signed(trained(method))
    kept = trick.references["discriminator"].images
    assert kept is not None and torch.equal(kept[0], image[:3])
    weights = method.state_dict()
    assert not [name for name, value in weights.items() if value.shape[1:] == image.shape[1:]]
    codes = [value for name, value in weights.items() if name.endswith("reference.code") and len(value)]
    assert [tuple(code.shape) for code in codes] == [(3, 3)]
    assert trick.state()["discriminator"][0] is kept[0]  # type: ignore[index]


def test_an_opened_run_samples_the_same_and_says_why_its_discriminator_cannot_judge() -> None:
    method, _ = gan()
    image = trained(method)
    opened, _ = gan()
    torch.manual_seed(7)
    for p in opened.parameters():
        nn.init.normal_(p)
    opened.load_state_dict(method.state_dict())
    samples = []
    for one in (method, opened):
        one.eval()
        torch.manual_seed(3)
        samples.append(one.sample(5))  # type: ignore[attr-defined]
    assert torch.equal(*samples)
    with pytest.raises(UserError, match="discriminator: its virtual batch norm needs its reference batch, images of"):
        opened.discriminator(signed(image))  # type: ignore[operator]


def test_the_state_goes_on_bit_by_bit_and_goes_back_to_the_beginning() -> None:
    method, trick = gan()
    beginning = copy.deepcopy((method.state_dict(), trick.state()))
    image = signed(trained(method))
    resumed, other = gan()
    resumed.load_state_dict(method.state_dict())
    other.load_state(trick.state())
    assert torch.equal(resumed.discriminator(image), method.discriminator(image))  # type: ignore[operator]
    method.load_state_dict(beginning[0])
    trick.load_state(beginning[1])
    assert all(own.inputs() is None for own in trick.references.values())


def test_before_the_first_batch_an_image_is_normalised_by_itself() -> None:
    method, trick = gan()
    method.eval()
    out = method.discriminator(torch.rand(4, 1, 16, 16))  # type: ignore[operator]
    assert out.isfinite().all() and method.sample(2).isfinite().all()  # type: ignore[attr-defined]
    assert trick.references["generator"].inputs() is None, "codes were met outside of training"
    method.train()
    with pytest.raises(UserError, match="discriminator is given images before a turn as discriminator"):
        method.discriminator(torch.rand(4, 1, 16, 16))  # type: ignore[operator]


def test_a_generator_of_images_is_refused() -> None:
    translator, trick = Critic("2d"), VirtualBatchNorm(players=["generator"])
    trick.build({"generator": translator})
    with pytest.raises(UserError, match="generator is given images before a turn as discriminator"):
        translator(images("2d", 2))


def test_a_player_without_batch_norm_is_told() -> None:
    with pytest.raises(UserError, match="virtual_batch_norm stands in for batch norm, and discriminator has none"):
        VirtualBatchNorm(players=["discriminator"]).build({"discriminator": nn.Linear(2, 2)})
    with pytest.raises(UserError, match="virtual_batch_norm changes player critic, which this method lacks"):
        VirtualBatchNorm(players=["critic"]).build({"discriminator": Critic("2d")})
