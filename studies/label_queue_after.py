"""Study `label_queue_after`: is the queue held back by the discount for what is merely near to what is known?

Fixed after the table of `label_queue` was known, and after one more look at its films, in which a shorter reach of the
discount did better. So it is asked of other images, and the shipped queue is judged here too.
Data: MNIST, `make mnist`; pool: the first 5,000 training images, test set: the first 2,000 of the official one;
images stand for patients. Two questions: ten classes, and two (0 to 4, 5 to 9). Codes: the first 50 principal
components of the pool's pixels, each divided by the spread of the first. Model, steps, seeds and measures: those of
`label_queue`.
Orders: queue (s is the median distance, as shipped when this was written), near (s is its 10 % quantile: only near
copies come late), margin (no discount), random.
Goal: the interval of near - random below 0 in both questions. If it is met, and the mean of near is below queue's in
both, near becomes what is shipped; else nothing changes.
CPU size = GPU size: about 10 minutes on one core.

    make study NAME=label_queue_after
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from medudl.labels.queue import rank
from studies import queue
from studies.label_queue import STEP, Array, Comparison, Films, Pick, at_random, by_margin
from studies.mnist100 import digits

POOL, TEST, COMPONENTS, NEAR = 5000, 2000, 50, 0.1
QUESTIONS: Mapping[str, Mapping[str, int]] = {
    "ten classes": {str(k): k for k in range(10)},
    "two classes": {str(k): int(k > 4) for k in range(10)},
}


def by_queue(films: Films, left: list[int], labelled: list[int], chance: Array, seed: int, *, near: float) -> list[int]:
    """The product's own."""
    names = [str(at) for at in left]
    picked = rank(names, chance[left], films.code[left], films.code[labelled], n=STEP, seed=seed, near=near)
    return [int(one.case) for one in picked]


ORDERS: Mapping[str, Pick] = {
    "queue": partial(by_queue, near=0.5), "near": partial(by_queue, near=NEAR), "random": at_random,
    "margin": by_margin,
}  # fmt: skip


def images(pool: slice = slice(POOL), tested: slice = slice(TEST)) -> Films:
    """Codes of the pool, then of the test set."""
    (known, label), (test, truth) = digits("train"), digits("t10k")
    known, label, test, truth = known[pool], label[pool], test[tested], truth[tested]
    flat = np.concatenate([known, test]).reshape(len(known) + len(test), -1) / 255.0
    flat -= flat[: len(known)].mean(0)
    _, spread, axes = np.linalg.svd(flat[: len(known)], full_matrices=False)
    code = flat @ axes[:COMPONENTS].T / (spread[0] / np.sqrt(len(known)))
    names = [f"{part}-{at}" for part, count in (("pool", len(known)), ("test", len(test))) for at in range(count)]
    labels = [str(k) for k in np.concatenate([label, truth])]
    return Films(code, labels, names, np.arange(len(labels)) < len(known))


ASKED = Comparison(QUESTIONS, ORDERS, "near")


def main() -> None:
    """Run what is missing and print the table."""
    out: Path = queue.out_folder(__doc__)
    looked = images()
    print(ASKED.table(queue.run(ASKED.jobs(), lambda job, _: ASKED.work(job, looked), out), looked))


if __name__ == "__main__":
    main()
