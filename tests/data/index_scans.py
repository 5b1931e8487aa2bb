"""Small folders of scans for the index, and a guard that stays in this process, so that many tests stay quick."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medudl.errors import UserError


class InlineGuard:
    """`Guard` without processes; tests/data/test_guard.py is about the real one."""

    def __init__(self, **_: Any) -> None:
        pass

    def __enter__(self) -> InlineGuard:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        for item in items:
            try:
                yield function(item)
            except UserError as error:
                yield error


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medudl.data.index_passes.Guard", InlineGuard)


def nifti(path: Path, seed: int = 0, shape: tuple[int, ...] = (6, 5, 4), voxels: np.ndarray | None = None) -> Path:
    """A NIfTI of noise, 1 x 2 x 3 mm, LPS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 999, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(noise if voxels is None else voxels, np.diag([-1.0, -2.0, 3.0, 1.0])), path)
    return path


def picture(path: Path, seed: int = 0) -> Path:
    """An 8 x 6 grey picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 8), dtype=np.uint8)).save(path)
    return path


def npz(path: Path, **splits: int) -> Path:
    """A MedMNIST-style file of 4 x 4 images, so many a split, each with its own pixels and label 0 or 1."""
    random = np.random.default_rng(0)
    arrays = {
        f"{split}_images": random.integers(0, 255, (count, 4, 4), dtype=np.uint8) for split, count in splits.items()
    }
    arrays |= {f"{split}_labels": np.arange(count, dtype=np.uint8)[:, None] % 2 for split, count in splits.items()}
    np.savez_compressed(path, **arrays)
    return path
