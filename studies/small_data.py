"""Study `small_data`: does augmentation inside the game help where there are 30, 50 or 100 patients?

Protocol, fixed before the first run.
Data: the NORMAL films of 30, 50 or 100 patients drawn by the seed from train of chest_xray_split.csv, 32 x 32; judged
against the NORMAL films of val (other patients).
Method: gan as in study `dcgan` (width 16, latent 64, batches of 32, 2,000 steps, averaged generator), without
augmentation, with DiffAugment (the package's defaults), with adaptive augmentation (defaults; speed 20,000 images,
since a run shows 64,000). Seeds 0, 1, 2. One architecture, the last weights, nothing chosen.
Measure: KID of 1,000 samples, features of EfficientNet-Lite0 (`adversarial_runs.Looker`), interval by patient;
beside it memorisation (medudl/metrics/memorisation.py, on pixels): the share of samples flagged as copies of a training
film, by a threshold that 2 % of new films pass, and closeness (.5 is right, towards 1 the samples cling to films).
Goal: mean KID over seeds at least 30 % below none, at each number of patients. CPU size: 27 runs, about 60 minutes on
one core. GPU size: 64 x 64 and 128 x 128, 20,000 steps.

    make study NAME=small_data
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medudl.metrics.kernel import kernel_distance
from medudl.metrics.memorisation import copies
from studies import queue
from studies.adversarial_runs import Looker, chest, samples_of, trained
from studies.where import real_data

STEPS = 2000
PATIENTS = (30, 50, 100)
SEEDS = range(3)
WAYS: Mapping[str, list[dict[str, Any]]] = {
    "none": [],
    "DiffAugment": [{"name": "diff_augment"}],
    "adaptive": [{"name": "adaptive_augmentation", "speed": 20_000}],
}


def jobs() -> list[dict[str, Any]]:
    """Seed by seed, so that a study that is stopped has whole rows."""
    return [{"seed": seed, "patients": count, "way": way} for seed in SEEDS for count in PATIENTS for way in WAYS]


def work(
    job: queue.Job, _: Path, *, tricks: Sequence[Mapping[str, Any]] | None = None, steps: int = STEPS
) -> dict[str, Any]:
    """Train, and look once. tricks: in place of those of the job's way."""
    torch.set_num_threads(1)
    seed = int(job["seed"])
    source = real_data()
    train, held = chest(source, "train").drawn(int(job["patients"]), seed), chest(source, "val")
    looker = Looker(1)
    tricks = WAYS[job["way"]] if tricks is None else tricks
    (_, method), = trained(train, [steps], seed, tricks=tricks, options={"width": 16})  # fmt: skip
    samples = samples_of(method)
    kid = kernel_distance(looker(samples), looker(held.image), None, held.subject, 300, 0)
    pixels = [part[:, 0].numpy() for part in (samples, train.image, held.image)]
    found = copies(*pixels, held.subject)
    figures = {"copies": found.flagged, "held_out": found.held_out_flagged, "closeness": found.closeness, "kid": kid}
    return {"n_train": len(train.image), **{name: value.as_dict() for name, value in figures.items()}}


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a number of patients and way."""
    return "\n".join(line for count in PATIENTS for line in lines_of(results, count))


def lines_of(results: Sequence[dict[str, Any]], count: int) -> list[str]:
    """A line a way, at that number of patients."""
    lines = []
    none = _mean(results, count, "none", "kid")
    for way in dict.fromkeys(result["way"] for result in results):
        rows = [r for r in results if r["patients"] == count and r["way"] == way]
        each = "; ".join(f"{r['kid']['value']:.1f} ({r['kid']['low']:.1f} to {r['kid']['high']:.1f})" for r in rows)
        mean = _mean(results, count, way, "kid")
        goal = "" if way == "none" else f", {mean / none - 1:+.0%} (goal -30 %: {_met(mean <= 0.7 * none)})"
        beside = {"flagged as copies": "copies", "held-out films": "held_out", "closeness": "closeness"}
        told = ", ".join(f"{words} {_mean(results, count, way, name):.3f}" for words, name in beside.items())
        lines.append(f"{count} patients, {way}: KID {mean:.1f}{goal}; seeds {each}; {told}")
    return lines


def _mean(results: Sequence[dict[str, Any]], count: int, way: str, figure: str) -> float:
    found = [r[figure]["value"] for r in results if r["patients"] == count and r["way"] == way]
    return float(np.mean(found))


def _met(so: bool) -> str:
    return "met" if so else "missed"


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(), work, out)))


if __name__ == "__main__":
    main()
