"""Labels spread over a graph: its closed form, two moons, digits; and the two layers that are put in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from flow import train
from scipy import stats
from sklearn.datasets import load_digits, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import kneighbors_graph
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.label_graph import neighbour_graph, spread_labels, sureness
from medudl.methods.label_spreading import LabelSpreading

CLASSES = ["a", "b", "c"]


class Pixels(nn.Module):
    """A network whose channels are the pixels of an image."""

    stages = (1,)

    def __init__(self, count: int) -> None:
        super().__init__()
        self.channels = [count]
        self.register_buffer("fingerprint", torch.zeros(32, dtype=torch.uint8))

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image.flatten(1)[:, :, None, None]]

    def name(self) -> str:
        return "pixels"


@pytest.fixture
def pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """All methods built now look at pixels themselves."""
    monkeypatch.setattr(
        "medudl.methods.label_spreading.feature_network", lambda _, shape, *rest: Pixels(int(np.prod(shape)))
    )


def _method(shape: tuple[int, ...], classes: list[str], **options: Any) -> LabelSpreading:
    torch.manual_seed(0)
    method = build("label_spreading", shape, {"classes": classes, "features": "random", "stages": [1, 2], **options})
    assert isinstance(method, LabelSpreading)
    return method.eval()


@torch.no_grad()
def _chances(method: LabelSpreading, image: Tensor) -> Tensor:
    return method.classify(image).exp()


def _batches(image: Tensor, label: Tensor, size: int = 50) -> Iterator[Batch]:
    for start in range(0, len(image), size):
        part = slice(start, start + size)
        yield {"image": image[part], "label": label[part], "id": []}


def _blobs(seed: int, count: int = 90) -> tuple[Tensor, Tensor]:
    """Three kinds of small image, and which kind each is."""
    random = torch.Generator().manual_seed(seed)
    kind = torch.arange(count) % 3
    means = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    return means[kind] + 0.3 * torch.randn(count, 1, 8, 8, generator=random), kind


def _few(label: Tensor, each: int) -> Tensor:
    """The first labels of each class; -1 for the others."""
    known = torch.cat([torch.nonzero(label == k)[:each, 0] for k in label.unique()])
    return torch.full_like(label, -1).index_copy(0, known, label[known])


def test_the_graph_is_scikit_learns() -> None:
    code = torch.randn(1500, 6, generator=torch.Generator().manual_seed(0))  # more than are compared at a time
    unit = (code / code.norm(dim=1, keepdim=True)).double().numpy()
    edges = kneighbors_graph(unit, 7, mode="connectivity").toarray()
    edges = np.maximum(edges, edges.T)
    scale = edges.sum(1) ** -0.5
    assert np.abs(neighbour_graph(code, 7).to_dense().numpy() - scale[:, None] * edges * scale).max() < 1e-12


@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.99])
def test_spreading_is_its_closed_form(alpha: float) -> None:
    code, _ = _blobs(0)
    label = _few(torch.arange(90) % 3, 2)
    graph, share = neighbour_graph(code.flatten(1), 5), torch.tensor([0.5, 0.3, 0.2])
    given = torch.nn.functional.one_hot(label.clamp(min=0), 3).double() * (label >= 0)[:, None]
    exact = (1 - alpha) * torch.linalg.solve(torch.eye(90).double() - alpha * graph.to_dense(), given)
    exact = exact / exact.sum(0) * share
    found = spread_labels(graph, label, share, alpha)
    away = float((found - exact).abs().max() / exact.max())
    print(f"alpha {alpha}: {away:.1e} from the closed form; n = 90 images")
    assert away < 1e-5
    assert torch.allclose(found.sum(0), share.double())


def test_where_no_label_arrives_nothing_is_sure() -> None:
    code = torch.cat([torch.eye(8)[:1].repeat(20, 1), torch.eye(8)[1:2].repeat(20, 1)])
    code = code + 0.01 * torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    label = torch.full((40,), -1)
    label[0], label[1] = 0, 1  # both on the first island
    sure = sureness(spread_labels(neighbour_graph(code, 5), label, torch.ones(2), 0.9))
    assert (sure[20:] == 0).all() and (sure[:2] > 0).all() and float(sure.max()) <= 1


def test_two_moons_by_one_label_each() -> None:
    found = []
    for seed in range(5):
        values, kind = make_moons(400, noise=0.06, random_state=seed)
        raised = np.concatenate([values, np.full((400, 1), 3.0)], axis=1)  # so that the cosine sees where a point lies
        code, label = torch.from_numpy(raised), torch.from_numpy(kind)
        few = _few(label, 1)
        spread = spread_labels(neighbour_graph(code, 10), few, torch.ones(2), 0.99).argmax(1)
        told = few >= 0
        line = LogisticRegression().fit(values[told.numpy()], kind[told.numpy()]).score(values, kind)
        found.append((float((spread == label).double().mean()), line))
    print(
        f"right: {[f'{a:.3f}' for a, _ in found]}, a line {[f'{b:.3f}' for _, b in found]}; n = 400 points, seeds 0-4"
    )
    assert np.mean([a for a, _ in found]) > 0.95 and all(a > b for a, b in found)


@pytest.mark.usefixtures("pixels")
def test_digits_without_a_label_lower_the_error() -> None:
    """Five labels a class, the draws of `test_semi_supervised_digits`; options as they come, nothing was chosen."""
    digits, errors = load_digits(), []
    for seed in range(10):
        random = np.random.default_rng(seed)
        image = torch.from_numpy(((digits.images + random.random(digits.images.shape)) / 17).astype(np.float32))[
            :, None
        ]
        label, order = torch.from_numpy(digits.target), random.permutation(len(digits.target))
        tested, learnt = order[:797], order[797:]
        few = _few(label[learnt], 5)
        row = []
        for unlabelled in ("graph", "none"):
            method = _method((1, 8, 8), [str(k) for k in range(10)], unlabelled=unlabelled)
            method.settle(_batches(image[learnt], few))
            row.append(100 * float((method.classify(image[tested]).argmax(1) != label[tested]).double().mean()))
        errors.append(row)
    graph, alone = np.array(errors).T
    apart = graph - alone
    reach = stats.t.ppf(0.975, 9) * apart.std(ddof=1) / np.sqrt(10)
    print(f"error {graph.mean():.1f} %, labels alone {alone.mean():.1f} %; difference {apart.mean():.1f}"
          f" ({apart.mean() - reach:.1f} to {apart.mean() + reach:.1f}); n = 797 digits, seeds 0 to 9")  # fmt: skip
    assert apart.mean() + reach < 0


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("classes", [2, 3])
def test_both_layers_are_ridge_logistic_regressions(classes: int) -> None:
    image, kind = _blobs(0)
    kind = kind % classes
    few = _few(kind, 4)
    method = _method((1, 8, 8), CLASSES[:classes], counts=[4] * classes)
    method.settle(_batches(image, few))
    p = torch.cat([image.flatten(1), torch.zeros(90, 64)], dim=1).double().numpy()  # spreads of one pixel are 0
    h = (p - p.mean(0)) / np.where(p.std(0) > 0, p.std(0), 1)
    told = (few >= 0).numpy()
    plain = LogisticRegression(C=1 / (0.2 * 128), max_iter=2000).fit(h[told], few[few >= 0].numpy())
    spread = spread_labels(neighbour_graph(torch.from_numpy(h), 10), few, torch.full((classes,), 1 / classes), 0.9)
    target = torch.where(few >= 0, few, spread.argmax(1)).numpy()
    weight = np.where(told, 1, sureness(spread).numpy())
    wide = LogisticRegression(C=1 / (0.2 * 128), max_iter=2000).fit(h, target, sample_weight=weight)
    expected = (plain.predict_proba(h) + wide.predict_proba(h)) / 2
    away = np.abs(_chances(method, image).numpy() - expected).max()
    assert away < 1e-4
    alone = _method((1, 8, 8), CLASSES[:classes], counts=[4] * classes, unlabelled="none")
    alone.settle(_batches(image, few))
    assert np.abs(_chances(alone, image).numpy() - plain.predict_proba(h)).max() < 1e-4
    assert torch.allclose(_chances(method, image).sum(1), torch.ones(90))


@pytest.mark.usefixtures("pixels")
def test_a_rare_class_weighs_as_much_as_a_frequent_one() -> None:
    image, kind = _blobs(0)
    few = _few(kind % 2, 20)
    few[torch.nonzero(few == 1)[1:, 0]] = -1
    found = {}
    for balanced in (True, False):
        method = _method((1, 8, 8), CLASSES[:2], counts=[20, 1], balanced=balanced)
        method.settle(_batches(image, few))
        found[balanced] = float(_chances(method, image)[:, 1].mean())
    assert found[True] > 1.2 * found[False]


@pytest.mark.usefixtures("pixels")
def test_order_of_the_images_changes_nothing_and_none_is_kept() -> None:
    image, kind = _blobs(0)
    few, turned = _few(kind, 3), torch.randperm(90, generator=torch.Generator().manual_seed(1))
    one, other = _method((1, 8, 8), CLASSES), _method((1, 8, 8), CLASSES)
    one.settle(_batches(image, few))
    other.settle(_batches(image[turned], few[turned], size=7))
    assert torch.allclose(one.classify(image), other.classify(image), atol=1e-3)
    sizes = {name: value.shape for name, value in _method((1, 8, 8), CLASSES).state_dict().items()}
    assert sizes == {name: value.shape for name, value in one.state_dict().items()}
    assert one.notes()[-1] == "labels of 9 images spread over 81 without one"


@pytest.mark.usefixtures("pixels")
def test_the_bank_bounds_the_graph_and_keeps_every_label() -> None:
    image, kind = _blobs(0)
    method = _method((1, 8, 8), CLASSES, bank=20)
    method.settle(_batches(image, _few(kind, 3)))
    assert method.notes()[-1] == "labels of 9 images spread over 20 without one"


def test_without_any_image_that_has_no_label_it_is_a_probe() -> None:
    image, kind = _blobs(0)
    method = _method((1, 8, 8), CLASSES)
    method.settle(_batches(image, kind))
    assert float((method.classify(image).argmax(1) == kind).double().mean()) > 0.9


def test_a_class_that_nobody_labelled_is_told() -> None:
    image, kind = _blobs(0)
    with pytest.raises(UserError, match="no training image has the label c"):
        _method((1, 8, 8), CLASSES).settle(_batches(image, torch.where(kind == 2, -1, _few(kind, 3))))


def test_steps_learn_from_labelled_images_alone_and_move_no_feature() -> None:
    image, kind = _blobs(0)
    method = _method((1, 8, 8), CLASSES)
    before = {name: value.clone() for name, value in method.network.state_dict().items()}
    batch: Batch = {"image": image, "label": _few(kind, 4), "id": []}
    train(method, {**batch, "label": torch.full_like(kind, -1)}, 1)
    assert torch.equal(method.taught.weight, _method((1, 8, 8), CLASSES).taught.weight)
    train(method, batch, 60, lr=1e-2)
    taught = batch["label"] >= 0
    assert (method.classify(image)[taught].argmax(1) == kind[taught]).all()
    assert all(torch.equal(value, before[name]) for name, value in method.network.state_dict().items())


def test_volumes_and_another_runs_encoder() -> None:
    volume = torch.rand(6, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    body = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}
    method = _method((1, 8, 8, 8), CLASSES[:2], features="encoder", body=body)
    with pytest.raises(UserError, match="method.init"):
        method.classify(volume)
    method.take(build("autoencoder", (1, 8, 8, 8), {"latent": 4, "width": 4, "levels": 2}))
    method.settle(_batches(volume, torch.tensor([0, 1, -1, -1, -1, 0])))
    assert method.classify(volume).shape == (6, 2) and method.encode(volume).shape[0] == 6
