"""Twelve small pictures of a blob, as PNG, in a cohort with splits; and a config that trains on them in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medudl.config import Config, validate_config
from medudl.data.cohort import Cohort, Series

SIDE = 16


def write_cohort(folder: Path, splits: str = "tttttttvvve-") -> Cohort:
    """One picture a subject; letters of `splits`: train, val, tEst, none."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    rows = []
    for n, letter in enumerate(splits):
        a, b = random.uniform(-0.4, 0.4, 2)
        picture = 255 * np.exp(-3 * ((x - a) ** 2 + (y - b) ** 2))
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{n:02d}.png")
        rows.append(
            Series(f"p{n:02d}", series=f"s{n:02d}", modality="DX", path=f"{n:02d}.png", format="png", orientation="LPS",
                   shape=(SIDE, SIDE, 1), spacing=(1, 1, 1), sha256=f"hash-{n}", label="NORMAL",
                   split={"t": "train", "v": "val", "e": "test", "-": ""}[letter])
        )  # fmt: skip
    cohort = Cohort.of(folder, rows, {"version": 1})
    cohort.write(folder / "cohort.csv")
    return Cohort.read(folder / "cohort.csv")


def config(train: dict[str, Any] | None = None, **sections: Any) -> Config:
    """A denoising autoencoder for 12 steps; `train` and other sections override."""
    settings = {
        "steps": 12, "batch_size": 2, "validate_every": 5, "checkpoint_every": 3, "sample_every": 6, "device": "cpu",
        "optimiser": {"lr": 1e-2, "schedule": "cosine", "ema": 0.9}, **(train or {}),
    }  # fmt: skip
    tree = {
        "method": {"name": "denoising_autoencoder", "width": 4, "levels": 1, "grid": 4},
        "data": {"foreground": "none", "intensity": {"kind": "window", "low": 0, "high": 255}, "cache_workers": 1},
        "train": settings,
    }
    return validate_config({**tree, **sections}, "tiny")
