"""Study `clusters`: do groups of codes agree better with what is known than groups of raw pixels do?

Protocol, fixed before the first run. Data (real scans, 64 x 64 or 28 x 28, one channel, no labels used in training):
    heads      200 CT and 200 MR head slices of ct2mri_256, drawn by seed 0; known: modality. No patient ids there: an
               interval by slice, which near copies among them make too narrow
    contrasts  the middle half of the slices of each series of pgbm, percentile intensities, body foreground, 4 mm;
               known: contrast (T1, T2, FLAIR, T1c); 4 patients
    chest      400 normal and 400 pneumonia films of pneumoniamnist train, drawn by seed 0; known: class; by film
Methods: autoencoder, variational_autoencoder, denoising_autoencoder (coarse noise, bottleneck); latent 16, width 8, 3
levels, 400 updates of Adam at 1e-3, batches of 32, no augmentation; trained on the very images that are then grouped,
as a user embeds a cohort. Seeds 0 to 4 draw weights, batches and k-means' starts.
Measure: adjusted Rand of k-means (k = the number of known classes, 10 starts) with the known grouping, of the codes
standardised as `medudl embed` does (beside it as they are, outside the verdict); against k-means of the raw pixels, of
their first 16 principal components, and of those standardised. Mean and range over seeds; the interval of seed 0 by
bootstrap over patients.
Goal: in each data set the best of the three methods lies above the best of the three pixel baselines, mean over seeds.
CPU size = GPU size: 60 runs of 10 to 30 s on one core.

    make study NAME=clusters
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medudl.config import validate_config
from medudl.data.cases import cases_of
from medudl.data.index import index_paths
from medudl.data.pipeline import Pipeline
from medudl.methods import build
from medudl.metrics.clusters import agreement
from medudl.metrics.intervals import short
from medudl.tasks.clusters import kmeans
from medudl.tasks.projections import Scale, components
from studies import queue
from studies.where import real_data

LATENT, STEPS, BATCH, RATE = 16, 400, 32, 1e-3
SIZE = {"latent": LATENT, "width": 8, "levels": 3}
METHODS: dict[str, dict[str, Any]] = {
    "autoencoder": SIZE,
    "variational_autoencoder": SIZE,
    "denoising_autoencoder": {**SIZE, "network": "bottleneck", "noise": "coarse", "grid": 8},
}
DATA = ("heads", "contrasts", "chest")
Known = tuple[np.ndarray[Any, np.dtype[np.float32]], list[str], list[str]]  # images (N, 1, H, W), classes, patients


@lru_cache
def images(name: str) -> Known:
    """A data set of the protocol."""
    root = real_data()
    if name == "chest":
        with np.load(root / "pneumoniamnist_trainval.npz") as file:
            pictures, labels = file["train_images"], file["train_labels"][:, 0]
        rows = np.concatenate([np.random.default_rng(0).permutation(np.flatnonzero(labels == c))[:400] for c in (0, 1)])
        shown = (pictures[rows][:, None] / 255).astype(np.float32)
        return shown, [str(labels[row]) for row in rows], [str(row) for row in rows]
    return _heads(root) if name == "heads" else _contrasts(root)


def _heads(root: Path) -> Known:
    from PIL import Image

    shown, classes, draw = [], [], np.random.default_rng(0)
    for kind in ("ct", "mri"):
        files = sorted((root / "ct2mri_256" / kind).iterdir())
        for place in draw.permutation(len(files))[:200]:
            picture = Image.open(files[place]).convert("L").resize((64, 64), Image.Resampling.BOX)
            shown.append(np.asarray(picture, np.float32)[None] / 255)
            classes.append(kind)
    return np.stack(shown), classes, [str(n) for n in range(len(shown))]


def _contrasts(root: Path) -> Known:
    cohort = index_paths([root / "pgbm"], patterns=["{subject}/{study}/{contrast}.nii.gz"])
    tree = {"method": {"name": "autoencoder"},
            "data": {"spacing": [None, 4, 4], "size": [64, 64], "crop_foreground": True}}  # fmt: skip
    data = validate_config(tree, "clusters").data
    pipeline, shown, classes, patients = Pipeline(data), [], [], []
    for case in cases_of(cohort, data)[0]:
        if case.grid.contrast not in ("T1", "T2", "FLAIR", "T1c"):
            continue
        image = pipeline.prepare(cohort, case).image
        quarter = image.shape[1] // 4
        for slice_ in np.moveaxis(image[:, quarter:-quarter], 1, 0):
            shown.append(slice_)
            classes.append(case.grid.contrast)
            patients.append(case.subject)
    return np.stack(shown), classes, patients


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """One method (or the pixels) on one data set with one seed."""
    shown, classes, patients = images(job["data"])
    k, seed = len(set(classes)), int(job["seed"])
    if job["method"] == "pixels":
        raw = shown.reshape(len(shown), -1)
        reduced = components(raw, LATENT)
        spaces = {"pixels": raw, "pixel_pca": reduced, "pixel_pca_standardised": Scale.of(reduced)(reduced)}
    else:
        codes, spread = trained(str(job["method"]), torch.from_numpy(shown), seed)
        spaces = {"standardised": Scale.of(codes, spread)(codes), "plain": codes}
    found = {name: agreement(kmeans(space, k, seed).tolist(), classes, patients) for name, space in spaces.items()}
    return {"n": len(shown), "k": k, "adjusted_rand": {name: estimate.as_dict() for name, estimate in found.items()}}


def trained(name: str, shown: torch.Tensor, seed: int, steps: int = STEPS) -> tuple[Any, Any]:
    """Codes (N, Z) and their standard deviation, or None, of a method trained on the images (N, 1, H, W)."""
    torch.manual_seed(seed)
    method: Any = build(name, tuple(shown.shape[1:]), METHODS[name])
    (player,) = method.players().values()
    optimiser = torch.optim.Adam(player.parameters(), lr=RATE)
    method.train()
    for _ in range(steps):
        rows = torch.randint(len(shown), (BATCH,))
        for objective in method.step({"image": shown[rows]}):
            optimiser.zero_grad()
            objective.loss.backward()
            optimiser.step()
    method.eval()
    with torch.no_grad():
        codes = torch.cat([method.encode(part) for part in torch.split(shown, 64)]).numpy()
        has = "uncertainty" in method.verbs()
        spread = torch.cat([method.uncertainty(part) for part in torch.split(shown, 64)]).numpy() if has else None
    return codes, spread


def table(results: list[dict[str, Any]]) -> str:
    """Mean adjusted Rand over seeds, lowest to highest, and the interval of seed 0; a verdict a data set."""
    lines, best = [], {}
    for data in DATA:
        for method in (*METHODS, "pixels"):
            mine = [r for r in results if r["data"] == data and r["method"] == method]
            for space in mine[0]["adjusted_rand"]:
                values = [r["adjusted_rand"][space]["value"] for r in mine]
                first = mine[0]["adjusted_rand"][space]
                told = "-" if first["low"] is None else f"{short(first['low'])} to {short(first['high'])}"
                lines.append(
                    f"| {data} | {method} | {space} | {short(float(np.mean(values)))} |"
                    f" {short(min(values))} to {short(max(values))} | {told} |"
                )
                if space != "plain":
                    side = "pixels" if method == "pixels" else "codes"
                    best[data, side] = max(best.get((data, side), -1.0), float(np.mean(values)))
    head = ["| data | method | space | mean | over seeds | 95 % of seed 0 |", "|---|---|---|---|---|---|"]
    verdicts = [
        f"{data}: codes {short(best[data, 'codes'])}, pixels {short(best[data, 'pixels'])}: goal"
        f" {'met' if best[data, 'codes'] > best[data, 'pixels'] else 'missed'}"
        for data in DATA
    ]
    return "\n".join([*head, *lines, "", *verdicts])


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    torch.set_num_threads(1)
    real_data()  # without the scans nothing is begun
    jobs = [{"data": d, "method": m, "seed": s} for s in range(5) for d in DATA for m in ("pixels", *METHODS)]
    print(table(queue.run(jobs, work, out)))


if __name__ == "__main__":
    main()
