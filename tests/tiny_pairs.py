"""Studies of two contrasts small enough for tests: a texture in a disc, and the same inverted."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from medudl.data.cohort import Cohort

AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])


def head(seed: int) -> NDArray[np.float32]:
    """(D, H, W): a smooth random texture inside a disc."""
    random = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(random.normal(size=(6, 64, 64)), (0.5, 3, 3))
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    return np.asarray((texture / texture.std() + 4) * (x**2 + y**2 < 0.8), np.float32)


def pair_cohort(
    folder: Path, subjects: int = 6, val: int = 2, test: int = 0, shifts: dict[int, int] | None = None
) -> Cohort:
    """Studies of T1 and T2 in the splits train, val, test. shifts: {subject: voxels that its T2 is moved by}."""
    folder.mkdir(exist_ok=True)
    rows: list[dict[str, str]] = []
    splits = ["train"] * (subjects - val - test) + ["val"] * val + ["test"] * test
    for number, split in enumerate(splits):
        source = head(number)
        for contrast in ("T1", "T2"):
            voxels = source if contrast == "T1" else np.where(source > 0, 9 - source, 0)
            if contrast == "T2":
                voxels = ndimage.shift(voxels, (0, 0, (shifts or {}).get(number, 0)), order=1)
            name = f"s{number}_{contrast}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(voxels.T.astype(np.float32), AFFINE), folder / name)
            rows.append({"subject": f"s{number}", "study": "1", "series": name, "modality": "MR", "contrast": contrast,
                         "path": name, "format": "nifti", "shape": "64x64x6", "spacing": "1x1x3", "orientation": "LPS",
                         "split": split, "sha256": f"{len(rows):064x}"})  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return Cohort.read(folder / "cohort.csv")
