"""Study `pca_ae`: does a nonlinear autoencoder redraw slices it has not seen better than as many principal components?

Protocol, fixed before the first run.
Data: axial slices at 64 x 64. pgbm (T1, T2, FLAIR; each volume scaled by its .5 and 99.5 percentiles) and the MR half
of ct2mri (already 8 bits). Held out: one pgbm patient, another in each seed, and the second half of the ct2mri files
in the order of their numbers (they have no patient ids, so neighbours in number stay on one side).
Methods at code sizes 8, 16, 32, 64: autoencoder, network convolutional, width 16, levels 4, squared error, 1500 steps
of 32 slices, Adam 1e-3 with a cosine, training slices mirrored and shifted by up to 3 pixels; against PCA of the
training slices, and PCA of the training slices with 7 such mirrored and shifted copies of each: the better of the two
on the held-out slices counts, which favours PCA. For the autoencoder nothing is chosen by them: its last step counts.
Seeds 0, 1, 2: weights, batches, shifts, patient held out. Measure: relative error, sum (x^ - x)^2 / sum (x - mean)^2
over the held-out slices, mean = the training slices' mean image; also of either source alone.
Goal: the autoencoder's error is below that of PCA at each code size, in every seed.
CPU size = GPU size: 12 runs of a minute and a half on one core.

    make study NAME=pca_ae
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional as F

from medudl.methods import build
from studies import queue
from studies.where import real_data

SIDE, STEPS, BATCH, SHIFT, COPIES = 64, 1500, 32, 3, 7
CODES, SEEDS = (8, 16, 32, 64), (0, 1, 2)
Array = NDArray[np.float32]


def slices_of(path: Path) -> Array:
    """Axial slices of one volume, (N, 64, 64), its .5 and 99.5 percentiles at 0 and 1; nearly empty ones left out."""
    volume = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj, np.float32)
    low, high = np.percentile(volume, [0.5, 99.5])
    volume = np.clip((volume - low) / (high - low), 0, 1).astype(np.float32)
    found = _small(torch.from_numpy(volume.transpose(2, 1, 0)[:, ::-1].copy()))
    kept: Array = found[(found > 0.1).mean((1, 2)) > 0.05]
    return kept


def _small(slices: Tensor) -> Array:
    """The middle square of (N, H, W), by area: (N, 64, 64)."""
    height, width = slices.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = slices[:, None, top : top + side, left : left + side]
    small: Array = F.interpolate(square, size=(SIDE, SIDE), mode="area")[:, 0].numpy()
    return small


def load(folder: Path) -> tuple[dict[str, Array], Array]:
    """Slices of pgbm by patient, and those of ct2mri's MR in the order of their numbers."""
    patients = {
        patient.name: np.concatenate(
            [slices_of(path) for name in ("T1", "T2", "FLAIR") for path in sorted(patient.glob(f"*/{name}.nii.gz"))]
        )
        for patient in sorted((folder / "pgbm").iterdir())
        if patient.is_dir()
    }
    files = sorted(
        (folder / "ct2mri_256" / "mri").glob("*.png"), key=lambda p: int("".join(c for c in p.stem if c.isdigit()))
    )
    pictures = np.stack([np.asarray(Image.open(file).convert("L"), np.float32) / 255 for file in files])
    return patients, _small(torch.from_numpy(pictures))


def split(patients: dict[str, Array], mr: Array, seed: int) -> tuple[Array, dict[str, Array]]:
    """Training slices, and the held-out ones by source."""
    held = sorted(patients)[seed % len(patients)]
    half = len(mr) // 2
    train = np.concatenate([*(found for name, found in patients.items() if name != held), mr[:half]])
    return train, {"pgbm": patients[held], "ct2mri": mr[half:]}


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each of (B, 1, H, W) mirrored at random and shifted by up to SHIFT pixels, its border repeated."""
    padded = F.pad(images, [SHIFT] * 4, mode="replicate")
    shifts = torch.randint(2 * SHIFT + 1, (len(images), 2), generator=generator).tolist()
    mirror = (torch.rand(len(images), generator=generator) < 0.5).tolist()
    cut = [padded[i, :, y : y + SIDE, x : x + SIDE] for i, (y, x) in enumerate(shifts)]
    return torch.stack([one.flip(-1) if turn else one for one, turn in zip(cut, mirror, strict=True)])


def autoencoder(train: Array, code: int, seed: int, width: int = 16, steps: int = STEPS) -> torch.nn.Module:
    """Trained as the protocol says."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(train)[:, None]
    method = build("autoencoder", (1, SIDE, SIDE), {"latent": code, "width": width, "levels": 4})
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = images[torch.randint(len(images), (BATCH,), generator=generator)]
        for objective in method.step({"image": moved(chosen, generator)}):
            assert objective.loss is not None
            optimiser.zero_grad()
            objective.loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()
    return method.eval()


def relative(redrawn: Array, held: Array, mean: Array) -> float:
    """Sum of squared errors over that of the mean image."""
    return float(np.square(redrawn - held).sum(dtype=np.float64) / np.square(held - mean).sum(dtype=np.float64))


def by_source(redraw: Any, held: dict[str, Array], mean: Array) -> dict[str, float]:
    """Relative error of all held-out slices, and of either source."""
    everything = {"all": np.concatenate(list(held.values())), **held}
    return {name: relative(redraw(images), images, mean) for name, images in everything.items()}


def redrawer(method: Any) -> Callable[[Array], Array]:
    """Slices (N, H, W) as the method redraws them."""

    def redraw(images: Array) -> Array:
        with torch.no_grad():
            drawn: Array = method.reconstruct(torch.from_numpy(images)[:, None])[:, 0].numpy()
            return drawn

    return redraw


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """One code size and seed: the autoencoder and both PCAs on the same slices."""
    torch.set_num_threads(1)
    train, held = split(*load(real_data()), job["seed"])
    mean, code = train.mean(axis=0), job["code"]
    generator = torch.Generator().manual_seed(job["seed"])
    copies = [moved(torch.from_numpy(train)[:, None], generator)[:, 0].numpy() for _ in range(COPIES)]
    errors = {}
    for name, images in (("pca", train), ("pca_moved", np.concatenate([train, *copies]))):
        fitted = PCA(code, svd_solver="randomized", random_state=job["seed"]).fit(images.reshape(len(images), -1))
        errors[name] = by_source(
            lambda x, pca=fitted: pca.inverse_transform(pca.transform(x.reshape(len(x), -1))).reshape(x.shape),
            held,
            mean,
        )
    redraw = redrawer(autoencoder(train, code, job["seed"]))
    errors["autoencoder"] = by_source(redraw, held, mean)
    errors["autoencoder_on_training_slices"] = {"all": relative(redraw(train), train, mean)}
    return {"errors": errors, "training_slices": len(train), "held_out": {k: len(v) for k, v in held.items()}}


def table(results: Iterable[dict[str, Any]]) -> str:
    """Relative error by code size: mean over seeds (lowest to highest), and in how many seeds the goal is met."""
    lines = ["| code | autoencoder | PCA (better of two) | seeds with a lower error |", "|---|---|---|---|"]
    results = list(results)
    for code in CODES:
        own = [r["errors"] for r in results if r["code"] == code]
        nets = [e["autoencoder"]["all"] for e in own]
        best = [min(e["pca"]["all"], e["pca_moved"]["all"]) for e in own]
        wins = sum(a < b for a, b in zip(nets, best, strict=True))
        lines.append(f"| {code} | {_spread(nets)} | {_spread(best)} | {wins} of {len(own)} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    real_data()
    print(table(queue.run([{"code": code, "seed": seed} for seed in SEEDS for code in CODES], work, out)))


if __name__ == "__main__":
    main()
