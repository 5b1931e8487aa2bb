"""A run and a cohort small enough for tests: 16 x 16 x 6 discs, an autoencoder that was never trained."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import torch

from medudl.config import Config, validate_config
from medudl.data.cohort import Cohort
from medudl.methods import build
from medudl.run import Run
from medudl.state import save_state

SHAPE = (16, 18, 6)
AFFINE = np.array([[-1.0, 0, 0, 8], [0, -1.0, 0, 9], [0, 0, 3.0, -5], [0, 0, 0, 1]])
DETECT = {"median": 3, "erode": 1, "min_voxels": 2, "top_percent": 5}


def write_scan(folder: Path, name: str, seed: int, lesion: bool) -> None:
    """A disc with noise; a lesion is a bright box, drawn into <name>_mask.nii.gz."""
    random = np.random.default_rng(seed)
    x, y, _ = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    disc = ((x - 7.5) ** 2 + (y - 8.5) ** 2) < 50
    voxels = disc * (100 + 10 * random.normal(size=SHAPE))
    mask = np.zeros(SHAPE, np.uint8)
    if lesion:
        mask[6:10, 7:11, 2:4] = 1
        nibabel.save(nibabel.Nifti1Image(mask, AFFINE), folder / f"{name}_mask.nii.gz")
    voxels = (voxels + 80 * mask).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), folder / f"{name}.nii.gz")


def make_cohort(
    folder: Path, *, train: int = 3, val: int = 5, healthy: int = 4, sick: int = 5, masks: bool = True
) -> Path:
    """cohort.csv over healthy scans of all splits and sick test scans."""
    folder.mkdir(parents=True)
    plan = [("train", "healthy")] * train + [("val", "healthy")] * val
    plan += [("test", "healthy")] * healthy + [("test", "plaque")] * sick
    rows = []
    for number, (split, label) in enumerate(plan):
        name, lesion = f"s{number:02d}", label != "healthy"
        write_scan(folder, name, number, lesion)
        rows.append(
            {
                "subject": name, "series": f"series-{name}", "modality": "MR", "contrast": "FLAIR",
                "path": f"{name}.nii.gz", "format": "nifti", "shape": "16x18x6", "spacing": "1x1x3",
                "orientation": "LPS", "label": label, "split": split, "sha256": f"{number:064x}",
                "mask": f"{name}_mask.nii.gz" if lesion and masks else "",
            }
        )  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def tiny_config(**data: object) -> Config:
    """Settings of the tiny run; `data` changes its data section."""
    tree = {
        "method": {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2},
        "data": {"size": [16, 16], "foreground": "body", "healthy_labels": ["healthy"], **data},
        "detect": DETECT,
    }
    return validate_config(tree, "tiny")


def make_run(folder: Path, cohort: Path, config: Config | None = None, shape: tuple[int, ...] = (1, 16, 16)) -> Run:
    """A run folder with weights drawn from a seed."""
    config = config or tiny_config()
    run = Run.create(folder, config, Cohort.read(cohort))
    torch.manual_seed(0)
    options = {key: value for key, value in config.method.items() if key != "name"}
    method = build(str(config.method["name"]), shape, options)
    save_state(run.path / "weights.safetensors", {"weights": method.state_dict()})
    run.write_json("fitted.json", run_state(config))
    run.update({"shape": list(shape), "status": "finished"})
    return run


def run_state(config: Config) -> dict[str, object]:
    """What a pipeline that has learnt nothing writes."""
    from medudl.data.pipeline import Pipeline

    return dict(json.loads(json.dumps(Pipeline(config.data).state())))
