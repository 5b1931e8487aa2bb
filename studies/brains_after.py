"""Study `brains_after`: why does plain FLAIR intensity beat the model of `brains` within the brain?

Fixed after the table of `brains` was known, so its figures are post hoc. Its data, masks, filter and measure, within
the brain, seed 0, either masked patient left out in turn. Ways, each changing one thing: flair (FLAIR alone, without T1
and T2, whose vessels and fluid are unusual too); features (feature_autoencoder with EfficientNet-Lite0, stages 2 to 4
at 128 pixels).
CPU size = GPU size: 4 trainings of two minutes.

    make study NAME=brains_after
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studies import queue
from studies.brains import DATA, FOREGROUNDS, METHOD, TRAIN, masked_subjects, trained

BRAIN: dict[str, Any] = {**DATA, **FOREGROUNDS["brain"]}
FEATURES: dict[str, Any] = {"name": "feature_autoencoder", "stages": [2, 3, 4], "side": 128}
LOOK: dict[str, Any] = {"steps": 100, "batch_size": 16, "validate_every": 100, "sample_every": 1000}
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {  # method, data, train
    "flair": (METHOD, {**BRAIN, "channels": ["FLAIR"]}, TRAIN),
    "features": (FEATURES, BRAIN, LOOK),
}


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """One way, one patient left out."""
    method, data, train = WAYS[job["way"]]
    return trained(method, data, {**train, "seed": 0}, job["left_out"])


def table(results: list[dict[str, Any]]) -> str:
    """One row a run."""
    lines = ["| way | left out | model | best trivial map of the same channels |", "|---|---|---|---|"]
    for row in results:
        best = row["voxel"]["best_baseline"]
        model = row["voxel"]["average_precision"]["value"]
        lines.append(f"| {row['way']} | {row['left_out']} | {model:.3f} | {best} {row['maps'][best]:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run([{"way": way, "left_out": one} for way in WAYS for one in masked_subjects()], work, out)))


if __name__ == "__main__":
    main()
