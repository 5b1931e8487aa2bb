"""Study `clusters_after`: are the groups of `clusters` poor because of the codes, or because of the grouping?

Fixed after the table of `clusters` was known, so its figures are post hoc. The two of its data sets whose goal was not
reached in earnest, contrasts and chest; its sizes and k-means; seeds 0, 1, 2.
Ways: autoencoder as it was (400 updates, codes standardised); longer (1,500 updates); umap (k-means in the plane that
UMAP makes of the codes as they were); features (no training: EfficientNet-Lite0 with ImageNet weights, mean and spread
of each channel of stages 5, 6 and 7, their first 16 principal components standardised). Measure: adjusted Rand with the
known grouping, mean and range over the seeds.
CPU size = GPU size: 24 runs of 10 to 40 s.

    make study NAME=clusters_after
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medudl.methods.feature_statistics import pooled
from medudl.metrics.clusters import agreement
from medudl.metrics.intervals import short
from medudl.networks.feature_network import ImageNetFeatures
from medudl.tasks.clusters import kmeans
from medudl.tasks.projections import Scale, components, umap
from studies import queue
from studies.clusters import LATENT, images, trained
from studies.where import real_data

DATA = ("contrasts", "chest")
SEEDS, WAYS = range(3), ("as it was", "longer", "umap", "features")
STAGES, LEAST = (5, 6, 7), 56  # a picture of fewer pixels is enlarged to it, as in study `pneumoniamnist`


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """One way on one data set."""
    shown, classes, patients = images(job["data"])
    k, seed = len(set(classes)), job["seed"]
    if job["way"] == "features":
        space = features(job["data"])
    else:
        steps = {"steps": 1500} if job["way"] == "longer" else {}
        codes, spread = trained("autoencoder", torch.from_numpy(shown), seed, **steps)
        space = Scale.of(codes, spread)(codes)
        if job["way"] == "umap":
            space = umap(space, seed)
    found = agreement(kmeans(space, k, seed).tolist(), classes, patients)
    return {"n": len(shown), "adjusted_rand": found.as_dict()}


@lru_cache
@torch.no_grad()
def features(name: str) -> Any:
    """(N, 16): what a network that never saw a scan makes of the images."""
    shown = torch.from_numpy(images(name)[0])
    network = ImageNetFeatures(shown.shape[1:], STAGES, max(LEAST, shown.shape[-1]))
    found = torch.cat([pooled(network(part)) for part in torch.split(shown, 64)]).numpy()
    reduced = components(Scale.of(found)(found), LATENT)
    return Scale.of(reduced)(reduced)


def table(results: list[dict[str, Any]]) -> str:
    """One row a data set and way."""
    lines = ["| data | way | mean | over seeds |", "|---|---|---|---|"]
    for data in DATA:
        for way in WAYS:
            mine = [r["adjusted_rand"]["value"] for r in results if (r["data"], r["way"]) == (data, way)]
            lines.append(
                f"| {data} | {way} | {short(float(np.mean(mine)))} | {short(min(mine))} to {short(max(mine))} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    torch.set_num_threads(1)
    real_data()  # without the scans nothing is begun
    jobs = [{"data": data, "way": way, "seed": seed} for seed in SEEDS for data in DATA for way in WAYS]
    print(table(queue.run(jobs, work, out)))


if __name__ == "__main__":
    main()
