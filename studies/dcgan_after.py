"""What was tried after study `dcgan`, whose goal was missed on heads: augmentation inside the game.

Everything as there, on heads alone (44 to 71 slices of one or two patients), with DiffAugment, and with adaptive
augmentation (speed 20,000 images), the package's defaults otherwise. Seeds 0, 1, 2. About 6 minutes on one core.

    make study NAME=dcgan_after
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studies import dcgan, queue
from studies.small_data import WAYS


def jobs() -> list[dict[str, Any]]:
    """One a way and seed."""
    return [{"data": "heads", "way": way, "seed": seed} for way in WAYS if WAYS[way] for seed in dcgan.SEEDS]


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """Train, and look."""
    return dcgan.work(job, folder, tricks=WAYS[job["way"]])


def main() -> None:
    """Run what is missing and print the table."""
    results = queue.run(jobs(), work, queue.out_folder(__doc__))
    for way in dict.fromkeys(result["way"] for result in results):
        print(f"{way}:\n" + dcgan.table([result for result in results if result["way"] == way]))


if __name__ == "__main__":
    main()
