"""Once a training has ended the method measures the training images: with the best weights, and nothing else moves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TinyBatches, config, go, new_run, trainer, weights

from medudl.methods.autoencoder import Autoencoder
from medudl.methods.method import Method
from medudl.run import Run, load_state
from medudl.training.settle import settle


class Measuring(Autoencoder):
    """Keeps the mean of its codes, and remembers how it was called."""

    def __init__(self, shape: tuple[int, ...], *, latent: int = 4) -> None:
        super().__init__(shape, latent=latent, width=4, levels=2)
        self.register_buffer("middle", torch.zeros(latent))
        self.seen: list[str] = []

    def settle(self, batches: Any) -> None:
        assert not self.training and not torch.is_grad_enabled()
        codes = []
        for batch in batches:
            self.seen += batch["id"]
            codes.append(self.encode(batch["image"]))
        self.middle.copy_(torch.cat(codes).mean(0))

    def notes(self) -> list[str]:
        return [f"{len(self.seen)} images were measured"]


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Run, Any, list[str]]]:
    monkeypatch.setitem(__import__("medudl.methods", fromlist=["METHODS"]).METHODS, "autoencoder",
                        f"{__name__}:Measuring")  # fmt: skip
    settings = config("autoencoder")
    settings.method.update({"latent": 4})
    for key in ("width", "levels", "norm"):
        settings.method.pop(key, None)
    run = new_run(tmp_path / "run", settings)
    at_work = trainer(run)
    go(at_work)
    yield run, at_work, settle(at_work, TinyBatches(18, 5, seed=1))


def test_what_it_measures_belongs_to_the_best_weights(settled: tuple[Run, Any, list[str]]) -> None:
    run, at_work, _ = settled
    method: Method = run.method()
    with torch.no_grad():
        codes = method.encode(TinyBatches(18, 18, seed=1).images)  # type: ignore[attr-defined]
    assert torch.allclose(method.middle, codes.mean(0), atol=1e-6) and method.middle.any()  # type: ignore[operator]
    saved = load_state(run.path / "weights.safetensors")
    assert saved["step"] == at_work.at.best_step and saved["loss"] == at_work.at.best


def test_every_image_comes_once_and_the_notes_are_kept(settled: tuple[Run, Any, list[str]]) -> None:
    run, at_work, notes = settled
    assert sorted(at_work.method.seen) == sorted(f"sub-{i:02d}/0" for i in range(18))
    assert notes == ["18 images were measured"] == Run.open(run.path).meta["notes"]


def test_the_training_itself_goes_on_as_if_nothing_had_been(settled: tuple[Run, Any, list[str]]) -> None:
    _, at_work, _ = settled
    before, random = weights(at_work), torch.get_rng_state()
    settle(at_work, TinyBatches(18, 5, seed=1))
    after = weights(at_work)
    assert all(torch.equal(before[name], after[name]) for name in before) and at_work.method.training
    assert not after["middle"].any()
    assert torch.equal(random, torch.get_rng_state())
