"""Study `noise`: does a denoising autoencoder find lesions because its noise is coarse?

Protocol, fixed before the first run.
Data: (phantom) for each seed 30 healthy heads to train on and 6 to choose the weights, of T1, T2 and FLAIR with the
phantom's own brain mask, and 18 patients with a lesion, 6 of each kind, to test on; (planted) real chest films: NORMAL
of the train split of chest_xray_split.csv (a tenth of its patients chooses the weights), and of val every film
with a lesion planted into it: an ellipse of 6 to 14 % of the film's side, brighter or darker by .15 to .35, soft at its
edge.
Settings: one network (U-Net, width 32, patch 2, batch norm, residual), 300 steps of 16 slices of 96 x 96, Adam 2e-3,
averaged weights; noise coarse (sigma .2, grid 16), pixel (Gaussian, sigma .2) or none (Gaussian, sigma 1e-6); beside
them an autoencoder with a bottleneck of 128 numbers, which needs no noise. Filter and erosion as in the demo.
Measure: average precision over lesion voxels, pooled, interval by patient bootstrap; over the seeds the mean difference
between settings with its 95 % t interval. Seeds 0 to 4 draw phantoms and training.
Goal: coarse above pixel above none. CPU size = GPU size: 40 trainings of about a minute.

    make study NAME=noise
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from medudl import api
from medudl.data.cases import cases_of
from medudl.demo import LESIONS, phantoms
from medudl.run import Run
from medudl.tasks.detector import Detector
from medudl.tasks.maps import raw_map
from medudl.tasks.postprocess import filtered
from studies import queue
from studies.lesion_ap import lesion_ap
from studies.tables import seed_difference
from studies.where import real_data

SEEDS = range(5)
SIDE = 96
UNET = {"name": "denoising_autoencoder", "width": 32, "patch": 2, "norm": "batch", "residual": True}
SETTINGS: dict[str, dict[str, Any]] = {
    "coarse": {**UNET, "noise": "coarse", "sigma": 0.2, "grid": 16},
    "pixel": {**UNET, "noise": "gaussian", "sigma": 0.2},
    "none": {**UNET, "noise": "gaussian", "sigma": 1e-6},
    "bottleneck": {"name": "autoencoder", "latent": 128, "width": 32, "levels": 4},
}
PHANTOM: dict[str, Any] = {
    "channels": ["T1", "T2", "FLAIR"], "grid": "FLAIR", "foreground": "file",
    "foreground_file": "sub-{subject}/anat/sub-{subject}_desc-brain_mask.nii.gz", "outside": "zero",
    "crop_foreground": True, "intensity": {"kind": "percentile", "low": 0, "high": 90}, "healthy_labels": ["healthy"],
}  # fmt: skip
CHEST: dict[str, Any] = {"foreground": "none", "healthy_labels": ["NORMAL"], "intensity": {"low": 0, "high": 99}}
TRAIN: dict[str, Any] = {
    "steps": 300, "batch_size": 16, "precision": "bf16", "validate_every": 100, "sample_every": 1000,
    "optimiser": {"lr": 2e-3, "schedule": "cosine", "ema": 0.99},
}  # fmt: skip
DETECT = {"median": 5, "erode": 1}
SCANS = Path(tempfile.gettempdir()) / "medudl-study-noise"  # removed at the end: no film stays beside the results


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """One training and its AP."""
    scans = SCANS / (f"phantoms-{job['seed']}" if job["data"] == "phantom" else "chest")
    cohort = _phantoms(scans, job["seed"]) if job["data"] == "phantom" else _chest(scans)
    data = {**(PHANTOM if job["data"] == "phantom" else CHEST), "size": [SIDE, SIDE], "cache": str(scans / "cache")}
    config = {"method": SETTINGS[job["noise"]], "data": data, "train": {**TRAIN, "seed": job["seed"]}, "detect": DETECT}
    with tempfile.TemporaryDirectory() as temporary:
        run = _trained(config, cohort, Path(temporary) / "run")
        detector = Detector(run, "cpu")
        looked = _phantom_maps(detector) if job["data"] == "phantom" else _planted_maps(detector, job["seed"])
        return lesion_ap(looked)


def _trained(config: dict[str, Any], cohort: Path, out: Path) -> Run:
    from medudl.config import validate_config
    from medudl.data.cohort import Cohort
    from medudl.training.train import fit

    return fit(validate_config(config, "study noise"), Cohort.read(cohort), out, progress=False)


def _phantoms(scans: Path, seed: int) -> Path:
    cohort = scans / "cohort.csv"
    if not cohort.exists():
        shutil.rmtree(scans, ignore_errors=True)
        phantoms(scans, seed=1000 + seed, train=30, val=6, test=0, kind=6)
        api.index([scans], cohort, masks=[LESIONS], labels=scans / "labels.csv")
    return cohort


def _chest(scans: Path) -> Path:
    """The NORMAL films; a tenth of the training patients chooses the weights, those of val are tested on."""
    cohort = scans / "cohort.csv"
    if not cohort.exists():
        source = real_data()
        table = pd.read_csv(source / "chest_xray_split.csv")
        table = table[table["label"] == "NORMAL"].rename(columns={"split": "given"})
        table["split"] = np.where(table["given"] == "val", "test", "train")
        subjects = np.sort(table.loc[table["split"] == "train", "subject"].unique())
        chosen = np.random.default_rng(0).permutation(subjects)[: len(subjects) // 10]
        table.loc[table["subject"].isin(chosen), "split"] = "val"
        _write_small(source / "chest_xray_224", table, scans)
        api.index([scans], cohort, labels=scans / "labels.csv", contrasts=[".=XR"])
    return cohort


def _write_small(source: Path, table: pd.DataFrame, scans: Path) -> None:
    """The films at 96 x 96, beside labels.csv."""
    from PIL import Image

    scans.mkdir(parents=True, exist_ok=True)
    names = []
    for row in table.itertuples():
        names.append(f"{Path(str(row.path)).stem}.png")
        film = Image.open(source / str(row.path)).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
        film.save(scans / names[-1])
    table.assign(path=names)[["path", "subject", "label", "split"]].to_csv(scans / "labels.csv", index=False)


def _phantom_maps(detector: Detector) -> Iterator[tuple[str, Any, Any, Any]]:
    cohort = detector.run.cohort()
    for case in cases_of(cohort.select({}, "test"), detector.data)[0]:
        scan = detector.scored(cohort, case)
        if scan.prepared.mask is not None and scan.prepared.mask.any():
            yield case.subject, scan.smooth, scan.prepared.mask[0], scan.foreground


def _planted_maps(detector: Detector, seed: int) -> Iterator[tuple[str, Any, Any, Any]]:
    cohort = detector.run.cohort()
    for number, case in enumerate(cases_of(cohort.select({}, "test"), detector.data)[0]):
        prepared = detector.prepared(cohort, case)
        image, mask = planted(prepared.image, np.random.default_rng([seed, number]))
        heat = raw_map(detector.method, image, detector.data, expected=False).heat
        inside = np.ones(mask.shape, bool)
        yield case.subject, filtered(heat, inside, detector.settings, 2), mask, inside


def planted(image: NDArray[np.float32], random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One soft ellipse in a film: image (1, 1, H, W) -> image, mask (1, H, W)."""
    _, _, height, width = image.shape
    y, x = np.mgrid[:height, :width]
    centre = random.uniform(0.25, 0.75, 2) * (height, width)
    radii = random.uniform(0.03, 0.07, 2) * height
    turn = random.uniform(0, np.pi)
    a = (x - centre[1]) * np.cos(turn) + (y - centre[0]) * np.sin(turn)
    b = (y - centre[0]) * np.cos(turn) - (x - centre[1]) * np.sin(turn)
    mask = (a / radii[0]) ** 2 + (b / radii[1]) ** 2 <= 1
    strength = random.choice([-1, 1]) * random.uniform(0.15, 0.35)
    out = image + strength * ndimage.gaussian_filter(mask.astype(np.float32), 0.7)
    return out.astype(np.float32), mask[None]


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    real_data()  # before an hour of phantoms
    jobs = [{"data": d, "seed": s, "noise": n} for d in ("phantom", "planted") for s in SEEDS for n in SETTINGS]
    results = queue.run(jobs, work, out)
    shutil.rmtree(SCANS, ignore_errors=True)
    for data in ("phantom", "planted"):
        rows = [r for r in results if r["data"] == data]
        print(f"\n{data}: lesion AP (95 % by patient), n = {rows[0]['ap']['n']} patients a seed")
        for noise in SETTINGS:
            told = [r["ap"] for r in rows if r["noise"] == noise]
            print(f"{noise:<11}" + "  ".join(f"{a['value']:.3f} ({a['low']:.3f} to {a['high']:.3f})" for a in told))
        for one, other in (("coarse", "pixel"), ("pixel", "none"), ("coarse", "bottleneck")):
            pair = [[r["ap"]["value"] for r in rows if r["noise"] == n] for n in (one, other)]
            print(seed_difference(one, other, *pair))


if __name__ == "__main__":
    main()
