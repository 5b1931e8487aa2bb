"""What is the classifier's own, beyond the contract: its loss, what it takes over, what it leaves alone, its maps."""

import math
from typing import Any

import pytest
import torch
from flow import adam, train, turns
from torch import Tensor
from torch.nn import functional as F
from toys import register

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.classifier import Classifier
from medudl.methods.method import Method

CONV = {"name": "autoencoder", "latent": 6, "width": 4, "levels": 2}
# Every method with a code, at its smallest.
BODIES: list[dict[str, Any]] = [
    CONV,
    {"name": "autoencoder", "latent": 6, "network": "dense", "hidden": [12]},
    {"name": "sparse_autoencoder", "latent": 12, "penalty": "l1", "width": 4, "levels": 2},
    {"name": "denoising_autoencoder", "network": "bottleneck", "latent": 6, "width": 4, "levels": 2, "grid": 4},
    {"name": "stacked_autoencoder", "channels": [4], "sizes": [6]},
    {"name": "variational_autoencoder", "latent": 6, "width": 4, "levels": 2},
    {"name": "rbm", "hidden": 6, "gibbs": 2},
    {"name": "deep_belief_network", "hidden": [10, 6], "gibbs": 2},
]
every_body = pytest.mark.parametrize("body", BODIES, ids=lambda b: f"{b['name']}-{b.get('network', '')}")
SHAPE = (1, 12, 10)


def _build(shape: tuple[int, ...] = SHAPE, **options: Any) -> Classifier:
    method = build("classifier", shape, {"body": CONV, "classes": ["well", "ill"], "healthy": ["well"], **options})
    assert isinstance(method, Classifier)
    return method.eval()


def _batch(labels: list[int], shape: tuple[int, ...] = SHAPE) -> Batch:
    return {"image": torch.rand(len(labels), *shape), "label": torch.tensor(labels), "id": list(map(str, labels))}


def _loss(method: Method, batch: Batch) -> Tensor:
    (objective,) = method.step(batch)
    assert objective.loss is not None
    return objective.loss


def test_the_loss_is_the_cross_entropy_of_the_labelled_images() -> None:
    torch.manual_seed(0)
    method, batch = _build(counts=[30, 10]), _batch([0, 1, -1, 1])
    log_p = method.classify(batch["image"]).log_softmax(1)
    # n / (K n_c): 40 / (2 * 30) and 40 / (2 * 10).
    expected = [-40 / 60 * log_p[0, 0], -2 * log_p[1, 1], torch.zeros(()), -2 * log_p[3, 1]]
    torch.testing.assert_close(method.validate(batch)["loss"], torch.stack(expected).detach())
    torch.testing.assert_close(_loss(method, batch), torch.stack(expected).sum() / 3)
    torch.testing.assert_close(
        _loss(_build(counts=[30, 10], balanced=False).eval(), batch).isfinite(), torch.tensor(True)
    )


def test_a_batch_without_labels_costs_nothing_and_moves_nothing() -> None:
    torch.manual_seed(0)
    for batch in (_batch([-1, -1, -1]), {"image": torch.rand(3, *SHAPE), "id": ["a", "b", "c"]}):
        method = _build()
        loss = _loss(method, batch)  # type: ignore[arg-type]
        loss.backward()
        assert loss.item() == 0
        assert all(p.grad is None or not p.grad.any() for p in method.parameters())


def test_balanced_accuracy_weighs_classes_alike() -> None:
    """By the shares in training: 3 to 1. All called `well` is right for three of four, and half right."""
    method, batch = _build(counts=[3, 1]), _batch([0, 0, 0, 1])
    with torch.no_grad():
        method.linear.weight.zero_()
        method.linear.bias.copy_(torch.tensor([1.0, 0.0]))
    found = method.validate(batch)
    assert found["accuracy"].mean() == 0.75
    assert found["balanced_accuracy"].mean() == pytest.approx(0.5)


@every_body
def test_it_fine_tunes_the_encoder_of_every_method_and_leaves_the_rest(body: dict[str, Any]) -> None:
    """The weights of the pretrained body are taken over; then its encoder moves, and what draws images does not."""
    torch.manual_seed(0)
    source = build(body["name"], SHAPE, {k: v for k, v in body.items() if k != "name"}).eval()
    method = _build(body=body)
    method.take(source)
    batch = _batch([0, 1, 0, 1, 0, 1])
    code = source.encode(batch["image"])  # type: ignore[attr-defined]
    torch.testing.assert_close(method.encode(batch["image"]), code.float())
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    learning = {name for name, p in method.named_parameters() if p.requires_grad}
    train(method, batch, 3)
    moved = {name for name, p in method.named_parameters() if not torch.equal(p, before[name])}
    assert any(name.startswith("body.") for name in moved)
    assert moved <= learning
    assert not any(part in name for name in moved for part in ("decoder", "visible_bias", ".up", "likelihood"))
    assert len(before) > len(learning)


@every_body
def test_volumes_are_classified_too(body: dict[str, Any]) -> None:
    assert _build((1, 6, 8, 7), body=body).classify(torch.rand(2, 1, 6, 8, 7)).shape == (2, 2)


def test_a_frozen_body_stays_as_it_is() -> None:
    torch.manual_seed(0)
    method = _build(body={**CONV, "norm": "batch"}, freeze=True)
    before = {name: value.clone() for name, value in method.body.state_dict().items()}
    weight = method.linear.weight.detach().clone()
    train(method, _batch([0, 1, 0, 1]), 3)
    assert all(torch.equal(value, before[name]) for name, value in method.body.state_dict().items())
    assert not torch.equal(weight, method.linear.weight)


def test_a_classifier_can_begin_from_a_classifier() -> None:
    first, second = _build(), _build(classes=["a", "b", "c"], healthy=[])
    second.take(first)
    image = torch.rand(2, *SHAPE)
    torch.testing.assert_close(first.encode(image), second.encode(image))


def test_weights_that_do_not_fit_are_refused_in_a_line() -> None:
    method = _build()
    with pytest.raises(UserError, match="1 x 8 x 8.*these are 1 x 12 x 10"):
        method.take(build("autoencoder", (1, 8, 8), {"latent": 6, "width": 4, "levels": 2}))
    with pytest.raises(UserError, match="do not fit method.body"):
        method.take(build("autoencoder", SHAPE, {"latent": 5, "width": 4, "levels": 2}))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"body": {"name": "classifier", "classes": ["a", "b"], "body": CONV}}, "stands on the method below it"),
        ({"body": {"latent": 3}}, "has no name"),
        ({"body": {"name": "autoencoder", "lattent": 3}}, "did you mean latent"),
        ({"body": {"name": "toy_wasserstein"}}, "no code to classify by"),
        ({"head": "cam", "body": {"name": "rbm", "hidden": 5}}, "no map over space for head: cam"),
        ({"classes": ["one"]}, "method.classes"),
        ({"counts": [1, 2, 3]}, "3 numbers for 2 classes"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_line(
    options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    with pytest.raises(UserError, match=words):
        _build(**options)


@pytest.mark.parametrize("shape", [(1, 16, 12), (2, 8, 8, 12)])
def test_the_mean_of_a_class_map_is_its_logit(shape: tuple[int, ...]) -> None:
    """Zhou 2016, eq. 2: the logit, without its bias, is the map summed (here: averaged) over space."""
    torch.manual_seed(0)
    method = _build(shape, head="cam", classes=["well", "ill", "other"])
    image = torch.rand(2, *shape)
    coarse = torch.einsum("bk...,ck->bc...", method.feature_map(image), method.linear.weight)
    logits = method.classify(image) - method.linear.bias
    torch.testing.assert_close(coarse.flatten(2).mean(2), logits)
    maps = method.class_maps(image)
    assert maps.shape == (2, 3, *shape[1:])
    torch.testing.assert_close(maps.sum(1), torch.zeros(2, *shape[1:]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "body", [{"name": "stacked_autoencoder", "channels": [4, 4], "sizes": [6]}, {**CONV, "norm": "none"}]
)
@pytest.mark.parametrize("at", [(8, 4), (4, 8)])
def test_a_map_is_not_shifted(body: dict[str, Any], at: tuple[int, int]) -> None:
    """All weights alike, so that a bright voxel in the middle of a cell's view answers most: the map peaks there.

    Cells laid over their voxels instead, as pixels of an enlarged picture, would peak two voxels away.
    """
    method = _build((1, 16, 16), head="cam", body=body)
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            parameter.fill_(0.0 if "bias" in name else 1.0)
        method.linear.weight[0] = -1.0
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, at[0], at[1]] = 1.0
    (peak,) = (method.class_maps(image)[0, 1] == method.class_maps(image)[0, 1].max()).nonzero()
    assert tuple(peak.tolist()) == at


def test_maps_show_what_is_not_healthy() -> None:
    method = _build(head="cam")
    assert "anomaly" in method.verbs()
    heat, score = method.anomaly(torch.rand(3, *SHAPE))
    assert heat.min() >= 0
    torch.testing.assert_close(score, method.classify(torch.rand(3, *SHAPE)).softmax(1)[:, 1], atol=1, rtol=0)
    assert "anomaly" not in _build(head="cam", healthy=[]).verbs()
    assert "anomaly" not in _build(head="code").verbs()
    with pytest.raises(UserError, match="head: cam"):
        _build(head="code").anomaly(torch.rand(1, *SHAPE))


def _anatomy(count: int, side: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Blurred noise as anatomy; in every other image a blob, a tenth of the side wide: images, labels, lesions."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, side // 4, side // 4, generator=random)
    image = 0.5 + 0.15 * F.interpolate(coarse, (side, side), mode="bicubic")
    image = image + 0.05 * torch.randn(count, 1, side, side, generator=random)
    centre = side * (0.15 + 0.7 * torch.rand(count, 2, generator=random))
    axis = torch.arange(side) + 0.5
    away = (axis[None, :, None] - centre[:, 0, None, None]).square() + (
        axis[None, None] - centre[:, 1, None, None]
    ).square()
    label = torch.arange(count) % 2
    radius = side / 10
    blob = 0.6 * torch.exp(-away / (2 * (radius / 2) ** 2))[:, None] * label[:, None, None, None]
    lesion = (away < radius**2)[:, None] & label.bool()[:, None, None, None]
    return image + blob, label, lesion


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_maps_point_at_lesions_from_image_labels_alone(seed: int) -> None:
    """Pointing game (Zhang et al. 2016): the map's highest point lies in the lesion."""
    image, label, _ = _anatomy(512, 64, seed)
    torch.manual_seed(seed)
    method = _build(image.shape[1:], head="cam", body={**CONV, "width": 8, "norm": "batch"})
    method.train()
    optimisers, random = adam(method, 3e-3), torch.Generator().manual_seed(seed)
    for _ in range(500):
        chosen = torch.randint(len(image), (32,), generator=random)
        turns(method, {"image": image[chosen], "label": label[chosen], "id": []}, optimisers, lambda _: None)
    method.eval()
    test, truth, lesion = _anatomy(200, 64, 100 + seed)
    with torch.no_grad():
        heat, _ = method.anomaly(test)
        right = (method.classify(test).argmax(1) == truth).float().mean().item()
    sick = truth.bool()
    hit = lesion[sick].flatten(1).gather(1, heat[sick].flatten(1).argmax(1, keepdim=True)).float().mean().item()
    print(f"\npointing game {hit:.3f} of {int(sick.sum())} sick images, accuracy {right:.3f}, seed {seed}")
    assert hit > 0.9
    assert math.isfinite(right)
