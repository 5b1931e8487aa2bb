"""Small heads as NIfTI files and the cohort that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from medudl.data.cohort import Cohort, Series
from medudl.data.geometry import orientation, spacing

UPRIGHT = np.diag([-2.0, -2.0, 4.0, 1.0])
OBLIQUE = np.array([[-1.93, 0.1, 0.9, 30], [0.2, -1.9, 1.3, 40], [0.46, 0.6, 3.7, -20], [0, 0, 0, 1]])


def orthogonal(affine: np.ndarray) -> np.ndarray:
    """The affine with the same voxel sizes whose axes are at right angles."""
    size = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / size)
    out = affine.copy()
    out[:3, :3] = (left @ right) * size
    return out


def head(shape=(20, 24, 10), seed=0, scale=100.0) -> np.ndarray:
    """An ellipsoid of noisy tissue in air, (X, Y, Z) float32."""
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum((g / r) ** 2 for g, r in zip(grid, (0.7, 0.8, 0.95), strict=True)) < 1
    noise = np.random.default_rng(seed).normal(size=shape)
    return np.where(inside, scale * (3 + grid[0] + 0.5 * grid[1]) + 5 * noise, 2 * np.abs(noise)).astype(np.float32)


def write(path: Path, voxels: np.ndarray, affine: np.ndarray = UPRIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def row(root: Path, path: Path, voxels: np.ndarray, affine: np.ndarray = UPRIGHT, **facts: str) -> Series:
    name = path.relative_to(root).as_posix()
    known = {"subject": "a", "study": "1", "modality": "MR", "contrast": "T1", "split": "train", **facts}
    return Series(series=name, path=name, format="nifti", shape=voxels.shape, spacing=spacing(affine),
                  orientation=orientation(affine), **known)  # fmt: skip


def cohort_of(root: Path, scans: Mapping[tuple[str, str], np.ndarray], affine: np.ndarray = UPRIGHT,
              facts: Mapping[str, Mapping[str, str]] | None = None) -> Cohort:  # fmt: skip
    """{(subject, contrast): voxels} as a cohort below `root`; facts: {subject: columns}."""
    rows = []
    for (subject, contrast), voxels in scans.items():
        path = write(root / subject / f"{contrast}.nii", voxels, affine)
        more = dict((facts or {}).get(subject, {}))
        rows.append(row(root, path, voxels, affine, subject=subject, contrast=contrast, **more))
    return Cohort.of(root, rows)
