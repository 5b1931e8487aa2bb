"""Batches for learning from labels and without them at once: as many labelled images as others, in every one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset

from medudl.batch import Batch
from medudl.data.loaders import Loader, Plan, in_order


class MixedLoader:
    """Batches of twice `batch_size` images: first labelled ones, then others whose label is -1.

    An epoch is that of `every`: the images of all training scans, those with a label among them, which nobody can tell
    there. The labelled ones begin again meanwhile, each time in another order. Both orders are drawn as `Loader` draws
    its own, so workers, ranks and `start` change no batch. Among few scans a natural batch would have no label at all.

    labelled, every: training loaders of one batch size, rank and world, and seeds of their own.
    """

    def __init__(self, labelled: Loader, every: Loader) -> None:
        self.labelled, self.every = labelled, every
        self.shape, self.items, self.batch_size = every.shape, every.items, 2 * every.batch_size

    def __len__(self) -> int:
        """Batches in an epoch, of this rank."""
        return len(self.every)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on."""
        # One plan for both halves: a loader of few labelled scans would start its workers anew for every batch.
        yield from in_order(_Mixed(self, epoch), range(start, len(self)), self.every.workers)


class _Mixed(Dataset[Batch]):
    """Batch `number` of one epoch."""

    def __init__(self, loader: MixedLoader, epoch: int) -> None:
        self.every, self.labelled = loader.every.plan(epoch), loader.labelled
        self.first = epoch * len(loader)
        self.plans: dict[int, Plan] = {}  # of the labelled images' own epoch that was asked for last

    def __getitem__(self, number: int) -> Batch:
        epoch, place = divmod(self.first + number, len(self.labelled))
        if epoch not in self.plans:
            self.plans = {epoch: self.labelled.plan(epoch)}
        return _joined(self.plans[epoch][place], self.every[number])


def _joined(labelled: Batch, others: Batch) -> Batch:
    batch: Batch = {
        "image": torch.cat([labelled["image"], others["image"]]),
        "label": torch.cat([labelled["label"], torch.full_like(others["label"], -1)]),
        "id": [*labelled["id"], *others["id"]],
    }
    if "foreground" in labelled or "foreground" in others:
        batch["foreground"] = torch.cat([_voxels(half, "foreground", True) for half in (labelled, others)])
    if "mask" in labelled or "mask" in others:
        batch["mask"] = torch.cat([_voxels(half, "mask", False) for half in (labelled, others)])
    return batch


def _voxels(half: Batch, key: str, absent: bool) -> Tensor:
    """(B, 1, *S) bool; where a half has no such tensor, what that stands for everywhere."""
    image, found = half["image"], half.get(key)
    if isinstance(found, Tensor):
        return found
    return torch.full((len(image), 1, *image.shape[2:]), absent)
