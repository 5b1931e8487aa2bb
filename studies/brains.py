"""Study `brains`: on real heads with a tumour, does the map beat a ruler, on the whole head and on the brain alone?

Protocol, fixed before the first run.
Data: pgbm, FLAIR, T1 and T2 of a study as channels. The two patients with tumour masks (three studies) are left out in
turn; the others train, all slices of the patients without a mask (whose tumours nobody drew: they are learnt from as
if they were healthy) and the lesion-free slices of the other masked one; one of them chooses the weights.
Settings: coarse-noise denoising autoencoder (U-Net, width 32, patch 2, batch norm, residual, sigma .2, grid 16), 400
steps of 16 slices of 128 x 128 at 1.5 mm, Adam 2e-3, averaged weights; foreground body (the whole head) or brain
(deepbet, the rest set to zero). Median filter 5, erosion 2. Seeds 0 to 2 draw the training.
Measure: voxel average precision of the left-out patient, of the model and of the best trivial map, best on these very
scans. The masks are of the tumour core; oedema outside them counts as healthy. One patient a run: no interval.
Goal: the model above the best trivial map. CPU size = GPU size: 12 trainings of about two minutes.

    make study NAME=brains
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medudl import api
from medudl.config import validate_config
from studies import queue
from studies.where import real_data

CACHE = Path(tempfile.gettempdir()) / "medudl-study-brains"  # prepared scans: outside the project
PATTERN = "{subject}/{study}/{contrast}.nii.gz"
UNMARKED = "unmarked"
METHOD: dict[str, Any] = {
    "name": "denoising_autoencoder", "width": 32, "patch": 2, "norm": "batch", "residual": True,
}  # fmt: skip
DATA: dict[str, Any] = {
    "channels": ["FLAIR", "T1", "T2"], "grid": "FLAIR", "crop_foreground": True, "size": [128, 128],
    "spacing": [None, 1.5, 1.5], "intensity": {"kind": "percentile", "low": 0, "high": 99},
    "healthy_labels": [UNMARKED], "lesion_free_slices": True, "augment": {"flip": True},
}  # fmt: skip
TRAIN: dict[str, Any] = {
    "steps": 400, "batch_size": 16, "precision": "bf16", "validate_every": 100, "sample_every": 1000,
    "optimiser": {"lr": 2e-3, "schedule": "cosine", "ema": 0.99},
}  # fmt: skip
FOREGROUNDS: dict[str, dict[str, str]] = {
    "body": {"foreground": "body"}, "brain": {"foreground": "brain", "outside": "zero"}
}  # fmt: skip


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """One training of the protocol."""
    data = {**DATA, **FOREGROUNDS[job["foreground"]]}
    return trained(METHOD, data, {**TRAIN, "seed": job["seed"]}, job["left_out"])


def trained(method: dict[str, Any], data: dict[str, Any], train: dict[str, Any], left_out: str) -> dict[str, Any]:
    """Train without one patient, and evaluate on that one."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        cohort = _cohort(out)
        config = validate_config(
            {"method": method, "data": {**data, "cache": str(CACHE)}, "train": train}, "study brains"
        )
        api.train(config, cohort, out / "run", leave_out=left_out, progress=False)
        report = api.evaluate(out / "run", out=out / "report", progress=False)
    rows = {row["name"]: row["value"] for row in report["baselines"]["voxel"]}
    return {"voxel": report["voxel"], "maps": rows, "variants": report["variants"], "rim": report["rim"]}


def _cohort(out: Path) -> Path:
    """cohort.csv over pgbm; who has no mask is labelled as such."""
    scans = real_data() / "pgbm"
    subjects = sorted(path.name for path in scans.iterdir() if path.is_dir())
    masked = masked_subjects()
    labels = pd.DataFrame({"subject": subjects, "label": [("tumour" if s in masked else UNMARKED) for s in subjects]})
    labels.to_csv(out / "labels.csv", index=False)
    api.index([scans], out / "cohort.csv", patterns=[PATTERN], masks=["{subject}/{study}/mask.nii.gz"],
              labels=out / "labels.csv")  # fmt: skip
    return out / "cohort.csv"


def masked_subjects() -> list[str]:
    """Patients with a tumour mask."""
    return sorted({path.parents[1].name for path in (real_data() / "pgbm").glob("*/*/mask.nii.gz")})


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    jobs = [
        {"foreground": foreground, "left_out": subject, "seed": seed}
        for foreground in FOREGROUNDS for subject in masked_subjects() for seed in range(3)
    ]  # fmt: skip
    results = queue.run(jobs, work, out)
    for line in lines(results):
        print(line)


def lines(results: list[dict[str, Any]]) -> list[str]:
    """The table."""
    out, ahead = ["foreground  left out    seed  model  blind  best trivial map"], {name: [] for name in FOREGROUNDS}
    for row in results:
        voxel, best = row["voxel"], row["voxel"]["best_baseline"]
        model, trivial = voxel["average_precision"]["value"], row["maps"][best]
        begin = f"{row['foreground']:<10}  {row['left_out']:<10}  {row['seed']:>4}"
        out.append(f"{begin}  {model:.3f}  {voxel['prevalence']:.3f}  {best} {trivial:.3f}")
        ahead[row["foreground"]].append(model - trivial)
    for name, gains in ahead.items():
        won = sum(gain > 0 for gain in gains)
        out.append(f"{name}: mean difference {np.mean(gains):+.3f}, ahead in {won} of {len(gains)} runs")
    return out


if __name__ == "__main__":
    main()
