"""Batches of two sides that never met: each side in an order of its own."""

from __future__ import annotations

from collections.abc import Iterator

from medudl.batch import Batch
from medudl.data.loaders import Loader


class UnpairedLoader:
    """Batches whose `image` is of the source side and whose `target` is of the other.

    An epoch is as long as the longer side's; the shorter one begins again meanwhile, each time in another order. Orders
    are drawn from seeds of their own, so that no image meets the same one again and again. Without shuffling the sides
    run in order, and the larger half of an uneven batch is cut.
    """

    def __init__(self, source: Loader, target: Loader) -> None:
        self.source, self.target = source, target
        self.shape = source.shape
        self.items = source.items
        self.batch_size = source.batch_size

    def __len__(self) -> int:
        """Batches in an epoch, of this rank."""
        return max(len(self.source), len(self.target))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on."""
        at = epoch * len(self) + start
        source, target = _from(self.source, at), _from(self.target, at)
        for _ in range(start, len(self)):
            yield _joined(next(source), next(target))


def _from(loader: Loader, at: int) -> Iterator[Batch]:
    """The batches of a loader, epoch after epoch, from the `at`-th of all on."""
    epoch, start = divmod(at, len(loader))
    while True:
        yield from loader.epoch(epoch, start)
        epoch, start = epoch + 1, 0


def _joined(source: Batch, target: Batch) -> Batch:
    count = min(len(source["image"]), len(target["image"]))
    batch: Batch = {
        "image": source["image"][:count],
        "target": target["image"][:count],
        "label": source["label"][:count],
        "id": [f"{a} + {b}" for a, b in zip(source["id"][:count], target["id"][:count], strict=True)],
    }
    if "foreground" in source:
        batch["foreground"] = source["foreground"][:count]
    return batch
