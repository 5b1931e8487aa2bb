"""Scans and what a translation made of them, small enough for tests: made files, no model."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from medudl.data.derived import NOTICE

SHAPE = (16, 18, 6)
AFFINE = np.array([[-1.0, 0, 0, 8], [0, -1.0, 0, 9], [0, 0, 3.0, -5], [0, 0, 0, 1]])
WRONG = 120.0  # HU by which the synthetic CT of s00 is too high
WARNINGS = ("is MR, trained on CT", "has voxels of 1 x 1 x 3 mm, trained on 0.5 x 0.5 x 1 mm")
COLUMNS = (
    "subject", "study", "series", "contrast", "to", "unit", "uncertainty", "cycle_error", "cycle_unit", "warnings",
    "volume", "problem",
)  # fmt: skip


def disc() -> np.ndarray:
    """(X, Y, Z), 1 inside."""
    x, y, _ = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return (((x - 7.5) ** 2 + (y - 8.5) ** 2) < 50).astype(np.float32)


def mr(seed: int) -> np.ndarray:
    return disc() * (300 + 20 * np.random.default_rng(seed).normal(size=SHAPE)).astype(np.float32)


def ct() -> np.ndarray:
    return np.where(disc() > 0, 40.0, -1000.0).astype(np.float32)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.asarray(voxels, np.float32), affine), path)


def write_scans(folder: Path) -> Path:
    """cohort.csv: s00 and s01 with MR (T1), s00 with its CT too; s02 with MR alone."""
    rows = []
    for subject, modality, contrast in (
        ("s00", "MR", "T1"),
        ("s00", "CT", ""),
        ("s01", "MR", "T1"),
        ("s02", "MR", "T1"),
    ):
        name = f"{subject}_{contrast or modality}"
        save(folder / f"{name}.nii.gz", ct() if modality == "CT" else mr(int(subject[1:])))
        rows.append(
            {
                "subject": subject, "study": "2001", "series": f"series-{name}", "modality": modality,
                "contrast": contrast, "path": f"{name}.nii.gz", "format": "nifti", "shape": "16x18x6",
                "spacing": "1x1x3", "orientation": "LPS", "split": "test", "sha256": f"{len(rows):064x}",
            }
        )  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def write_translations(out: Path) -> Path:
    """CT from T1: s00 too high by WRONG in its right half; s01 with two warnings; s02 could not be translated."""
    rows = [_row("s00", 12.5, ()), _row("s01", 3.5, WARNINGS)]
    rows.append({**dict.fromkeys(COLUMNS, ""), "subject": "s02", "study": "2001", "series": "series-s02_T1",
                 "contrast": "T1", "problem": "truncated: copy it again"})  # fmt: skip
    for number, row in enumerate(rows[:2]):
        stem = row["volume"].removesuffix("_synthetic-CT.nii.gz")
        wrong = disc() * (np.arange(SHAPE[0]) < 8)[:, None, None]
        spread = 1 + 20 * wrong
        spread[:, :2] = 0  # the model did not look at the first two rows
        _volume(out, stem, "synthetic-CT", ct() + (WRONG * wrong if number == 0 else 0))
        _volume(out, stem, "uncertainty-CT", spread)
        _volume(out, stem, "cycle-back", mr(number) + 5 * disc())
        _volume(out, stem, "cycle-error", 5 * disc())
    with (out / "translations.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return out


def _row(subject: str, uncertainty: float, warnings: tuple[str, ...]) -> dict[str, object]:
    return {
        "subject": subject, "study": "2001", "series": f"series-{subject}_T1", "contrast": "T1", "to": "CT",
        "unit": "HU", "uncertainty": uncertainty, "cycle_error": 5.0, "cycle_unit": "arbitrary",
        "warnings": "; ".join(warnings), "volume": f"sub-{subject}_synthetic-CT.nii.gz", "problem": "",
    }  # fmt: skip


def _volume(out: Path, stem: str, kind: str, voxels: np.ndarray) -> None:
    save(out / f"{stem}_{kind}.nii.gz", voxels)
    told = {"Method": "cyclegan", "Notice": NOTICE, "Uncertainty": "standard deviation over 3 runs", "Warnings": []}
    (out / f"{stem}_{kind}.json").write_text(json.dumps(told))
