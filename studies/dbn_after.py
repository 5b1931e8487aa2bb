"""Study `dbn_after`: why does greedy pretraining of a deep belief network gain nothing in `dbn`?

Fixed after the tables of `dbn` were known, so its figures are post hoc. The digits of `dbn`, its splits, labels, seeds
and fine-tuning. Ways, each changing one thing of the pretraining: as it was (256 and 128 units, 3,000 updates a layer,
SGD .05); longer (15,000 updates); faster (SGD .3); one layer (256 units); wider top (256 and 512 units). Measure:
balanced accuracy of the fine-tuned network, of the same network from random weights of spread 1 / sqrt(inputs), and of
logistic regression on the greedy features as they are, which tells what the layers kept. Greedy minus random with a
95 % t interval over the seeds.
CPU size = GPU size: 25 runs of 5 to 40 s.

    make study NAME=dbn_after
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from medudl.methods import build
from studies import queue
from studies.dbn import SEEDS, digits, fine_tuned, labelled, pretrain, rescale

WAYS: dict[str, tuple[list[int], dict[str, Any]]] = {  # hidden units, what pretraining changes
    "as it was": ([256, 128], {}),
    "longer": ([256, 128], {"steps": 15_000}),
    "faster": ([256, 128], {"rate": 0.3}),
    "one layer": ([256], {}),
    "wider top": ([256, 512], {}),
}


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """One seed of one way: balanced accuracies."""
    seed, (hidden, changed) = job["seed"], WAYS[job["way"]]
    fit, fit_y, test, test_y = digits(seed)
    chosen = labelled(fit_y, seed)
    few, few_y, seen = torch.from_numpy(fit[chosen]), torch.from_numpy(fit_y[chosen]).long(), torch.from_numpy(test)
    found = {}
    for start in ("greedy", "random"):
        torch.manual_seed(seed)
        method: Any = build("deep_belief_network", fit.shape[1:], {"hidden": hidden})
        if start == "greedy":
            pretrain(method, torch.from_numpy(fit), **changed)
            with torch.no_grad():
                codes = [method.encode(x).numpy() for x in (few, seen)]
            found["features"] = LogisticRegression(max_iter=2000).fit(codes[0], few_y).predict(codes[1])
        else:
            rescale(method)
        found[start] = fine_tuned(method, few, few_y, seen)
    return {name: float(balanced_accuracy_score(test_y, answer)) for name, answer in found.items()}


def table(results: list[dict[str, Any]]) -> str:
    """One row a way, means over the seeds."""
    lines = [
        "| way | greedy | random | greedy - random (95 %) | logistic regression on the features |",
        "|" + "---|" * 5,
    ]
    for way in WAYS:
        mine = [r for r in results if r["way"] == way]
        greedy, random, features = (np.array([r[key] for r in mine]) for key in ("greedy", "random", "features"))
        gap = greedy - random
        half = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
        between = f"{gap.mean():+.3f} ({gap.mean() - half:+.3f} to {gap.mean() + half:+.3f})"
        lines.append(f"| {way} | {greedy.mean():.3f} | {random.mean():.3f} | {between} | {features.mean():.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    torch.set_num_threads(1)
    print(table(queue.run([{"seed": seed, "way": way} for way in WAYS for seed in range(SEEDS)], work, out)))


if __name__ == "__main__":
    main()
