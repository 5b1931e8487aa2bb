"""Groups that the codes form by themselves, and how they agree with what is known, beside the same from raw pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medudl.metrics.clusters import agreement
from medudl.tasks.projections import components

Codes = NDArray[np.float32]
MOST = 10
KNOWN = ("label", "modality", "contrast", "scanner")  # columns that the groups are compared with
_CLASSES = 20  # a column of more values is no grouping
_SILHOUETTE_ITEMS = 2000
_PIXELS = 32  # the longer side of pictures when raw pixels are grouped
RULE = "k-means on the standardised codes; k from 2 to 10 by the mean silhouette, without a look at labels"


@dataclass(frozen=True)
class Clusters:
    """numbers: (N,), from 1, the largest group first; all 0 where nothing can be grouped. silhouette: the mean."""

    numbers: NDArray[np.int64]
    k: int
    silhouette: float


def grouped(codes: Codes, seed: int) -> Clusters:
    """k-means for each k in 2 .. 10, and the k whose mean silhouette is best (above 2,000 items on 2,000 of them)."""
    from sklearn.metrics import silhouette_score

    distinct = len(np.unique(codes, axis=0)) if codes.shape[1] else 1
    best = Clusters(np.zeros(len(codes), np.int64), 0, float("nan"))
    size = _SILHOUETTE_ITEMS if len(codes) > _SILHOUETTE_ITEMS else None
    for k in range(2, min(MOST, distinct - 1) + 1):
        numbers = kmeans(codes, k, seed)
        value = float(silhouette_score(codes, numbers, sample_size=size, random_state=seed))
        if best.k == 0 or value > best.silhouette:
            best = Clusters(numbers, k, value)
    return best


def kmeans(values: Codes, k: int, seed: int) -> NDArray[np.int64]:
    """The best of ten starts; groups are numbered from 1, the largest first."""
    from sklearn.cluster import KMeans

    found = KMeans(k, n_init=10, random_state=seed).fit_predict(values)
    order = np.argsort(-np.bincount(found, minlength=k), kind="stable")
    rank = np.empty(k, np.int64)
    rank[order] = np.arange(1, k + 1)
    return np.asarray(rank[found])


def pixels(pictures: NDArray[np.uint8]) -> Codes:
    """(N, h, w) -> (N, P) in [0, 1], the longer side at most 32 pixels: what a grouping without a model sees."""
    n, height, width = pictures.shape
    share = min(1.0, _PIXELS / max(height, width))
    if share == 1:
        return (pictures.reshape(n, -1) / 255).astype(np.float32)
    step = int(np.ceil(1 / share))
    small = [ndimage.uniform_filter(p.astype(np.float32), step)[step // 2 :: step, step // 2 :: step] for p in pictures]
    return (np.stack(small).reshape(n, -1) / 255).astype(np.float32)


def compare(
    clusters: Clusters, pictures: NDArray[np.uint8], dims: int, known: Mapping[str, Sequence[str]],
    patients: Sequence[str], seed: int,
) -> dict[str, Any]:  # fmt: skip
    """{k, rule, silhouette, against, baselines}: adjusted Rand of the groups with each known column that has classes.

    known: {column: (N,) values, "" where unknown}. Baselines are k-means with the same k on the pixels of the
    pictures, and on as many of their principal components as the code has dimensions in use (`dims`).
    """
    columns = {name: values for name, values in known.items() if 2 <= len(set(values) - {""}) <= _CLASSES}
    about: dict[str, Any] = {
        "k": clusters.k, "rule": RULE, "silhouette": None if clusters.k == 0 else clusters.silhouette
    }  # fmt: skip
    if clusters.k == 0:
        return {**about, "against": {}, "baselines": {}}
    raw = pixels(pictures)
    reduced = components(raw, max(1, min(dims, *raw.shape)))
    baselines = {"pixels": kmeans(raw, clusters.k, seed), "pixel_pca": kmeans(reduced, clusters.k, seed)}
    return {
        **about,
        "against": _against(clusters.numbers, columns, patients),
        "baselines": {name: _against(numbers, columns, patients) for name, numbers in baselines.items()},
    }


def _against(
    numbers: NDArray[np.int64], columns: Mapping[str, Sequence[str]], patients: Sequence[str]
) -> dict[str, dict[str, Any]]:
    out = {}
    for name, values in columns.items():
        kept = [i for i, value in enumerate(values) if value]
        found = agreement(
            [int(numbers[i]) for i in kept], [values[i] for i in kept], [patients[i] for i in kept]
        ).as_dict()  # fmt: skip
        out[name] = {"adjusted_rand": found["value"], "low": found["low"], "high": found["high"], "n": found["n"],
                     "items": len(kept)}  # fmt: skip
    return out
