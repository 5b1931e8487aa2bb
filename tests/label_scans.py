"""A store of labels over small pictures of a blob that lies left (normal) or right (sick), for tests."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medudl.config import Config, validate_config
from medudl.data.cohort import Cohort, Series
from medudl.labels.store import LabelStore

SIDE = 16
CLASSES = ["normal", "sick"]


def blobs(folder: Path, count: int = 40, *, two_of: int = 0) -> Path:
    """cohort.csv of so many patients with one picture each; the first `two_of` have two. Odd ones are sick."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    rows = []
    for n in range(count):
        for k in range(2 if n < two_of else 1):
            a, b = random.uniform(-0.3, 0.3, 2)
            picture = 200 * np.exp(-6 * ((x - a - (0.4 if n % 2 else -0.4)) ** 2 + (y - b) ** 2))
            name = f"{n:02d}-{k}.png"
            Image.fromarray((picture + random.uniform(0, 20, picture.shape)).astype(np.uint8)).save(folder / name)
            rows.append(
                Series(f"p{n:02d}", study="s1", series=f"v{n:02d}{k}", modality="DX", path=name, format="png",
                       orientation="LPS", shape=(SIDE, SIDE, 1), spacing=(1, 1, 1), sha256=f"hash-{n}-{k}")
            )  # fmt: skip
    Cohort.of(folder, rows, {"version": 1}).write(folder / "cohort.csv")
    return folder / "cohort.csv"


def truth_of(subject: str) -> str:
    """What the picture of a patient shows."""
    return CLASSES[int(subject[1:]) % 2]


def read(store: LabelStore, cases: list[str], *, reader: str = "Ann", seconds: float = 6.0, **more: Any) -> None:
    """Label these cases by what they show."""
    subjects = {case.id: case.subject for case in store.cases()}
    for case in cases:
        store.save(id=uuid.uuid4().hex, reader=reader, kind="label", case=case, value=truth_of(subjects[case]),
                   seconds=seconds, **more)  # fmt: skip


def some(store: LabelStore, *, train: int = 10, test: int = 4) -> list[str]:
    """Ids of the first cases outside and inside the random test set."""
    cases = store.cases()
    return [c.id for c in cases if not c.test][:train] + [c.id for c in cases if c.test][:test]


def tiny(**train: Any) -> Config:
    """A semi-supervised GAN for a few steps."""
    settings = {"steps": 4, "batch_size": 4, "validate_every": 2, "checkpoint_every": 2, "sample_every": 50,
                "device": "cpu", **train}  # fmt: skip
    data = {"foreground": "none", "intensity": {"kind": "window", "low": 0, "high": 255}, "cache_workers": 1}
    method = {"name": "semi_supervised_gan", "latent": 4, "width": 4}
    return validate_config({"method": method, "data": data, "train": settings}, "tiny")
