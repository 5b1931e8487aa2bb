"""The studies of few labels, through their own code at the smallest size, and what their figures rest on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("studies", reason="studies do not travel with the package")

from studies import few_label_runs, few_labels, few_labels_after, mnist100  # noqa: E402
from studies.scores import Films  # noqa: E402


def films(count: int, side: int, seed: int) -> Films:
    """Noise; the sick ones are brighter. Two films a patient."""
    sick = np.arange(count) // 2 % 2 == 1
    image = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed))
    image = 0.7 * image + 0.3 * torch.from_numpy(sick).view(-1, 1, 1, 1) * torch.linspace(0, 1, side)
    return Films(image, sick, np.array([f"{seed}-{i // 2}" for i in range(count)]))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> few_labels.Question:
    """A question of 120 + 40 films of 16 x 16."""
    train, val = films(120, 16, 1), films(40, 16, 2)
    shifts = {shift: few_labels._small(val, 16, shift) for shift in ("none", *few_labels.SHIFTED)}
    asked = few_labels.Question(train, val, few_labels._small(train, 16, "none"), shifts, 32)
    monkeypatch.setattr(few_labels, "question", lambda data, side: asked)
    monkeypatch.setattr(few_labels, "SEEDS", range(2))
    return asked


@pytest.mark.parametrize("data", few_labels.DATA)
def test_few_labels_prints_a_row_an_arm_and_its_goals(data: str, tmp_path: Path, small: few_labels.Question) -> None:
    wanted = ("features", "scratch", "rbm", "autoencoder", *few_labels.ARMS)
    jobs = [job for job in few_labels.jobs("tiny") if job["data"] == data and job["part"] in wanted]
    results = [{**json.loads(json.dumps(few_labels.work(job, tmp_path / "run"))), **job} for job in jobs]
    printed = few_labels.table(results).splitlines()
    for arm in ("pixels", "EfficientNet-Lite0", "feature_autoencoder", "rbm, code", "autoencoder, fine-tuned", "K + 1"):
        (row,) = [line for line in printed if line.startswith(f"{arm} ") and " minus " not in line]
        assert row.count("|") == 2
    goals = [line for line in printed if " minus " in line]
    assert len(goals) == (2 if data == "pneumoniamnist" else 9)
    assert all(line.endswith((": met", ": missed")) for line in goals)


def test_more_labels_hold_the_fewer_and_classes_are_equal() -> None:
    label = np.array([0, 1, 1, 0, 1, 0, 0, 1] * 10)
    few, many = (few_label_runs.drawn(label, count, 3) for count in (5, 20))
    assert set(few) < set(many) and np.bincount(label[few]).tolist() == [5, 5]
    assert set(few) != set(few_label_runs.drawn(label, 5, 4))


def test_what_has_no_label_is_shown_without_one() -> None:
    rows, label = np.array([3, 7]), np.array([1, 0])
    image = torch.arange(10.0).view(-1, 1, 1, 1)
    batches = iter(few_label_runs._Mixed(image, rows, label, 4, 0))
    for _, batch in zip(range(5), batches, strict=False):
        assert (batch["label"][4:] == -1).all()
        for value, known in zip(batch["image"][:4].flatten().tolist(), batch["label"][:4].tolist(), strict=True):
            assert {3: 1, 7: 0}[int(value)] == known


def test_images_are_turned_by_amounts_of_their_own_and_by_no_more_than_asked() -> None:
    image = torch.zeros(2, 1, 33, 33)
    image[:, 0, 16, 4:29] = 1  # a line through the middle
    rows, label = np.array([0]), np.array([0])
    alone, turned = (next(iter(few_label_runs._Mixed(image, rows, label, 8, 0, most))) for most in (0.0, 10.0))
    assert torch.equal(alone["image"], image[:1].expand(16, -1, -1, -1))
    x = torch.arange(33.0) - 16
    found = turned["image"][:, 0]
    angles = torch.atan2((found * x[:, None] * x).sum((1, 2)), (found * x * x).sum((1, 2))).rad2deg()
    assert angles.abs().max() < 11 and angles.std() > 3 and 0 <= float(found.min()) <= float(found.max()) <= 1


def test_a_probe_finds_what_parts_the_classes_and_a_broken_one_does_not() -> None:
    random = np.random.default_rng(0)
    label = np.arange(200) % 2
    features = random.normal(size=(200, 5))
    features[:, 2] += 6 * label
    probe = few_label_runs.Probe.fit(features, np.arange(20), label[:20])
    assert few_label_runs.balanced(label, probe(features)) > 0.95
    assert few_label_runs.balanced(label, probe(features[:, ::-1][:, [0, 1, 3, 4, 2]])) < 0.7


def test_mnist_is_the_official_one_or_the_study_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mnist100, "PLACE", tmp_path)
    mnist100.digits.cache_clear()
    with pytest.raises(SystemExit) as ended:
        mnist100.digits("train")
    assert ended.value.code == 2 and "make mnist" in capsys.readouterr().err
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"another file")
    with pytest.raises(SystemExit):
        mnist100.digits("train")
    assert "is not the file" in capsys.readouterr().err


def test_mnist100_runs_and_prints_its_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)

    def digits(part: str) -> Any:
        label = np.arange(200) % 10
        return (random.random((200, 28, 28)) * 20 + 20 * label[:, None, None]).astype(np.uint8), label

    monkeypatch.setattr(mnist100, "digits", digits)
    results = [{**mnist100.work(job, tmp_path), **job} for job in mnist100.jobs("tiny")]
    printed = mnist100.table(results)
    assert len(printed.splitlines()) == 7 and "goal at most 5 %: missed" in printed
    for result in results:
        result["error"] = 4.0
    assert "goal at most 5 %: met" in mnist100.table(results)
    three = [{**one, "seed": seed, "error": one["error"] + seed + (one["way"] == "K + 1")}
             for seed in range(3) for one in results]  # fmt: skip
    told = mnist100.table(three)
    assert "K + 1, consistency minus K + 1, paired by seed: -1.00 (-1.00 to -1.00) points" in told
    assert "K + 1, consistency, %: 5.00 (2.52 to 7.48); seeds 4.00, 5.00, 6.00" in told


def test_labels_spread_to_what_is_near_and_not_across() -> None:
    random = np.random.default_rng(0)
    place = np.arange(120) % 2
    features = random.normal(size=(120, 6)) * 0.3
    features[np.arange(120), place] += 3
    rows = np.array([0, 1])
    graph = few_labels_after.nearest(features)
    mass = few_labels_after.spread(graph, rows, place[rows])
    assert (mass.argmax(1) == place).all() and np.allclose(mass.sum(0), 1)
    fixed = few_labels_after.ALPHA * (graph @ mass)  # F = alpha S F + (1 - alpha) Y, but at the two that have a label
    apart = (fixed - mass * (fixed[2:].sum(0) / mass[2:].sum(0)))[2:]
    assert np.abs(apart).max() < 1e-3 * mass[2:].max()
    probe = few_label_runs.Probe.fit(features, rows, place[rows])
    learnt = few_labels_after.spread_probe(probe, graph, features, rows, place[rows])
    assert (learnt.predict((features - probe.mean) / probe.scale) == place).all()
    shuffled = few_labels_after.spread(graph[random.permutation(120)], rows, place[rows])
    assert (shuffled.argmax(1) == place).mean() < 0.8, "it is the graph that tells"
