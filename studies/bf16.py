"""Study `bf16`: does training a translator in bfloat16 cost quality?

Protocol, fixed before the first run.
Each training in fp32 and again in bf16 autocast (weights and optimiser stay float32), of the same seed: first weights
and order of images are equal, nothing else is changed.
cyclegan: data, network, optimiser and measures of study `phantom_ct_mr` at prevalence 0/0, 2,000 steps, seeds 0 to 3.
pix2pix: data, network, optimiser and measures of study `t1_t2`, each of the 4 patients left out in turn, 2,000 steps,
seeds 0 and 1 in fp32, seed 0 in bf16.
Noise is what a seed changes: for cyclegan the standard deviation over the seeds of fp32 of the mean over test heads;
for pix2pix the mean over patients of |seed 0 - seed 1| of fp32.
Asked of: cyclegan HU error and T1 error inside the head, Dice of bone; pix2pix PSNR and SSIM, and KID beside them.
Goal, of each figure: bf16 minus fp32, paired (by seed; by patient), is in the mean no worse than fp32 by more than the
noise. The 95 % interval of the difference (Student's t over seeds; over patients) stands beside it; with 4 of either it
is wide, and no proof of equality.
CPU size: 20 trainings, about 45 minutes on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): the networks and images of those
studies, 10,000 steps; time not measured.

    make study NAME=bf16
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from studies import queue, t1_t2
from studies.translation_heads import SIZES, size_name
from studies.translation_pairs import learnt_from, pairs, without
from studies.translation_runs import back_error, cyclegan, judged, last, model_maker, through, trained
from studies.where import real_data

STEPS = {"cpu": 2000, "gpu": 10_000, "tiny": 2}
SEEDS = {"cpu": 4, "gpu": 4, "tiny": 2}
PRECISIONS = ("fp32", "bf16")
# Figure: its name, and whether more of it is better.
FIGURES: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    "cyclegan": {
        "mae": ("HU error inside the head", False), "back": ("T1 error", False), "bone": ("Dice of bone", True),
    },
    "pix2pix": {"psnr": ("PSNR, dB", True), "ssim": ("SSIM", True), "kid": ("KID", False)},
}  # fmt: skip


def jobs(size: str) -> list[dict[str, Any]]:
    """Both precisions of a seed, or of a patient, one after the other."""
    told: list[dict[str, Any]] = [
        {"size": size, "method": "cyclegan", "seed": seed, "precision": precision}
        for seed in range(SEEDS[size])
        for precision in PRECISIONS
    ]
    for left_out in range(t1_t2.PATIENTS):
        for precision, seed in (("fp32", 0), ("bf16", 0), ("fp32", 1)):
            told.append({"size": size, "method": "pix2pix", "left_out": left_out, "seed": seed, "precision": precision})
    return told


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Train, and measure."""
    torch.set_num_threads(1)
    figures = _cyclegan(job) if job["method"] == "cyclegan" else _pix2pix(job)
    return {"figures": figures}


def _cyclegan(job: queue.Job) -> dict[str, float]:
    size = SIZES[job["size"]]
    size = replace(size, settings={**size.settings, "precision": job["precision"]})
    model = last(cyclegan(size, (0.0, 0.0), int(job["seed"]), [STEPS[job["size"]]], {}))
    found = {**judged(model_maker(model), size), "back": back_error(model, size)}
    return {name: float(np.mean(found[name])) for name in FIGURES["cyclegan"]}


def _pix2pix(job: queue.Job) -> dict[str, float]:
    size = t1_t2.SIZES[job["size"]]
    known, held = without(pairs(real_data(), size.side), int(job["left_out"]))
    method = {"name": "pix2pix", **size.network}
    settings = {**size.train, "precision": job["precision"]}
    model = last(trained(*learnt_from(known), [STEPS[job["size"]]], int(job["seed"]), method, settings, paired=True))
    return dict(t1_t2.judged(lambda image, inside: through(model, image), held))


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a figure."""
    found = {
        (r["method"], r["precision"], r["seed"], r.get("left_out")): r["figures"] for r in results
    }  # fmt: skip
    lines = []
    for method, figures in FIGURES.items():
        for key, (name, more_is_better) in figures.items():
            plain, short, noise = _compared(found, method, key)
            lines.append(_line(f"{method}, {name}", plain, short, noise, more_is_better))
    return "\n".join(lines)


def _compared(found: Mapping[Any, Mapping[str, float]], method: str, key: str) -> tuple[Any, Any, float]:
    """Figures in fp32 and in bf16, paired, and the noise."""

    def of(precision: str, keep: Any) -> NDArray[np.float64]:
        chosen = sorted(k for k in found if k[:2] == (method, precision) and keep(k))
        return np.array([found[k][key] for k in chosen])

    if method == "cyclegan":
        plain, short = (of(precision, lambda k: True) for precision in PRECISIONS)
        return plain, short, float(plain.std(ddof=1))
    plain, short, other = of("fp32", lambda k: k[2] == 0), of("bf16", lambda k: True), of("fp32", lambda k: k[2] == 1)
    return plain, short, float(np.abs(plain - other).mean())


def _line(name: str, plain: NDArray[np.float64], short: NDArray[np.float64], noise: float, more_is_better: bool) -> str:
    apart = short - plain
    half = float(stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart)))
    mean = float(apart.mean())
    met = "met" if (-mean if more_is_better else mean) <= noise else "missed"
    return (
        f"{name}: fp32 {plain.mean():.4g}, bf16 {short.mean():.4g}, difference {mean:+.3g}"
        f" ({mean - half:.3g} to {mean + half:.3g}), n = {len(apart)}; noise {noise:.3g}; no worse by more: {met}"
    )


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
