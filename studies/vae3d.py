"""Study `vae3d`: what does a code of a few numbers keep of a hippocampus, beside principal components of equal number?

Protocol, fixed before the first run.
Data: the 100 crops around the hippocampus (hippocampus_msd, T1 MR, 1 mm), one a patient, cropped or padded to
32 x 48 x 32 voxels, the .5th and 99.5th percentile of each mapped to 0 and 1. Each seed (0, 1, 2) splits the patients
anew, 70 to learn from, 10 that choose the weights, 20 held out, and draws the training.
Settings: variational_autoencoder, convolutional (width 8, 4 levels), Gaussian likelihood whose sigma is learned, beta 1
after a warm-up of 100 updates, 500 steps of 4 volumes, Adam 2e-3, cosine; code sizes 4, 8, 16, 32, 64; nothing tuned on
the held-out patients. Beside it at 16 numbers the autoencoder of the same network and training (squared error). PCA:
of the same 70 prepared volumes (at most 69 components exist).
Measure: share of variance left on the held-out patients, sum (x - x^)^2 / sum (x - mean of the 70)^2 over patients and
voxels; x^ from the mean code. Model minus PCA, 95 % interval by bootstrap over the 20 patients, paired.
Goal: below PCA at every code size. CPU size = GPU size: 18 trainings of about a minute.

    make study NAME=vae3d
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medudl import api
from medudl.config import validate_config
from medudl.data.cache import Cache
from medudl.data.cases import cases_of
from medudl.data.loaders import Loader
from medudl.metrics.intervals import difference, resamples
from medudl.run import Run
from studies import queue
from studies.where import real_data

SEEDS, SIZES, BESIDE = range(3), (4, 8, 16, 32, 64), 16
NETWORK: dict[str, Any] = {"network": "convolutional", "width": 8, "levels": 4}
METHODS: dict[str, dict[str, Any]] = {
    "vae": {"name": "variational_autoencoder", "warmup": 100, **NETWORK},
    "ae": {"name": "autoencoder", **NETWORK},
}
DATA: dict[str, Any] = {"view": "volume", "size": [32, 48, 32], "foreground": "none"}
TRAIN: dict[str, Any] = {
    "steps": 500, "batch_size": 4, "validate_every": 100, "checkpoint_every": 500, "sample_every": 500, "device": "cpu",
    "optimiser": {"lr": 2e-3, "schedule": "cosine", "warmup": 20},
}  # fmt: skip
RESAMPLES = 2000


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """One training, and what its code leaves of the held-out patients beside PCA."""
    return trained({**METHODS[job["method"]], "latent": job["latent"]}, TRAIN, job["seed"])


def trained(method: dict[str, Any], train: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train and measure."""
    with tempfile.TemporaryDirectory() as temporary:  # no scan stays beside the results
        place = Path(temporary)
        scans = real_data() / "hippocampus_msd" / "images"
        api.index([scans], place / "cohort.csv", patterns=["{subject}.nii.gz"], split="70/10/20", seed=seed)
        config = {"method": method, "data": DATA, "train": {**train, "seed": seed}}
        api.train(validate_config(config, "vae3d"), place / "cohort.csv", place / "run", progress=False)
        return measure(Run.open(place / "run"), method["latent"])


@torch.no_grad()
def measure(run: Run, code: int) -> dict[str, Any]:
    """Shares of variance left by the model and by PCA, their paired difference, and what the training noted.

    on_learnt: the model's share on the very patients it was trained on.
    """
    learnt, held_out = volumes(run, "train"), volumes(run, "test")
    method: Any = run.method()
    mean = learnt.mean(0)
    _, _, axes = torch.linalg.svd((learnt - mean).flatten(1), full_matrices=False)
    away = (held_out - mean).flatten(1)
    kept = away @ axes[:code].T @ axes[:code]  # (B, Z) -> (B, voxels)
    drawn = torch.cat([method.reconstruct(one[None]) for one in held_out])
    again = torch.cat([method.reconstruct(one[None]) for one in learnt])
    errors = {
        "model": (drawn - held_out).flatten(1).square().sum(1).double().numpy(),
        "pca": (kept - away).square().sum(1).double().numpy(),
    }
    whole = away.square().sum(1).double().numpy()
    drawn_patients = resamples(np.zeros(len(whole)), RESAMPLES, 0)
    shares = {name: float(error.sum() / whole.sum()) for name, error in errors.items()}
    redrawn = {name: drawn_patients @ error / (drawn_patients @ whole) for name, error in errors.items()}
    gap = difference(shares["model"], shares["pca"], redrawn["model"], redrawn["pca"], len(whole))
    on_learnt = float((again - learnt).square().sum() / (learnt - mean).square().sum())
    return {**shares, "on_learnt": on_learnt, "difference": gap.value, "low": gap.low, "high": gap.high,
            "learnt": len(learnt), "n": gap.n, "notes": run.meta["notes"]}  # fmt: skip


def volumes(run: Run, split: str) -> Tensor:
    """The prepared volumes of a split, as the method gets them: (N, 1, 32, 48, 32)."""
    cohort, data = run.cohort(), run.config.data
    cases = [case for case in cases_of(cohort, data)[0] if case.split == split]
    cache = Cache(run.path.parent / "cache", run.pipeline(), cohort)
    ready, _ = cache.fill(cases)
    loader = Loader([cache.get(case) for case in ready], data, batch_size=8, shuffle=False)
    return torch.cat([batch["image"] for batch in loader.epoch(0)])


def jobs() -> list[queue.Job]:
    """The VAE by seed and code size; the autoencoder at one size."""
    sizes = [("vae", code) for code in SIZES] + [("ae", BESIDE)]
    return [{"seed": seed, "method": method, "latent": code} for seed in SEEDS for method, code in sizes]


def table(results: list[dict[str, Any]]) -> str:
    """One row a run, and the goal."""
    lines = [
        "| method | code | seed | share left | PCA | difference (95 %) | code dimensions in use |",
        "|" + "---|" * 7,
    ]
    for r in sorted(results, key=lambda r: (r["method"] == "ae", r["latent"], r["seed"])):
        used = r["notes"][-1].partition(" code")[0] if r["method"] == "vae" else ""
        lines.append(
            f"| {r['method']} | {r['latent']} | {r['seed']} | {r['model']:.3f} | {r['pca']:.3f} |"
            f" {r['difference']:+.3f} ({r['low']:+.3f} to {r['high']:+.3f}) | {used} |"
        )
    better = sum(r["high"] < 0 for r in results if r["method"] == "vae")
    count = sum(r["method"] == "vae" for r in results)
    goal = "met" if better == count else "missed"
    return "\n".join(
        [*lines, f"goal {goal}: below PCA beyond doubt in {better} of {count} trainings (n = 20 patients each)"]
    )


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    real_data()  # tells its absence before anything is done
    torch.set_num_threads(1)
    print(table(queue.run(jobs(), work, out)))


if __name__ == "__main__":
    main()
