"""Study `dbn`: does greedy pretraining of a deep belief network help a classifier at ten labels a class?

Protocol, fixed before the first run. Data: 8 x 8 digits of scikit-learn (10 classes), a random half for testing; and,
where MEDUDL_REAL_DATA has it, PneumoniaMNIST (normal / pneumonia, 28 x 28), trained on its train split, tested on its
val split without the images that are copies of train images. Seeds 0 to 4 draw the split of the digits, the ten
labelled images of each class, and all weights. Network: deep_belief_network, hidden [256, 128], and a linear head.
Greedy: both layers learnt without labels on all training images, CD-1, SGD .05 falling to 0, batches of 50, 3,000
updates a layer. Random: the same network as it is built, and a second time with the weights' spread put to
1 / sqrt(inputs), as networks without pretraining are begun. Then all alike: encoder and head together on the labelled
images, cross-entropy, Adam .001, 300 full-batch updates, no early stop. Beside them logistic regression (C = 1) on
raw pixels and on the greedy features as they are. Measure: balanced accuracy on the test images; differences greedy
minus random, paired by seed, with a 95 % t interval.
Goal: greedy above both random beginnings, the interval of the difference above 0, on both data sets.
CPU size = GPU size: 10 runs of about a minute.

    make study NAME=dbn
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.methods import build
from medudl.methods.method import Method
from studies import queue

LABELS, SEEDS = 10, 5
WAYS = ["greedy", "random", "random, scaled", "pixels", "greedy features"]
Array = NDArray[Any]
Split = tuple[Array, Array, Array, Array]  # train images (N, 1, H, W) in [0, 1], their labels, test images, labels


def digits(seed: int) -> Split:
    """8 x 8 digits, half of them for testing."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    fit, test, fit_y, test_y = train_test_split(images, labels, test_size=0.5, random_state=seed, stratify=labels)
    return fit, fit_y, test, test_y


def pneumonia(seed: int, file: Path) -> Split:
    """PneumoniaMNIST, val without copies of train images; the seed moves nothing here."""
    with np.load(file) as data:
        parts = [data[name] for name in ("train_images", "train_labels", "val_images", "val_labels")]
    fit, fit_y, test, test_y = parts
    seen = {image.tobytes() for image in fit}
    new = np.array([image.tobytes() not in seen for image in test])
    scaled = [(x.reshape(-1, 1, 28, 28) / 255).astype(np.float32) for x in (fit, test[new])]
    return scaled[0], fit_y.reshape(-1), scaled[1], test_y[new].reshape(-1)


def pretrain(method: Method, images: Tensor, steps: int = 3000, rate: float = 0.05) -> None:
    """Layer by layer, without labels."""
    players = method.players()
    for phase in method.phases():
        method.enter_phase(phase)
        parameters = dict(players[phase.name].named_parameters())
        optimiser = torch.optim.SGD(parameters.values(), rate)
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
            for objective in method.step({"image": images[torch.randint(len(images), (50,))], "id": []}):
                for name, gradient in (objective.gradients or {}).items():
                    parameters[name].grad = gradient
                optimiser.step()
    method.eval()


def rescale(method: Method) -> None:
    """Weights of spread 1 / sqrt(inputs)."""
    for player in method.players().values():
        weight = player.get_parameter("weight")
        nn.init.normal_(weight, std=len(weight) ** -0.5)


def fine_tuned(method: Any, images: Tensor, labels: Tensor, test: Tensor) -> Array:
    """Classes of the test images after encoder and head have learnt from the labelled ones."""
    with torch.no_grad():
        width = method.encode(images[:1]).shape[1]
    head = nn.Linear(width, int(labels.max()) + 1)
    optimiser = torch.optim.Adam([*method.parameters(), *head.parameters()], 1e-3)
    for _ in range(300):
        loss = F.cross_entropy(head(method.encode(images)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        found: Array = head(method.encode(test)).argmax(1).numpy()
    return found


def labelled(labels: Array, seed: int) -> Array:
    """Which training images have a label: LABELS of each class."""
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.choice(np.flatnonzero(labels == c), LABELS, replace=False) for c in np.unique(labels)])


def work(job: queue.Job, folder: Path, sets: Mapping[str, Callable[[int], Split]]) -> dict[str, Any]:
    """One seed on one data set: balanced accuracy of each way."""
    seed = job["seed"]
    fit, fit_y, test, test_y = sets[job["data"]](seed)
    chosen = labelled(fit_y, seed)
    few, few_y, seen = torch.from_numpy(fit[chosen]), torch.from_numpy(fit_y[chosen]).long(), torch.from_numpy(test)
    answers: dict[str, Array] = {}
    for way in WAYS[:3]:
        torch.manual_seed(seed)
        method: Any = build("deep_belief_network", fit.shape[1:], {"hidden": [256, 128]})
        if way == "greedy":
            pretrain(method, torch.from_numpy(fit))
            with torch.no_grad():
                codes = [method.encode(x).numpy() for x in (few, seen)]
            answers["greedy features"] = LogisticRegression(max_iter=2000).fit(codes[0], few_y).predict(codes[1])
        elif way == "random, scaled":
            rescale(method)
        answers[way] = fine_tuned(method, few, few_y, seen)
    flat = [x.flatten(1).numpy() for x in (few, seen)]
    answers["pixels"] = LogisticRegression(max_iter=2000).fit(flat[0], few_y).predict(flat[1])
    return {"n_test": len(test), "accuracy": {w: float(balanced_accuracy_score(test_y, answers[w])) for w in WAYS}}


def table(results: list[dict[str, Any]], data: str) -> None:
    """Means and paired differences of one data set."""
    mine = [r["accuracy"] for r in results if r["data"] == data]
    tests = next(r["n_test"] for r in results if r["data"] == data)
    print(f"{data}: {LABELS} labels a class, {len(mine)} seeds, n = {tests} test images")
    values = {way: np.array([r[way] for r in mine]) for way in WAYS}
    for way in WAYS:
        print(f"  {way:<16} {values[way].mean():.3f} (seeds {values[way].min():.3f} to {values[way].max():.3f})")
    for way in WAYS[1:3]:
        gap = values["greedy"] - values[way]
        half = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
        said = "met" if gap.mean() - half > 0 else "no gain"
        print(f"  greedy - {way}: {gap.mean():+.3f} ({gap.mean() - half:+.3f} to {gap.mean() + half:+.3f}), {said}")


def main() -> None:
    """Run what is missing and print the tables."""
    out = queue.out_folder(__doc__)
    torch.set_num_threads(1)
    sets: dict[str, Callable[[int], Split]] = {"digits": digits}
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    file = Path(os.environ.get("MEDUDL_REAL_DATA", default)) / "pneumoniamnist_trainval.npz"
    if file.is_file():
        sets["pneumoniamnist"] = partial(pneumonia, file=file)
    else:
        print("no PneumoniaMNIST below MEDUDL_REAL_DATA: the study is on digits alone, and incomplete")
    jobs = [{"data": data, "seed": seed} for data in sets for seed in range(SEEDS)]
    results = queue.run(jobs, partial(work, sets=sets), out)
    for data in sets:
        table(results, data)
    if len(sets) == 1:
        raise SystemExit(2)


if __name__ == "__main__":
    main()
