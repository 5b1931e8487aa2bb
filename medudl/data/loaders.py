"""Batches in a fixed order: the same for any number of workers, and from any batch on."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from medudl.batch import Batch
from medudl.config import Data
from medudl.data.augment import Augmenter
from medudl.data.conditions import Told
from medudl.data.items import Item, cut, items_of, window
from medudl.data.pipeline import Prepared, item_shape
from medudl.errors import UserError


class Loader:
    """Batches of the items of prepared cases.

    The order of an epoch is a permutation drawn from (seed, epoch); what is random about an item is drawn from (seed,
    epoch, its place in that order). Nothing else enters, so workers, prefetching and `start` change no batch, and
    several ranks see between them what one would see.

    labels: {case id: class number}; others are -1. told: what a conditional generator is told of the cases. shuffle: a
    training epoch, of full batches alone (a set smaller than one batch is repeated to fill it); without it every item
    comes once, in order. lesion_free: see `items_of`; cases without a mask are then left out, and named in `left_out`.
    rank, world: this process and how many there are; a training epoch drops what does not divide, else the first items
    are repeated. sources: of registered pairs, how many channels are the image; the others are its target.
    """

    def __init__(
        self,
        prepared: Sequence[Prepared],
        data: Data,
        *,
        labels: Mapping[str, int] | None = None,
        told: Told | None = None,
        sources: int | None = None,
        batch_size: int,
        seed: int = 0,
        shuffle: bool,
        augment: bool = False,
        workers: int = 0,
        lesion_free: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.workers, self.rank, self.world = workers, rank, world
        self.left_out: list[str] = []
        if lesion_free:
            self.left_out = [f"{p.case_id} has no lesion mask: left out" for p in prepared if p.mask is None]
            prepared = [p for p in prepared if p.mask is not None]
        paired = sources is not None
        self.items = [item for n, p in enumerate(prepared) for item in items_of(n, p, data, lesion_free, paired)]
        if not self.items:
            raise UserError(
                "there is no training item: no slice holds data.min_foreground of foreground"
                + (" away from lesions" if lesion_free else "")
                + "; lower it, or check the foreground"
            )
        self.shape = _common_shape(prepared, data)
        channels, whole = prepared[0].image.shape[0], self.shape
        if sources is not None:
            self.shape = (whole[0] // channels * sources, *whole[1:])
        augmenter = Augmenter(data) if augment and data.augment.active else None
        self._gather = _Gather(prepared, data, labels or {}, self.items, self.shape, augmenter, sources)
        if told is not None:
            self._gather.conditions = told.of_items(prepared, self.items)

    def __len__(self) -> int:
        """Batches in an epoch, of this rank."""
        per_rank = self._places() // self.world
        return per_rank // self.batch_size if self.shuffle else -(-per_rank // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on."""
        yield from in_order(self.plan(epoch), range(start, len(self)), self.workers)

    def plan(self, epoch: int) -> Plan:
        """Any batch of an epoch by its number."""
        return Plan(self._gather, self._order(epoch), (self.seed, epoch), self)

    def _places(self) -> int:
        """How many items an epoch has, over all ranks."""
        count, step = len(self.items), self.world * (self.batch_size if self.shuffle else 1)
        return max(step, count // step * step) if self.shuffle else -(-count // step) * step

    def _order(self, epoch: int) -> NDArray[np.int64]:
        order = np.arange(len(self.items))
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        return np.resize(order, self._places())


class Plan(Dataset[Batch]):
    """Batch `number` of one epoch and rank; a worker of torch's DataLoader makes whole batches."""

    def __init__(self, gather: _Gather, order: NDArray[np.int64], seed: tuple[int, int], loader: Loader) -> None:
        self.gather, self.order, self.seed = gather, order, seed
        self.rank, self.world, self.batch_size = loader.rank, loader.world, loader.batch_size

    def __getitem__(self, number: int) -> Batch:
        mine = np.arange(self.rank, len(self.order), self.world)
        places = mine[number * self.batch_size : (number + 1) * self.batch_size]
        return self.gather(self.order[places], places, self.seed)


class _Gather:
    """Copies items straight from mapped memory into the tensors of a batch."""

    def __init__(
        self,
        prepared: Sequence[Prepared],
        data: Data,
        labels: Mapping[str, int],
        items: Sequence[Item],
        shape: tuple[int, ...],
        augmenter: Augmenter | None,
        sources: int | None,
    ) -> None:
        # Plain views: each index into a mapped array makes an object of its own class, at the price of the copy.
        self.prepared = [
            replace(p, image=np.asarray(p.image), foreground=np.asarray(p.foreground), mask=_plain(p.mask))
            for p in prepared
        ]
        self.data, self.items, self.shape, self.augmenter, self.sources = data, items, shape, augmenter, sources
        self.labels = np.array([labels.get(prepared[item.case].case_id, -1) for item in items], dtype=np.int64)
        self.conditions: NDArray[np.float32] | None = None
        self.ids = [f"{prepared[item.case].case_id}/{item.index}" for item in items]
        # Turned by augmentation, an image has corners that are no foreground.
        whole = augmenter is None and all(p.foreground.all() for p in self.prepared)
        masked = any(p.mask is not None for p in prepared)
        self.keys = ["image", *([] if whole else ["foreground"]), *(["mask"] if masked else [])]
        # Where items lie still, their views are made once: to find a slice takes longer than to copy a small one.
        self.still = data.view in ("slices", "volume")
        self.views: dict[int, dict[str, NDArray[Any]]] = {}

    def __call__(self, numbers: NDArray[np.int64], places: NDArray[np.int64], epoch: tuple[int, int]) -> Batch:
        """Items `numbers`, which have `places` in the order of the epoch; epoch: (seed, epoch)."""
        chosen = numbers.tolist()
        batch: Batch = {
            "image": torch.empty((len(chosen), *self.shape)),
            "label": torch.from_numpy(self.labels[numbers]),
            "id": [self.ids[number] for number in chosen],
        }
        if self.conditions is not None:
            batch["condition"] = torch.from_numpy(self.conditions[numbers])
        tensors: dict[str, Tensor] = {"image": batch["image"]}
        if self.sources is not None:
            channels = self.prepared[0].image.shape[0] - self.sources
            tensors["target"] = torch.empty((len(chosen), channels, *self.shape[1:]))
        for key in self.keys[1:]:
            tensors[key] = torch.zeros((len(chosen), 1, *self.shape[1:]), dtype=torch.bool)
        found = [self.views.get(n) or self._find(n, (*epoch, p)) for n, p in zip(chosen, places.tolist(), strict=True)]
        for key, tensor in tensors.items():
            array = tensor.numpy()
            for row, views in enumerate(found):
                if key in views:  # a case without a mask has none of its voxels in it
                    array[row] = views[key]
        if self.augmenter is not None:
            for row, place in enumerate(places.tolist()):
                one = {key: tensor[row] for key, tensor in tensors.items()}
                for key, value in self.augmenter(one, (*epoch, place)).items():
                    one[key].copy_(value)
        batch.update(tensors)  # type: ignore[typeddict-item]
        return batch

    def _find(self, number: int, seed: tuple[int, int, int]) -> dict[str, NDArray[Any]]:
        """The voxels of an item: {"image", "foreground", "mask"}, as `cut` gives them."""
        item = self.items[number]
        prepared = self.prepared[item.case]
        views = cut(prepared, window(prepared, item.index, self.data, seed), self.data, self.sources)
        if self.still:
            self.views[number] = views
        return views


def _plain(array: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    return None if array is None else np.asarray(array)


def _common_shape(prepared: Sequence[Prepared], data: Data) -> tuple[int, ...]:
    shapes = {item_shape(p, data): p.case_id for p in prepared}
    if len(shapes) > 1:
        (one, first), (other, second), *_ = shapes.items()
        raise UserError(
            f"scans differ in size ({first}: {_words(one)}, {second}: {_words(other)}, channels first); "
            "set data.size, and data.spacing if voxel sizes differ"
        )
    return next(iter(shapes))


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def in_order(plan: Dataset[Batch], numbers: range, workers: int) -> Iterator[Batch]:
    """The batches with these numbers, made ahead by so many processes; 0: by this one, each when it is asked for."""
    if workers == 0:
        yield from (plan[number] for number in numbers)
        return
    loader: Any = DataLoader(
        plan,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        multiprocessing_context="fork",
        worker_init_fn=_begin_worker,
        generator=torch.Generator(),  # else starting an epoch would draw from the global state
    )
    with warnings.catch_warnings():
        # Python 3.12+ warns of forks beside threads; the workers read mapped memory and start none.
        warnings.filterwarnings("ignore", message=".*use of fork.*", category=DeprecationWarning)
        batches = iter(loader)
    yield from batches


def _begin_worker(_: int) -> None:
    # Ctrl-C reaches the whole group of processes; the main one finishes its step and still needs its batches.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
