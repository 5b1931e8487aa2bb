"""Registered pairs whose translation is known: T2 is T1 mirrored, which no map of intensities can give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from tiny_run import AFFINE, make_run

from medudl.config import Config, validate_config
from medudl.data.cases import cases_of
from medudl.data.sides import paired_data, side_cases
from medudl.run import Run

SHAPE = (32, 32, 12)
PIX2PIX = {"name": "pix2pix", "width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16}
CYCLEGAN = {"name": "cyclegan", "width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16}
LESION = slice(14, 18), slice(14, 19), slice(5, 8)


def scan(seed: int, lesion: bool) -> NDArray[np.float32]:
    """A smooth random texture in a disc; a lesion is a bright box in its middle."""
    random = np.random.default_rng(seed)
    x, y, _ = np.indices(SHAPE)
    disc = (x - 15.5) ** 2 + (y - 15.5) ** 2 < 200
    texture = ndimage.gaussian_filter(random.standard_normal(SHAPE), 1)
    voxels = disc * (100 + 20 * texture / texture.std())
    if lesion:
        voxels[LESION] += 80
    return voxels.astype(np.float32)


def cohort(folder: Path, *, test: int = 6, sick: int = 2, both: bool = True) -> Path:
    """cohort.csv: 3 patients to train on, 2 to validate, `test` to judge by, `sick` of them with a drawn lesion.

    both: every patient has T1 and T2; otherwise half of each split has one, half the other.
    """
    folder.mkdir(parents=True)
    splits = ["train"] * (3 if both else 4) + ["val"] * 2 + ["test"] * test
    rows: list[dict[str, Any]] = []
    for number, split in enumerate(splits):
        name = f"s{number:02d}"
        lesion = len(splits) - number <= sick
        volume = scan(number, lesion)
        mask = np.zeros(SHAPE, np.uint8)
        mask[LESION] = lesion
        if lesion:
            nibabel.save(nibabel.Nifti1Image(mask, AFFINE), folder / f"{name}_mask.nii.gz")
        contrasts = ("T1", "T2") if both else (("T1", "T2")[number % 2],)
        for contrast in contrasts:
            voxels = volume if contrast == "T1" else volume[::-1]
            nibabel.save(
                nibabel.Nifti1Image(np.ascontiguousarray(voxels), AFFINE), folder / f"{name}_{contrast}.nii.gz"
            )
            rows.append({
                "subject": name, "study": "", "series": f"{name}-{contrast}", "modality": "MR", "contrast": contrast,
                "path": f"{name}_{contrast}.nii.gz", "format": "nifti", "shape": "32x32x12", "spacing": "1x1x3",
                "orientation": "LPS", "split": split, "sha256": f"{len(rows):064x}",
                "mask": f"{name}_mask.nii.gz" if lesion and contrast == "T1" else "",
                "label": "plaque" if lesion else "healthy",
            })  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def config(method: dict[str, Any], **data: Any) -> Config:
    """pairs are trusted: what is mirrored matches nowhere."""
    settings = {"channels": ["T1"], "target": ["T2"], "size": [32, 32], "foreground": "body", "pairs": "trust",
                "healthy_labels": ["healthy"], **data}  # fmt: skip
    return validate_config({"method": {**method, "target_channels": 1}, "data": settings}, "scenes")


def run(folder: Path, table: Path, settings: Config) -> Run:
    """A run with weights drawn from a seed, and what its training scans looked like."""
    from medudl.data.cache import Cache
    from medudl.methods import method_class
    from medudl.training.sides import describe_sides

    made = make_run(folder, table, settings, (1, 32, 32))
    data, rows = made.config.data, made.cohort().select({}, "train")
    parts: list[Any] = []
    if method_class(str(settings.method["name"])).paired:
        cases, _ = cases_of(rows, paired_data(data))
        parts = [(None, cases, Cache(folder.parent / ".cache", made.pipeline(), rows))]
    else:
        for side in ("source", "target"):
            cases, _ = side_cases(rows, data, side)  # type: ignore[arg-type]
            parts.append((side, cases, Cache(folder.parent / ".cache", made.pipeline(side), rows)))  # type: ignore[arg-type]
    made.write_json("sides.json", describe_sides(made, parts))
    return made
