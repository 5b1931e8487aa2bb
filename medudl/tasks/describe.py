"""What takes all codes together: their scale, planes, groups, near copies and neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medudl.tasks.clusters import KNOWN, compare, grouped
from medudl.tasks.neighbours import RULE, near_copies, nearest
from medudl.tasks.projections import Codes, Projected, Scale, project

STAGES = {
    "pca": "principal components", "umap": "UMAP", "tsne": "t-SNE", "clusters": "groups", "copies": "near copies"
}  # fmt: skip


@dataclass(frozen=True)
class Described:
    """numbers: (N,) groups from 1, or 0; compared: what they agree with; copies: (N,), see near_copies; neighbours,
    distances: (N, 10), see nearest.
    """

    scale: Scale
    planes: Projected
    numbers: NDArray[np.int64]
    compared: dict[str, Any]
    copies: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    distances: NDArray[np.float32]

    def columns(self) -> dict[str, Any]:
        """The columns that are added to the table; whole numbers, empty for 0."""
        made: dict[str, Any] = {}
        for name, plane in self.planes.planes.items():
            made |= {f"{name}_1": plane[:, 0], f"{name}_2": plane[:, 1]}
        whole = {"cluster": self.numbers, "duplicate": self.copies}
        return made | {name: pd.Series(v, dtype="Int64").replace(0, pd.NA) for name, v in whole.items()}

    def facts(self) -> dict[str, Any]:
        """The entries of embedding.json that come from here, as JSON values."""
        scale, planes = self.scale, self.planes
        return {
            "mean": [float(v) for v in scale.mean], "sigma": [float(v) for v in scale.sigma],
            "order": scale.order.tolist(), "used": scale.used.tolist(), "active_units": scale.active,
            "projections": list(planes.planes), "left_out": dict(planes.left_out),
            "pca_explained": list(planes.explained), "trustworthiness": dict(planes.trust), "clusters": self.compared,
            "duplicates": {
                "groups": int(self.copies.max(initial=0)), "items": int((self.copies > 0).sum()), "rule": RULE
            },
            "notes": self.notes(),
        }  # fmt: skip

    def notes(self) -> list[str]:
        """What a reader of the planes must know of the codes."""
        dims = len(self.scale.mean)
        if self.scale.active == 0:
            return [f"none of {dims} code dimensions is in use: the posterior has collapsed, and noise is shown"]
        return [] if len(self.scale.used) else [f"every item has the same code in all {dims} dimensions"]


def describe(
    codes: Codes, spread: Codes | None, pictures: NDArray[np.uint8], table: pd.DataFrame, seed: int,
    stage: Callable[[str], object] = lambda name: None,
) -> Described:  # fmt: skip
    """codes, spread: (N, Z); pictures: (N, h, w); table: a row an item, with case, subject and the known columns.

    stage(name) is called before each of STAGES begins.
    """
    cases, patients = list(table["case"]), list(table["subject"])
    scale = Scale.of(codes, spread)
    scaled = scale(codes)
    planes = project(scaled, seed, stage)
    stage("clusters")
    clusters = grouped(scaled, seed)
    known = {name: list(table[name]) for name in KNOWN}
    compared = compare(clusters, pictures, len(scale.used), known, patients, seed)
    stage("copies")
    copies = near_copies(pictures, cases, patients)
    return Described(scale, planes, clusters.numbers, compared, copies, *nearest(scaled, cases))
