"""Study `label_queue_copies`: is a queue better that puts off copies alone, and not what is merely near?

Fixed after the tables of `label_queue` and `label_queue_after` were known: in their four questions the least margins
were never worse than a random order, the shipped discount twice. A plain order of margins would show a reader copies
one after the other, so the discount is kept for these. It is asked of images that neither study has shown.
Data: MNIST, training images 5,001 to 10,000 as the pool, official test images 2,001 to 4,000; codes, model, steps,
seeds and measures of `label_queue_after`. Two questions: ten classes, and two (even, odd).
Orders: queue (s is the median distance, as shipped when this was written), copies (s is its 1 % quantile), margin,
random.
Goal: the interval of copies - random below 0 in both questions. If copies is below queue in the mean of both and its
interval above 0 in neither, it becomes what is shipped; else nothing changes.
CPU size = GPU size: about 6 minutes on one core.

    make study NAME=label_queue_copies
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from studies import queue
from studies.label_queue import Comparison, Pick, at_random, by_margin
from studies.label_queue_after import POOL, TEST, by_queue, images

COPIES = 0.01
QUESTIONS: Mapping[str, Mapping[str, int]] = {
    "ten classes": {str(k): k for k in range(10)},
    "two classes": {str(k): k % 2 for k in range(10)},
}
ORDERS: Mapping[str, Pick] = {
    "queue": partial(by_queue, near=0.5), "copies": partial(by_queue, near=COPIES), "random": at_random,
    "margin": by_margin,
}  # fmt: skip


ASKED = Comparison(QUESTIONS, ORDERS, "copies")


def main() -> None:
    """Run what is missing and print the table."""
    out: Path = queue.out_folder(__doc__)
    looked = images(slice(POOL, 2 * POOL), slice(TEST, 2 * TEST))
    print(ASKED.table(queue.run(ASKED.jobs(), lambda job, _: ASKED.work(job, looked), out), looked))


if __name__ == "__main__":
    main()
