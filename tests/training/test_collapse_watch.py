"""A generator that makes the same image again and again is told of while it trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor

from medudl.methods import build
from medudl.methods.adversarial import Adversarial
from medudl.training.collapse import COUNT, CollapseWatch


def watch(spread: float, monkeypatch: pytest.MonkeyPatch) -> CollapseWatch:
    """Of a generator whose samples differ by `spread` times what images do."""
    method = build("gan", tiny.SHAPE, {"width": 2, "latent": 4})
    assert isinstance(method, Adversarial)

    def sample(count: int) -> Tensor:
        return 0.5 + spread * (torch.rand(count, *tiny.SHAPE) - 0.5)

    monkeypatch.setattr(method, "sample", sample)
    images = torch.rand(90, *tiny.SHAPE, generator=torch.Generator().manual_seed(1))
    batches = [{"image": part, "id": [""] * len(part)} for part in images.split(40)]
    return CollapseWatch(method, batches)  # type: ignore[arg-type]


def test_it_speaks_of_samples_that_are_alike_and_of_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    alike = watch(0.1, monkeypatch)
    assert alike.real is not None and len(alike.real) == COUNT
    figures, sentence = alike()
    assert sentence is not None and "again and again" in sentence
    assert figures["collapse/alarm"] == 1 and figures["collapse/spread"] == pytest.approx(0.1, rel=0.1)
    figures, sentence = watch(1.0, monkeypatch)()
    assert sentence is None and figures["collapse/alarm"] == 0
    assert figures["collapse/spread"] == pytest.approx(1.0, rel=0.1)


def test_what_is_no_number_is_left_to_the_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch(float("nan"), monkeypatch)() == ({}, None)


def test_methods_that_cannot_collapse_are_not_asked() -> None:
    method = build("autoencoder", tiny.SHAPE, {"latent": 2, "width": 2, "levels": 1})
    assert CollapseWatch(method, [{"image": torch.rand(4, *tiny.SHAPE), "id": [""] * 4}])() == ({}, None)


def test_the_log_of_a_training_has_it(tmp_path: Path) -> None:
    run = tiny.new_run(tmp_path / "run", tiny.config("gan", {"steps": 4, "sample_every": 2}))
    tiny.go(tiny.trainer(run))
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    found = [line["collapse/spread"] for line in lines if "collapse/spread" in line]
    assert len(found) == 2 and all(value > 0 for value in found)
