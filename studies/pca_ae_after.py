"""Study `pca_ae_after`: why does PCA redraw unseen slices better than the autoencoder once the code is long?

Fixed after the table of `pca_ae` was known, so its figures are post hoc. Its slices and training at 64 numbers, seed 1
alone: a look at the cause, no proof. Ways, each changing one thing of width 16 and 1,500 steps: longer (5,000 steps);
wider (width 32). Beside the error on the held-out slices that on the training slices, which tells a network that has
not learnt to use its code (both high) from one that learnt by heart (the second low), and PCA's on either.
CPU size = GPU size: 2 trainings of 5 to 8 minutes.

    make study NAME=pca_ae_after
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA

from studies import queue
from studies.pca_ae import autoencoder, by_source, load, redrawer, relative, split
from studies.where import real_data

CODE, SEED = 64, 1
WAYS: dict[str, dict[str, int]] = {"longer": {"steps": 5000}, "wider": {"width": 32}}


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Relative errors of one way, on training and held-out slices."""
    torch.set_num_threads(1)
    train, held = split(*load(real_data()), SEED)
    mean = train.mean(axis=0)
    if job["way"] == "PCA":
        fitted = PCA(CODE, svd_solver="randomized", random_state=SEED).fit(train.reshape(len(train), -1))

        def redraw(x: Any) -> Any:
            return fitted.inverse_transform(fitted.transform(x.reshape(len(x), -1))).reshape(x.shape)
    else:
        redraw = redrawer(autoencoder(train, CODE, SEED, **WAYS[job["way"]]))
    held_out = by_source(redraw, held, mean)["all"]
    return {"train": relative(np.asarray(redraw(train)), train, mean), "held_out": held_out}


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    real_data()
    print("| way | training slices | held-out slices |\n|---|---|---|")
    for row in queue.run([{"way": way} for way in ("PCA", *WAYS)], work, out):
        print(f"| {row['way']} | {row['train']:.3f} | {row['held_out']:.3f} |")


if __name__ == "__main__":
    main()
