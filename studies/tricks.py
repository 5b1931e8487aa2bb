"""Study `tricks`: what does each trick do to distance, coverage and stability?

Protocol, fixed before the first run.
Data and method: as study `dcgan` on chest films (32 x 32, the NORMAL films of train; width 16, latent 64, batches of
32, 1,500 steps, averaged generator), one thing changed at a time: CHANGES. Seeds 0, 1, 2. Settings of a trick are the
defaults of the package, or what its paper gives; none was tried on these films before.
Measure, on 500 samples at steps 500, 1,000 and 1,500, features of EfficientNet-Lite0 (`adversarial_runs.Looker`),
against the NORMAL films of val (other patients): KID and coverage, mean over seeds; `worst` is the largest KID of the
three seeds at the last look; `sway` is the standard deviation over the three looks of log KID, mean over seeds; `x
time` the process's CPU time over that of no change. The difference in log KID to no change is paired by seed, with a t
interval over three seeds, which is wide: one table, no verdict.
A run whose loss becomes no number counts as such. CPU size: 21 changes and none, 3 seeds, about 90 minutes on one core.

    make study NAME=tricks
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medudl.metrics.kernel import kernel_distance
from medudl.metrics.precision_recall import precision_recall
from studies import queue
from studies.adversarial_runs import Looker, chest, samples_of, trained
from studies.tables import seed_difference
from studies.where import real_data

LOOKS = (500, 1000, 1500)
SEEDS = range(3)
WIDTH = {"width": 16}


def _trick(name: str, **options: Any) -> dict[str, Any]:
    return {"tricks": [{"name": name, **options}]}


_PENALTY = {"name": "gradient_penalty"}

# Of each: options of gan, tricks, settings of train.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "transposed convolutions": {"options": {"upsampling": "transposed"}},
    "least squares": {"options": {"loss": "least_squares"}},
    "hinge": {"options": {"loss": "hinge"}},
    "Wasserstein, gradient penalty": {
        "options": {"loss": "wasserstein", "discriminator_steps": 3, "norm": "none"}, "tricks": [_PENALTY],
        "train": {"optimiser": {"lr": 1e-4, "betas": [0.0, 0.9]}},
    },
    "two rates (D 4e-4, G 1e-4)": {
        "train": {"players": {"discriminator": {"lr": 4e-4}, "generator": {"lr": 1e-4, "ema": 0.999}}}
    },
    "no average": {"train": {"players": {}}},
    "one-sided label smoothing": _trick("one_sided_label_smoothing"),
    "feature matching": _trick("feature_matching"),
    "R1 penalty, no norm": {"options": {"norm": "none"}, **_trick("gradient_penalty", kind="real")},
    "no norm": {"options": {"norm": "none"}},
    "spectral norm": _trick("spectral_norm"),
    "instance norm": _trick("instance_norm"),
    "virtual batch norm": _trick("virtual_batch_norm"),
    "two batch norms": _trick("separate_batch_norm"),
    "minibatch discrimination": _trick("minibatch_discrimination"),
    "historical averaging": _trick("historical_averaging"),
    "image replay": _trick("image_replay"),
    "player replay": _trick("player_replay"),
    "DiffAugment": _trick("diff_augment"),
    "adaptive augmentation": _trick("adaptive_augmentation"),
    "unrolled, 3 steps": _trick("unrolling", steps=3),
}  # fmt: skip


def jobs() -> list[dict[str, Any]]:
    """Seed by seed, so that a study that is stopped has whole rows."""
    return [{"change": change, "seed": seed} for seed in SEEDS for change in CHANGES]


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Train, and look."""
    torch.set_num_threads(1)
    train, held = (chest(real_data(), split) for split in ("train", "val"))
    looker = Looker(1)
    truth = looker(held.image)
    change = CHANGES[job["change"]]
    options = {**WIDTH, **change.get("options", {})}
    looks, spent, begun = {}, 0.0, time.process_time()
    try:
        for step, method in trained(
            train, LOOKS, int(job["seed"]), tricks=change.get("tricks", ()), options=options, train=change.get("train")
        ):
            spent += time.process_time() - begun
            seen = looker(samples_of(method, 500))
            kid = kernel_distance(seen, truth, None, held.subject, 100, 0).as_dict()
            cover = precision_recall(truth, seen, held.subject, None, 5, 20, 0).coverage.as_dict()
            looks[str(step)] = {"kid": kid, "coverage": cover}
            begun = time.process_time()
    except FloatingPointError as error:
        return {"looks": looks, "broke": str(error)}
    return {"looks": looks, "cpu_seconds": spent}


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a change."""
    found: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault(result["change"], []).append(result)
    plain = found["none"]
    lines = ["change                          KID 1,500  worst   coverage  sway  x time   log KID against none"]
    for change, runs in found.items():
        broken = [run["broke"] for run in runs if "broke" in run]
        if broken:
            lines.append(f"{change:<31} {len(broken)} of {len(runs)} runs broke: {broken[0]}")
            continue
        last = [_at(run, LOOKS[-1], "kid") for run in runs]
        cover = np.mean([_at(run, LOOKS[-1], "coverage") for run in runs])
        sway = np.mean([np.std([_log(_at(run, look, "kid")) for look in LOOKS]) for run in runs])
        factor = np.mean([run["cpu_seconds"] / other["cpu_seconds"] for run, other in zip(runs, plain, strict=False)])
        logs = [_log(value) for value in last]
        against = seed_difference("it", "none", logs, [_log(_at(run, LOOKS[-1], "kid")) for run in plain[: len(runs)]])
        lines.append(
            f"{change:<31} {np.mean(last):8.1f} {max(last):7.1f} {cover:8.2f} {sway:8.2f} {factor:6.2f}   {against}"
        )
    return "\n".join(lines)


def _at(run: dict[str, Any], step: int, figure: str) -> float:
    return float(run["looks"][str(step)][figure]["value"])


def _log(kid: float) -> float:
    """KID can fall below 0 where nothing tells the sets apart; .1 is far below every floor seen."""
    return math.log(max(kid, 0.1))


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(), work, out)))


if __name__ == "__main__":
    main()
