"""Study `label_curve`: does pretraining without labels help a classifier that has few?

Protocol, fixed before the first run. The product's own `medudl evaluate --label-curve`: the same classifier (head on
the code, all of the encoder fine-tuned) from scratch and from each pretraining, on 5, 10, 20, 50 and 100 % of the
labelled patients, the smaller shares within the larger ones, seeds 0 to 4; the share is taken of train and val, which
chooses the weights. Beside them logistic regression on 28 x 28 pixels. Pretrainings, seed 0, on all train scans of both
classes without their labels: autoencoder, denoising_autoencoder (bottleneck, Gaussian noise), stacked_autoencoder
(masking, greedy then end to end), deep_belief_network, variational_autoencoder. Measure: balanced accuracy on the test
split; 95 % intervals over test patients and seeds together, paired for differences.

pneumoniamnist: 28 x 28, normal / pneumonia; the official val is the test split, less its copies of train; of train,
15 % (by number, seed 0) is val. There are no patients in it: images stand for them.
phantoms: 3-D, 40 x 48 x 40 voxels, FLAIR, brain alone; 45 healthy and 45 with a lesion (15 of each kind); labels
healthy / lesion; 50/15/35 by patient.
Settings of either: `SETTINGS` below, chosen for minutes on a CPU and not tuned on any of these results.
Goal: none is set; 'no gain' is printed where the interval includes 0.
CPU size: about 30 minutes on one core. GPU size (--gpu): ten times as many steps.

    make study NAME=label_curve
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medudl import api
from medudl.config import validate_config
from medudl.run import Run
from studies import queue
from studies.where import real_data

STEPS = {"pneumoniamnist": (600, 200), "phantoms": (200, 60)}  # of a pretraining, of a classifier
LONGER_ON_GPU = 10
_IMAGE = {"latent": 32, "width": 16, "levels": 2}
_VOLUME = {"latent": 32, "width": 4, "levels": 3}
_NOISE = {"network": "bottleneck", "noise": "gaussian", "sigma": 0.2}
SETTINGS: dict[str, dict[str, Any]] = {
    "pneumoniamnist": {
        "batch": (64, 32),
        "data": {"foreground": "none", "intensity": {"kind": "window", "low": 0, "high": 255}},
        "methods": {
            "autoencoder": _IMAGE,
            "denoising_autoencoder": {**_IMAGE, **_NOISE},
            "stacked_autoencoder": {"channels": [16, 32], "sizes": [32], "corruption": "masking"},
            "deep_belief_network": {"hidden": [200, 64]},
            "variational_autoencoder": _IMAGE,
        },
    },
    "phantoms": {
        "batch": (8, 8),
        "data": {
            "where": {"contrast": "FLAIR"}, "view": "volume", "size": [40, 48, 40], "foreground": "file",
            "foreground_file": "sub-{subject}/anat/sub-{subject}_desc-brain_mask.nii.gz", "outside": "zero",
            "intensity": {"kind": "percentile", "low": 0, "high": 90},
        },
        "methods": {
            "autoencoder": _VOLUME,
            "denoising_autoencoder": {**_VOLUME, **_NOISE},
            "stacked_autoencoder": {"channels": [4, 8, 16], "sizes": [32], "corruption": "masking"},
            "deep_belief_network": {"hidden": [64, 32]},
            "variational_autoencoder": _VOLUME,
        },
    },
}  # fmt: skip


def pneumoniamnist(folder: Path) -> Path:
    """cohort.csv of the images, copies removed, with splits."""
    with np.load(real_data() / "pneumoniamnist_trainval.npz", allow_pickle=False) as stored:
        images = {split: stored[f"{split}_images"] for split in ("train", "val")}
        labels = {split: stored[f"{split}_labels"].ravel() for split in ("train", "val")}
    _, first = np.unique(images["train"].reshape(len(images["train"]), -1), axis=0, return_index=True)
    known = {images["train"][i].tobytes() for i in first}
    fresh = np.array([image.tobytes() not in known for image in images["val"]])
    order = np.random.default_rng(0).permutation(first)
    chosen = {"val": order[: round(0.15 * len(order))], "train": order[round(0.15 * len(order)) :]}
    arrays = {f"{s}_images": images["train"][at] for s, at in chosen.items()}
    arrays |= {f"{s}_labels": labels["train"][at] for s, at in chosen.items()}
    arrays |= {"test_images": images["val"][fresh], "test_labels": labels["val"][fresh]}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "images.npz", **arrays)
    api.index([folder / "images.npz"], folder / "cohort.csv")
    return folder / "cohort.csv"


def phantoms(folder: Path) -> Path:
    """cohort.csv of small phantoms."""
    from medudl.data.phantom import make_cohort

    table = make_cohort(
        folder / "scans", healthy=45, lesions_per_kind=15, seed=0, ct_dicom=False, grid=((40, 48, 40), (5.0, 4.6, 4.0))
    )
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["subject", "label"])
        writer.writeheader()
        for row in rows:
            writer.writerow({"subject": row["subject"], "label": _two(row["label"])})
    api.index([folder / "scans"], folder / "cohort.csv", labels=folder / "labels.csv", split="50/15/35")
    return folder / "cohort.csv"


def _two(label: str) -> str:
    return label if label == "healthy" else "lesion"


MAKERS: Mapping[str, Callable[[Path], Path]] = {"pneumoniamnist": pneumoniamnist, "phantoms": phantoms}


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """Cohort, pretrainings, label curve; each is kept, so that a stopped job goes on."""
    chosen, longer = SETTINGS[job["data"]], LONGER_ON_GPU if job["size"] == "gpu" else 1
    cohort = folder / "cohort.csv"
    if not cohort.is_file():
        MAKERS[job["data"]](folder)
    pretraining, fitting = (steps * longer for steps in STEPS[job["data"]])
    for name, options in chosen["methods"].items():
        _pretrain(name, options, chosen, cohort, folder / name, pretraining)
    overrides = [
        f"train.steps={fitting}", f"train.batch_size={chosen['batch'][1]}", "train.patience=null", "data.augment={}",
        f"train.validate_every={fitting // 4}", "train.optimiser={name: adamw, lr: 1.0e-3, schedule: cosine}",
        "method.dropout=0",
    ]  # fmt: skip
    first, *others = (folder / name for name in chosen["methods"])
    return {"report": api.label_curve(first, folder / "curve", against=others, cohort=cohort, overrides=overrides)}


def _pretrain(
    name: str, options: Mapping[str, Any], chosen: Mapping[str, Any], cohort: Path, out: Path, steps: int
) -> None:
    begun = (out / "run.json").is_file()
    if begun and Run.open(out).meta["status"] == "finished":
        return
    train = {
        "steps": steps, "batch_size": chosen["batch"][0], "validate_every": max(1, steps // 12),
        "checkpoint_every": max(1, steps // 2), "sample_every": steps,
        "optimiser": {"lr": 1e-3, "schedule": "cosine", "warmup": 20},
    }  # fmt: skip
    tree = {"method": {"name": name, **options}, "data": chosen["data"], "train": train}
    api.train(validate_config(tree, name), cohort, out, resume=begun)


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=tuple(SETTINGS), help="one of the two")
    parser.add_argument("--gpu", action="store_true", help="ten times as many steps")
    a = parser.parse_args()
    real_data()
    jobs = [{"data": data, "size": "gpu" if a.gpu else "cpu"} for data in SETTINGS if a.only in (None, data)]
    for result in queue.run(jobs, work, a.out):
        report = result["report"]
        print(f"{result['data']}: {report['test_patients']} test patients, {report['seeds']} seeds")
        print(f"{report['table']}\n{report['verdict']}\n", flush=True)


if __name__ == "__main__":
    main()
