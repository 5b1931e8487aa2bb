"""What the studies of few labels share: K + 1 classes through the product's own step, probes and fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from medudl.batch import Batch
from medudl.config import validate_config
from medudl.methods import build
from medudl.methods.adversarial import signed, unsigned
from medudl.methods.method import Method
from medudl.metrics.classification import balanced_accuracy, confusion
from medudl.training import random_state
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player, averaged
from medudl.tricks import build_tricks
from medudl.tricks.image_changes import rotate_and_scale

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
RIDGE = 0.1  # of the probes, whose features have a mean squared norm of SCALE
SCALE = 50.0
_AT_ONCE = 256


def drawn(label: Numbers, count: int, seed: int) -> Numbers:
    """Rows of `count` images of each class; those of a smaller count are among those of a larger one."""
    random = np.random.default_rng(seed)
    return np.concatenate([random.permutation(np.flatnonzero(label == k))[:count] for k in np.unique(label)])


@dataclass(frozen=True)
class Probe:
    """Logistic regression on features, standardised on ALL training images, labelled or not, then scaled as one.

    The ridge penalty is fixed: with a handful of labels there is nothing to choose it on.
    """

    mean: Array
    scale: Array
    model: Any

    @classmethod
    def fit(cls, everyone: Array, rows: Numbers, label: Numbers, standardise: bool = True) -> Probe:
        """everyone: features of all training images (N, F); rows, label: of those that have one."""
        mean = everyone.mean(0)
        each = np.maximum(everyone.std(0), 1e-6) if standardise else np.ones(everyone.shape[1])
        whole = np.sqrt((((everyone - mean) / each) ** 2).sum(1).mean() / SCALE)
        scale = each * whole
        model = LogisticRegression(C=RIDGE, max_iter=1000).fit((everyone[rows] - mean) / scale, label)
        return cls(mean, scale, model)

    def __call__(self, features: Array) -> Numbers:
        """(N, F) -> classes (N,)."""
        return np.asarray(self.model.predict(self.scaled(features)), np.int64)

    def scaled(self, features: Array) -> Array:
        """(N, F), as the logistic regression sees them."""
        return np.asarray((features - self.mean) / self.scale)


class _Mixed:
    """Batches of `size` labelled images, then `size` of all with their label taken away, epoch after epoch each.

    turned, scaled: each image is rotated by up to so many degrees and enlarged by exp of up to so much, either way,
    around air; 0 leaves them alone.
    """

    def __init__(
        self, image: Tensor, rows: Numbers, label: Numbers, size: int, seed: int, turned: float = 0, scaled: float = 0
    ) -> None:
        self.image, self.rows = image, torch.from_numpy(rows)
        self.label, self.size = torch.from_numpy(label), size
        self.generator = torch.Generator().manual_seed(seed)
        self.amounts = torch.Generator().manual_seed(seed + 1)
        self.most = torch.tensor([math.radians(turned), scaled])

    def __iter__(self) -> Iterator[Batch]:
        known, others = self._order(len(self.rows)), self._order(len(self.image))
        blank = torch.full((self.size,), -1)
        while True:
            place, other = next(known), next(others)
            images = self._changed(torch.cat([self.image[self.rows[place]], self.image[other]]))
            yield {"image": images, "label": torch.cat([self.label[place], blank]), "id": [""] * len(images)}

    def _changed(self, images: Tensor) -> Tensor:
        if not self.most.any():
            return images
        angle, log_scale = (2 * torch.rand(len(images), 2, generator=self.amounts) - 1).mul(self.most).unbind(1)
        return unsigned(rotate_and_scale(signed(images), angle, log_scale))

    def _order(self, count: int) -> Iterator[Tensor]:
        waiting = torch.empty(0, dtype=torch.long)
        while True:
            while len(waiting) < self.size:
                waiting = torch.cat([waiting, torch.randperm(count, generator=self.generator)])
            chosen, waiting = waiting[: self.size], waiting[self.size :]
            yield chosen


def semi_supervised(
    image: Tensor, rows: Numbers, label: Numbers, seed: int, steps: int, options: Mapping[str, Any],
    train: Mapping[str, Any], tricks: Sequence[Mapping[str, Any]] = (), turned: float = 0, scaled: float = 0,
) -> Method:  # fmt: skip
    """semi_supervised_gan on images (N, C, H, W), of which `rows` have a `label`; averaged weights, last step.

    Through the product's own step, players and tricks. Nothing is chosen: there is no label to choose by. turned,
    scaled: of every image shown, see `_Mixed`.
    """
    classes = [str(k) for k in range(int(label.max()) + 1)]
    section = {"name": "semi_supervised_gan", "classes": classes, **options}
    settings = {**train, "steps": steps, "seed": seed}
    config = validate_config({"method": section, "train": settings, "tricks": list(tricks)}, "study")
    fabric = launch(config.train)
    random_state.seed(seed)
    acting = build_tricks(config.tricks)
    method = build("semi_supervised_gan", tuple(image.shape[1:]), config.options, acting)
    method.check_tricks(acting, config.options)
    for trick in acting:
        trick.setup(method.players())
    method.join(acting)
    method.to(fabric.device).train()
    players = {n: Player(fabric, n, part, config.train.optimiser_of(n)) for n, part in method.players().items()}
    batches = _Mixed(image, rows, label, config.train.batch_size, seed, turned, scaled)
    for step, batch in zip(range(1, steps + 1), batches, strict=False):
        for player in players.values():
            player.set_rate(step - 1, steps)
        turns = train_step(fabric, method, players, acting, fabric.to_device(batch), lambda: False)
        if step % 50 == 0 and not all(turn.loss is None or turn.loss.isfinite() for turn in turns):
            raise FloatingPointError(f"step {step}: a loss is no number")
    with averaged(players.values()):
        kept = {name: value.clone() for name, value in method.state_dict().items()}
    method.load_state_dict(kept)
    return method.eval()


def fine_tuned(
    body: Mapping[str, Any], source: Method | None, image: Tensor, label: Numbers, seed: int, steps: int
) -> Method:
    """A classifier on a body, all of it learnt from the labelled images; begun from `source`, or from scratch."""
    random_state.seed(seed)
    options = {"body": dict(body), "classes": [str(k) for k in range(int(label.max()) + 1)]}
    method = build("classifier", tuple(image.shape[1:]), options)
    if source is not None:
        method.take(source)
    (player,) = method.players().values()
    optimiser = torch.optim.Adam(player.parameters(), 1e-3)
    answers, generator = torch.from_numpy(label), torch.Generator().manual_seed(seed)
    method.train()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        place = torch.randperm(len(image), generator=generator)[:32]
        for objective in method.step({"image": image[place], "label": answers[place], "id": [""] * len(place)}):
            assert objective.loss is not None
            optimiser.zero_grad()
            objective.loss.backward()
            optimiser.step()
    return method.eval()


@torch.no_grad()
def coded(method: Any, image: Tensor) -> Array:
    """Codes: (N, F)."""
    parts = [method.encode(part).flatten(1).double().numpy() for part in torch.split(image, _AT_ONCE)]
    return np.concatenate(parts)


@torch.no_grad()
def called(method: Any, image: Tensor) -> Numbers:
    """Classes: (N,)."""
    parts = [method.classify(part).argmax(1).numpy() for part in torch.split(image, _AT_ONCE)]
    return np.concatenate(parts)


def balanced(truth: Numbers, answer: Numbers, weight: Array | None = None) -> Array:
    """Balanced accuracy of classes (N,); weight: (R, N) of resamples -> (R,)."""
    weight = np.ones(len(truth)) if weight is None else weight
    return balanced_accuracy(confusion(truth, answer, int(truth.max()) + 1, weight))
