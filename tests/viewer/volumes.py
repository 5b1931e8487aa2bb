"""Small scans on the disk."""

from pathlib import Path

import nibabel
import numpy as np

from apps.viewer.source import Source

MB = 1 << 20
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 0, 3, 20], [0, 1.5, 0, 30], [0, 0, 0, 1]])


def values(shape=(5, 4, 3), dtype=np.int16, low=-100, high=3000, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def scan(path: Path, voxels=None, **told) -> Source:
    """A NIfTI file, uncompressed, and what a page would offer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values() if voxels is None else voxels, AFFINE), path)
    return Source((path,), "nifti", **told)


def read(held) -> np.ndarray:
    return np.frombuffer(held.read(0, held.decoded.bytes), held.decoded.dtype).reshape(held.decoded.shape, order="F")
