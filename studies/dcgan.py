"""Study `dcgan`: how near does a plain DCGAN come to held-out patients, by step?

Protocol, fixed before the first run.
Method: gan as configs/gan.yaml has it but for the size: 32 x 32, latent 64, width 16, batches of 32, Adam 2e-4 with
betas .5 and .999, averaged generator (.999), no trick. 2,000 steps; looks at 250 (the first checkpoint), 500, 1,000,
1,500 and 2,000. Seeds 0, 1, 2.
Data: chest, the NORMAL films of train in chest_xray_split.csv, judged against those of val (other patients); heads, the
axial slices of pgbm with T1, T2, FLAIR and T1c as channels, one patient held out: the first, second and third by name
with seeds 0, 1 and 2 (one patient alone gives no interval, and his slices are compared as if they were patients).
Measure: KID of 1,000 samples against the held-out images, features of EfficientNet-Lite0 (`adversarial_runs.Looker`),
interval by patient; beside it KID of 1,000 samples of a Gaussian of 32 principal components of the training images, and
of the training images themselves.
Goal: KID at the last look below half of the first checkpoint's, in every run. CPU size: about 10 minutes on one core.
GPU size: 64 x 64 and 20,000 steps (SIDE and the looks below).

    make study NAME=dcgan
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medudl.metrics.intervals import Estimate
from medudl.metrics.kernel import kernel_distance
from studies import queue
from studies.adversarial_runs import Looker, Pictures, chest, heads, samples_of, trained
from studies.where import real_data

LOOKS = (250, 500, 1000, 1500, 2000)
SEEDS = range(3)
COMPONENTS = 32


def jobs() -> list[dict[str, Any]]:
    """One a set and seed."""
    return [{"data": data, "seed": seed} for data in ("chest", "heads") for seed in SEEDS]


def work(job: queue.Job, _: Path, tricks: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Train, and look."""
    torch.set_num_threads(1)
    seed = int(job["seed"])
    train, held = _sets(str(job["data"]), seed)
    looker = Looker(train.image.shape[1])
    truth = looker(held.image)

    def kid(images: Tensor, groups: Any = None) -> dict[str, Any]:
        if len(np.unique(held.subject)) > 1:
            return kernel_distance(looker(images), truth, groups, held.subject, 300, 0).as_dict()
        # Of a single patient the slices are compared one by one, and what that would give as an interval says nothing.
        found = kernel_distance(looker(images), truth, None, None, 0, 0)
        return {"value": found.value, "low": None, "high": None, "n": 1}

    looks = trained(train, LOOKS, seed, tricks=tricks, options={"width": 16})
    found = {str(step): kid(samples_of(method)) for step, method in looks}
    found["gaussian"] = kid(gaussian(train.image, COMPONENTS, 1000, seed))
    found["training"] = kid(train.image, train.subject)
    return {"kid": found, "n_train": len(train.image), "n_held": len(held.image)}


def gaussian(image: Tensor, components: int, count: int, seed: int) -> Tensor:
    """The trivial generator: a Gaussian of the first principal components of images, clipped to [0, 1]."""
    flat = image.flatten(1).double()
    mean = flat.mean(0)
    _, scale, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    spread = scale[:components] / (len(flat) - 1) ** 0.5
    drawn = torch.randn(count, len(spread), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (mean + drawn * spread @ axes[:components]).clamp(0, 1).float().view(count, *image.shape[1:])


def _sets(data: str, seed: int) -> tuple[Pictures, Pictures]:
    source = real_data()
    if data == "chest":
        return chest(source, "train"), chest(source, "val")
    everyone = heads(source)
    patients = list(np.unique(everyone.subject))
    return everyone.of([p for p in patients if p != patients[seed]]), everyone.of([patients[seed]])


def table(results: Sequence[dict[str, Any]]) -> str:
    """KID by step, a line a run."""
    lines = []
    for result in results:
        kid = {name: Estimate(**{k: np.nan if v is None else v for k, v in e.items()}) for name, e in
               result["kid"].items()}  # fmt: skip
        first, last = kid[str(LOOKS[0])].value, kid[str(LOOKS[-1])].value
        lines.append(
            f"{result['data']}, seed {result['seed']} ({result['n_train']} images; {result['n_held']} held out of"
            f" {kid['training'].n} patients): "
            + "; ".join(f"{name} {value.text(1)}" for name, value in kid.items())
            + f"; last over first {last / first:.2f}, goal below .5: {'met' if last < first / 2 else 'missed'}"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(), work, out)))


if __name__ == "__main__":
    main()
