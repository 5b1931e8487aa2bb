"""What studies of translation share: training through the product's own loop, whole volumes, HU against truth."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from medudl.batch import Batch
from medudl.config import Config, validate_config
from medudl.data.planted import remove
from medudl.methods import build
from medudl.methods.method import Method
from medudl.metrics.image import AIR, BONE, mean_absolute_error, over_patients, threshold_dice
from medudl.metrics.intervals import Estimate
from medudl.metrics.survival import invented, lesion_contrast, survival
from medudl.report.translation_baselines import Fitting
from medudl.tasks.across import Way, across
from medudl.training import random_state
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player, averaged
from medudl.tricks import build_tricks
from studies.translation_heads import HU, Array, Head, Heads, Size, heads, slices, test_masses

Maker = Callable[[Head], Array]  # a head whose T1 is read -> CT in HU, (D, H, W)
POOL: Sequence[Mapping[str, Any]] = ({"name": "image_replay", "size": 50},)
SOFT = 2  # voxels by which a lesion's mask is grown over its soft edge before it is removed


class _Endless:
    """Batches of two sides, epoch after epoch, each image mirrored left to right with probability 1/2.

    paired: images of one number belong together and are mirrored together; else each side runs in an order of its own.
    """

    def __init__(self, source: Tensor, target: Tensor, size: int, seed: int, paired: bool) -> None:
        self.sides, self.size, self.paired = (source, target), size, paired
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[Batch]:
        orders = [self._order(len(side)) for side in self.sides]
        while True:
            first = next(orders[0])
            drawn = first, first if self.paired else next(orders[1])
            source, target = (
                torch.where(mirrored, side[place].flip(-1), side[place])
                for side, (place, mirrored) in zip(self.sides, drawn, strict=True)
            )
            yield {"image": source, "target": target, "id": [str(i) for i in drawn[0][0].tolist()]}

    def _order(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        waiting = torch.empty(0, dtype=torch.long)
        while True:
            while len(waiting) < self.size:
                waiting = torch.cat([waiting, torch.randperm(count, generator=self.generator)])
            chosen, waiting = waiting[: self.size], waiting[self.size :]
            yield chosen, (torch.rand(self.size, generator=self.generator) < 0.5).view(-1, 1, 1, 1)


def configured(
    method: Mapping[str, Any], train: Mapping[str, Any], steps: int, seed: int, tricks: Sequence[Any] = ()
) -> Config:
    """The config of one training, T1 -> another contrast."""
    told = {"method": dict(method), "train": {**train, "steps": steps, "seed": seed}, "tricks": list(tricks)}
    return validate_config({**told, "data": {"channels": ["T1"], "target": ["other"]}}, "study")


def trained(
    source: Tensor, target: Tensor, looks: Sequence[int], seed: int, method: Mapping[str, Any],
    train: Mapping[str, Any], *, paired: bool, tricks: Sequence[Mapping[str, Any]] = (),
) -> Iterator[tuple[int, Method]]:  # fmt: skip
    """(step, method) at each of `looks`, the generator wearing its averaged weights; the last look ends the training.

    source, target: (N, 1, H, W), nominal. FloatingPointError: a loss that is no number.
    """
    config = configured(method, train, max(looks), seed, tricks)
    fabric = launch(config.train)
    random_state.seed(seed)
    acting = build_tricks(config.tricks)
    model = build(str(config.method["name"]), tuple(source.shape[1:]), config.options, acting)
    model.check_tricks(acting, config.options)
    for trick in acting:
        trick.setup(model.players())
    model.join(acting)
    model.to(fabric.device).train()
    players = {n: Player(fabric, n, module, config.train.optimiser_of(n)) for n, module in model.players().items()}
    batches = _Endless(source, target, config.train.batch_size, seed, paired)
    for step, batch in enumerate(batches, start=1):
        for player in players.values():
            player.set_rate(step - 1, config.train.steps)
        turns = train_step(fabric, model, players, acting, fabric.to_device(batch), lambda: False)
        if step % 50 == 0 and not all(turn.loss is None or turn.loss.isfinite() for turn in turns):
            raise FloatingPointError(f"step {step}: a loss is no number")
        if step in looks:
            with averaged(players.values()), torch.no_grad(), torch.random.fork_rng():
                model.eval()
                yield step, model
                model.train()
        if step == max(looks):
            return


def last(looks: Iterator[tuple[int, Method]]) -> Any:
    """The model of the last look, copied: it wears its averaged weights no longer than the look lasts."""
    kept: Any = None
    for _, model in looks:
        kept = copy.deepcopy(model)
    return kept


def through(model: Any, image: Array, view: int = 0, *, back: bool = False) -> Array:
    """(1, D, H, W) nominal -> the other side, nominal, as `medudl translate` does it. view: see tasks/across.py."""
    data = configured({"name": "cyclegan"}, {}, 1, 0).data
    shape, device = (model.target_shape if back else model.shape), next(model.parameters()).device
    return across(Way(model.back if back else model.translate, shape, 1, data, device), image, view)


def in_hu(nominal: Array) -> Array:
    """(1, D, H, W) -> (D, H, W) in HU."""
    made: Array = nominal[0] * np.float32(HU[1] - HU[0]) + np.float32(HU[0])
    return made


def cyclegan(
    size: Size, prevalence: tuple[float, float], seed: int, looks: Sequence[int], changed: Mapping[str, Any]
) -> Iterator[tuple[int, Any]]:
    """T1 <-> CT of heads of which the shares `prevalence` (of T1, of CT) carry masses; options `changed`."""
    group = heads(size)
    source, target = slices(group.mr, prevalence[0], "source"), slices(group.ct, prevalence[1], "target")
    method = {"name": "cyclegan", **size.network, **changed}
    # Without a discriminator nothing is replayed.
    pool = POOL if method.get("adversarial", 1) else ()
    return trained(source, target, looks, seed, method, size.settings, paired=False, tricks=pool)


def baselines(group: Heads) -> dict[str, Maker]:
    """What needs no network: two matchings of intensities inside the true head, and the median of the training CTs."""
    fitting = Fitting(len(group.ct))
    for head in group.ct:
        fitting.add_target(head.ct[None], head.inside)
    (matching,) = fitting.done()
    median = np.median([head.ct for head in group.ct], axis=0).astype(np.float32)
    return {
        "histogram matching": lambda head: matching.make(head.t1[None], head.inside)[0],
        "rank-reversed matching": lambda head: matching.make(-head.t1[None], head.inside)[0],
        "median CT": lambda head: median,
    }


def judged(make: Maker, size: Size) -> dict[str, list[float]]:
    """Figures of the test heads, one a head: see the docstring of `phantom_ct_mr`."""
    found: dict[str, list[float]] = {}
    group = heads(size)
    for head, sick, bleeding in zip(group.test, test_masses(size), group.bleeding, strict=True):
        made = make(head)
        mass = survival(made, make(sick), sick.lesion, expected=lesion_contrast(head.ct, sick.ct, sick.lesion))
        healed = without(bleeding)
        figures = {
            "mae": mean_absolute_error(head.ct, made, head.inside),
            "mae_deep": mean_absolute_error(head.ct, made, head.deep),
            "bone": threshold_dice(head.ct, made, *BONE, head.inside),
            "air": threshold_dice(head.ct, made, *AIR, head.inside),
            "share": mass.share,
            "detected": float(mass.detected),
            "invented": float(invented(made, [head.t1, head.ct], head.brain, spacing=head.spacing)),
            "blood": lesion_contrast(make(healed), make(bleeding), bleeding.lesion),
            "blood_true": lesion_contrast(healed.ct, bleeding.ct, bleeding.lesion),
        }
        for name, value in figures.items():
            found.setdefault(name, []).append(float(value))
    return found


def without(head: Head) -> Head:
    """The head with its lesion filled from around, in T1 and in CT."""
    mask = ndimage.binary_dilation(head.lesion, iterations=SOFT)
    return replace(head, t1=remove(head.t1, mask), ct=remove(head.ct, mask))


def model_maker(model: Any) -> Maker:
    """T1 -> CT by a network."""
    return lambda head: in_hu(through(model, head.source))


def back_error(model: Any, size: Size) -> list[float]:
    """CT -> T1 of the test heads: mean absolute error inside the head, in nominal units."""
    return [
        mean_absolute_error(head.source[0], through(model, head.target, back=True)[0], head.inside)
        for head in heads(size).test
    ]


def cycle_error(model: Any, head: Head) -> Array:
    """|there and back - T1|: (D, H, W), nominal."""
    return np.asarray(np.abs(through(model, through(model, head.source), back=True) - head.source)[0])


def over_heads(runs: Sequence[Sequence[float]]) -> Estimate:
    """Mean over runs (seeds) of each test head, then over heads, 95 % interval by bootstrap over heads.

    What is NaN has no figure: a head counts by its other runs, or not at all.
    """
    each = _each(runs)
    return over_patients(each, [str(i) for i in range(len(each))], seed=0)


def minus(runs: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> Estimate:
    """`over_heads` of the difference, paired by head."""
    return over_heads([(_each(runs) - _each(others)).tolist()])


def _each(runs: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    values = np.asarray(runs, np.float64)
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
