"""Study `t1_t2`: is a T2 that pix2pix makes of a real T1 better than what simple regressions make?

Protocol, fixed before the first run.
Data: pgbm, 6 studies of 4 patients with registered T1 and T2 (glioblastoma, whole head), one patient left out in turn,
the other three to learn from. Axial slices, padded to a square (220 mm in all of them) and brought to 128 x 128; each
volume's percentiles .5 and 99.5 to 0 and 1. The head: `foreground.body` of T1. Training slices hold a tenth of it or
more, mirrored at random, both sides alike. Which T2 is right is scaled by its own percentiles, for all methods alike.
Methods: pix2pix, U-Net-128 as published but of width 32, chosen from step times alone, before any result (128 x 128,
batch 1, one core: width 32 .072 s a step, .044 without a discriminator; the published width 64 about .7 s), patches
of 70, least squares, L1 weight 100, Adam 2e-4 with betas .5 and .999, linear schedule, batch 1, generator averaged
(.999), no dropout, 4,000 steps, seed 0. L1-only: the same without the discriminator. Histogram matching, regression by
voxel and by neighbours: report/translation_baselines.py, fitted on the same three patients; they minimise the absolute
error. As PSNR asks for the squared one, both regressions also in that form (means): the goal is asked of all four.
Measure, on the patient left out: PSNR and SSIM (2-D windows) inside the head, on the range [0, 1], figures clipped to
it; KID of his slices to his true T2 slices, features of EfficientNet-Lite0 (`_Looker`), zero outside the head, slice by
slice. Each is the mean over patients, each the mean of his studies; interval by bootstrap over the 4 patients, who are
too few for a verdict: goals are asked of the mean, and the interval is printed beside it.
Goals: pix2pix above each regression in PSNR and in SSIM; below L1-only in KID, at no worse than .3 dB less PSNR.
CPU size: 8 trainings, about 35 minutes on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): 256 x 256, U-Net-256 of width 64,
20,000 steps, bf16, seeds 0, 1, 2: 24 trainings, time not measured.

    make study NAME=t1_t2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medudl.metrics.image import over_patients, psnr, ssim
from medudl.metrics.intervals import Estimate
from medudl.metrics.kernel import kernel_distance
from medudl.networks.feature_network import ImageNetFeatures
from studies import queue
from studies.translation_heads import Array, size_name
from studies.translation_pairs import Pair, baselines, kept, learnt_from, pairs, without
from studies.translation_runs import last, through, trained
from studies.where import real_data

PATIENTS = 4
LEARNED = ("pix2pix", "L1 only")
REGRESSIONS = ("regression by voxel", "regression by neighbours", "mean by voxel", "mean by neighbours")
WORSE = 0.3  # dB of PSNR that a better KID may cost
_TRAIN: Mapping[str, Any] = {
    "batch_size": 1, "device": "cpu", "optimiser": {"lr": 2e-4, "betas": [0.5, 0.999], "schedule": "linear"},
    "players": {"generator": {"ema": 0.999}},
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """side: of a slice; network: options of pix2pix; train: settings."""

    side: int
    steps: int
    seeds: int
    network: Mapping[str, Any]
    train: Mapping[str, Any]


SIZES: Mapping[str, Size] = {
    "cpu": Size(128, 4000, 1, {"width": 32, "depth": 7, "discriminator_width": 32}, _TRAIN),
    "gpu": Size(256, 20_000, 3, {"width": 64, "depth": 8}, {**_TRAIN, "device": "cuda", "precision": "bf16"}),
    "tiny": Size(
        32, 2, 1, {"width": 2, "depth": 2, "discriminator_width": 2, "receptive_field": 16},
        {**_TRAIN, "players": {}},
    ),
}  # fmt: skip


def jobs(size: str) -> list[dict[str, Any]]:
    """Patient by patient."""
    told: list[dict[str, Any]] = []
    for left_out in range(PATIENTS):
        told.append({"size": size, "left_out": left_out, "method": "baselines", "seed": 0})
        for seed in range(SIZES[size].seeds):
            told += [{"size": size, "left_out": left_out, "method": name, "seed": seed} for name in LEARNED]
    return told


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Learn from three patients; {method: figures of the fourth}."""
    torch.set_num_threads(1)
    size = SIZES[job["size"]]
    known, held = without(pairs(real_data(), size.side), int(job["left_out"]))
    if job["method"] == "baselines":
        return {"figures": {name: judged(make, held) for name, make in baselines(known).items()}}
    method = {"name": "pix2pix", **size.network, **({"adversarial": 0} if job["method"] == "L1 only" else {})}
    model = last(trained(*learnt_from(known), [size.steps], int(job["seed"]), method, size.train, paired=True))
    return {"figures": {job["method"]: judged(lambda image, inside: through(model, image), held)}}


def judged(make: Any, held: Sequence[Pair]) -> dict[str, Any]:
    """psnr, ssim: means over his studies; kid: of all his slices; with their number."""
    made = [make(pair.source, pair.inside).clip(0, 1) for pair in held]
    both = list(zip(made, held, strict=True))
    look = _Looker(held[0].inside.shape[-1])
    shown, true = (
        np.concatenate([look((volume[0] * pair.inside)[kept(pair)]) for volume, pair in part])
        for part in (both, [(pair.target, pair) for pair in held])
    )
    return {
        "psnr": float(np.mean([psnr(p.target[0], m[0], p.inside, 0.0, 1.0) for m, p in both])),
        "ssim": float(np.mean([ssim(p.target[0], m[0], p.inside, 0.0, 1.0, axis=0) for m, p in both])),
        "kid": kernel_distance(shown, true, None, None, 0, 0).value,
        "slices": len(true),
    }


class _Looker:
    """EfficientNet-Lite0 (ImageNet) at the slices' own size: the mean of each of the 320 channels of its last stage."""

    def __init__(self, side: int) -> None:
        self.network = ImageNetFeatures((1, side, side), [7], side)

    @torch.no_grad()
    def __call__(self, images: Array) -> NDArray[np.float64]:
        """(N, H, W) -> (N, 320)."""
        parts = torch.split(torch.from_numpy(np.ascontiguousarray(images, np.float32))[:, None], 16)
        return np.concatenate([self.network(part)[0].flatten(2).mean(2).double().numpy() for part in parts])


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a method, then the goals; a seed's figures are averaged within a patient."""
    rows: dict[str, dict[int, list[dict[str, float]]]] = {}
    for result in results:
        for name, figures in result["figures"].items():
            rows.setdefault(name, {}).setdefault(result["left_out"], []).append(figures)
    by_patient = {
        name: {f: np.array([np.mean([r[f] for r in of[p]]) for p in sorted(of)]) for f in ("psnr", "ssim", "kid")}
        for name, of in rows.items()
    }
    lines = [f"n = {len(rows['pix2pix'])} patients; PSNR and SSIM inside the head on [0, 1]; intervals over patients"]
    for name, told in by_patient.items():
        each = ", ".join(f"{value:.1f}" for value in told["psnr"])
        lines.append(
            f"{name:<26} PSNR {over(told['psnr']).text(2)} dB (patients {each}); SSIM {over(told['ssim']).text(3)};"
            f" KID {over(told['kid']).text(4)}"
        )
    return "\n".join([*lines, *_goals(by_patient)])


def _goals(told: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> list[str]:
    made, lines = told["pix2pix"], []
    for name in REGRESSIONS:
        for figure, unit in (("psnr", " dB"), ("ssim", "")):
            apart = over(made[figure] - told[name][figure])
            met = "met" if apart.value > 0 else "missed"
            lines.append(f"pix2pix - {name}, {figure}: {apart.text(3)}{unit}, goal above 0: {met}")
    kid, loss = (over(made[figure] - told["L1 only"][figure]) for figure in ("kid", "psnr"))
    met = "met" if kid.value < 0 and loss.value >= -WORSE else "missed"
    goal = f"goal below 0 at no less than -{WORSE} dB: {met}"
    return [*lines, f"pix2pix - L1 only, KID: {kid.text(4)}; PSNR {loss.text(2)} dB; {goal}"]


def over(values: NDArray[np.float64]) -> Estimate:
    """Mean over patients, with its interval."""
    return over_patients(values, [str(i) for i in range(len(values))], seed=0)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
