"""Study `few_labels_after`: do the films without a label help where the features are good already?

Fixed after the table of `few_labels` was known: on chest films no method of the house is above EfficientNet-Lite0 with
logistic regression at all three numbers of labels; feature_autoencoder's code is at 10 and 50 (+.012, +.013), and
ties at 5 (-.001), where a probe has ten films to go by and thousands lie unused. Two ways to use them:
    graph                labels spread over the graph of the 10 nearest films of train (code of feature_autoencoder,
                         cosine; Zhou et al. 2004: F = .9 S F + .1 Y, S = D^-1/2 W D^-1/2, classes brought to equal
                         mass); logistic regression on all of train with the spread labels, each film weighed by how
                         sure they are; the mean of its probability and that of the probe on the labels alone
    graph, three stages  the same on the code and the last stage together
    label_spreading      the method that came of it, with its defaults: three stages; a film with a label keeps it
Data, draws, ridge, measure and goal: those of `few_labels`, chest alone. Both were chosen on the held-out quarter of
train's patients (there .899 / .918 / .936 and .897 / .914 / .931, the probe alone .880 / .911 / .937; self-training on
its own sure answers, .755 / .837 / .939, was left out). Val had been looked at by
`few_labels`, not by these two; by them when label_spreading, whose defaults are theirs, was added.
CPU size: two minutes beside the features of `few_labels`, which are taken from its folder where they are.

    make study NAME=few_labels_after
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import kneighbors_graph

from medudl.methods import build
from studies import queue, scores
from studies.few_label_runs import RIDGE, Array, Numbers, Probe, drawn
from studies.few_labels import (
    LABELS,
    LITE0,
    SEEDS,
    SHIFTED,
    SIZES,
    Answers,
    cells_of,
    estimate,
    gap,
    joined,
    last_stage,
    question,
    told,
)
from studies.translation_heads import size_name

DATA = "chest"
WAYS: Mapping[str, tuple[int, ...]] = {"graph": (4, 5), "graph, three stages": (4, 5, 6)}  # stages
NEIGHBOURS, ALPHA, ROUNDS = 10, 0.9, 60
METHOD = "label_spreading"


def jobs(size: str) -> list[dict[str, Any]]:
    """What it is against, then a job a way."""
    return [{"size": size, "data": DATA, "part": part} for part in (LITE0, *WAYS, METHOD)]


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """As `few_labels.work`."""
    torch.set_num_threads(1)
    asked, cache = question(DATA, SIZES[job["size"]].side), folder.parents[1] / "few_labels" / "cache" / DATA
    label, part = asked.train.sick.astype(np.int64), str(job["part"])
    fitted = scores.features(asked.train, asked.looked, "none", cache / "train")
    looked = {s: scores.features(asked.val, asked.looked, s, cache / "val") for s in ("none", *SHIFTED)}
    train, val = _chosen(part, fitted), {shift: _chosen(part, stages) for shift, stages in looked.items()}
    graph = None if part in (LITE0, METHOD) else nearest(train)
    arms: dict[str, list[Any]] = {str(count): [] for count in LABELS}
    for count in LABELS:
        for seed in SEEDS:
            rows = drawn(label, count, seed)
            if part == METHOD:
                arms[str(count)].append(told(asked, _method(train, val, rows, label)))
                continue
            probe = Probe.fit(train, rows, label[rows])
            learnt = None if graph is None else spread_probe(probe, graph, train, rows, label[rows])
            found = {shift: _answers(probe, learnt, features) for shift, features in val.items()}
            arms[str(count)].append(told(asked, found.__getitem__))
    return {"arms": {part: arms}}


def _chosen(part: str, stages: Sequence[Array]) -> Array:
    return last_stage(stages) if part == LITE0 else joined(stages, WAYS.get(part, (4, 5, 6)))


def _method(train: Array, val: Mapping[str, Array], rows: Numbers, label: Numbers) -> Answers:
    """What the method answers: its own fit, on features that were looked up once for all draws."""
    method: Any = build("label_spreading", (1, 160, 160), {"classes": ["healthy", "sick"]}).eval()
    given = torch.full((len(train),), -1).index_copy(0, torch.from_numpy(rows), torch.from_numpy(label[rows]))
    method.fit([(torch.from_numpy(train).float(), given)])
    return lambda shift: method.answer(torch.from_numpy(val[shift]).float()).argmax(1).numpy()


def nearest(features: Array) -> Any:
    """S (N, N), sparse, of the graph in which each film is joined to its nearest ones by cosine."""
    scaled = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    edges = kneighbors_graph(scaled, NEIGHBOURS, mode="connectivity")
    edges = ((edges + edges.T) > 0).astype(np.float64)
    scale = sparse.diags(np.asarray(edges.sum(1)).ravel() ** -0.5)
    return scale @ edges @ scale


def spread(graph: Any, rows: Numbers, label: Numbers) -> Array:
    """(N, K) of the fixed point F = alpha S F + (1 - alpha) Y, each class of mass 1."""
    known = np.zeros((graph.shape[0], int(label.max()) + 1))
    known[rows, label] = 1
    found = known
    for _ in range(ROUNDS):
        found = ALPHA * (graph @ found) + (1 - ALPHA) * known
    return np.asarray(found / found.sum(0))


def spread_probe(probe: Probe, graph: Any, features: Array, rows: Numbers, label: Numbers) -> LogisticRegression:
    """Logistic regression on the spread labels of all films, standardised as `probe` does it."""
    mass = spread(graph, rows, label)
    least, most = np.sort(mass, axis=1)[:, -2:].T
    sure = (most - least) / (mass.sum(1) + 1e-12)
    return LogisticRegression(C=RIDGE, max_iter=1000).fit(probe.scaled(features), mass.argmax(1), sample_weight=sure)


def _answers(probe: Probe, learnt: LogisticRegression | None, features: Array) -> Numbers:
    if learnt is None:
        return probe(features)
    scaled = probe.scaled(features)
    both = probe.model.predict_proba(scaled) + learnt.predict_proba(scaled)
    return np.asarray(both.argmax(1), np.int64)


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line an arm, then the goals."""
    cells, patients = cells_of(question(DATA, SIZES[results[0]["size"]].side), results)
    lines = [f"{DATA}: balanced accuracy on val, n = {patients} patients; in brackets 95 %; then under shift"]
    arms = list(dict.fromkeys(arm for arm, _ in cells))
    lines += [f"{arm:<36} " + " | ".join(estimate(cells[arm, n], patients) for n in LABELS) for arm in arms]
    return "\n".join([*lines, *(gap(arm, LITE0, cells, patients) for arm in arms if arm != LITE0)])


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
