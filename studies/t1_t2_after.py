"""Study `t1_t2_after`: why is the kernel distance of pix2pix worse than that of L1 alone, and what mends it?

Fixed after the table of `t1_t2` was known: pix2pix beats all regressions in PSNR and SSIM, but its KID is 170 where
that of the same generator without a discriminator is 108. Suspicion: with the slices of three patients the
discriminator learns the pairs by heart, and what it then asks of the generator is noise. Two ways that should help if
so, and a third that should not, all else as in `t1_t2`:
    DiffAugment    both discriminator inputs are changed alike (the package's defaults), so that there is more to learn
    a tenth        adversarial weight .1 in place of 1: less is asked
    patches of 34  the discriminator sees less at once, which is no remedy for a few patients' pairs
A fourth, fixed after the table of these three was known (a tenth of the weight costs nothing and brings nothing: KID
+3.8 (-5.9 to 12.2) to L1 only; DiffAugment takes 20 off plain pix2pix): both that helped at once.
    a tenth, DiffAugment
Measure and goals: those of `t1_t2`, against its pix2pix and its L1-only: KID
below L1-only at no less than -.3 dB of PSNR.
CPU size: 16 trainings, about 130 minutes on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): as there, 48 trainings.

    make study NAME=t1_t2
    make study NAME=t1_t2_after
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from studies import queue, t1_t2
from studies.translation_heads import size_name
from studies.translation_pairs import learnt_from, pairs, without
from studies.translation_runs import last, through, trained
from studies.where import real_data

WAYS: Mapping[str, tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]] = {
    "DiffAugment": ({}, [{"name": "diff_augment"}]),
    "a tenth": ({"adversarial": 0.1}, []),
    "patches of 34": ({"receptive_field": 34}, []),
    "a tenth, DiffAugment": ({"adversarial": 0.1}, [{"name": "diff_augment"}]),
}
BEFORE = ("pix2pix", "L1 only")  # of `t1_t2`


def jobs(size: str) -> list[dict[str, Any]]:
    """Way by way, so that a study that is stopped has whole ways."""
    return [
        {"size": size, "way": way, "left_out": left_out, "seed": seed}
        for way in WAYS
        for left_out in range(t1_t2.PATIENTS)
        for seed in range(t1_t2.SIZES[size].seeds)
    ]


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Learn from three patients; figures of the fourth."""
    torch.set_num_threads(1)
    size = t1_t2.SIZES[job["size"]]
    known, held = without(pairs(real_data(), size.side), int(job["left_out"]))
    changed, tricks = WAYS[job["way"]]
    method = {"name": "pix2pix", **size.network, **changed}
    model = last(
        trained(*learnt_from(known), [size.steps], int(job["seed"]), method, size.train, paired=True, tricks=tricks)
    )
    return {"figures": {job["way"]: t1_t2.judged(lambda image, inside: through(model, image), held)}}


def before(out: Path, size: str) -> list[dict[str, Any]]:
    """The results of `t1_t2`."""
    return queue.beside(out, "t1_t2", t1_t2.jobs(size))


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a way. results: of `t1_t2` too."""
    rows: dict[str, dict[int, list[dict[str, float]]]] = {}
    for result in results:
        for name, figures in result["figures"].items():
            if name in (*BEFORE, *WAYS):
                rows.setdefault(name, {}).setdefault(result["left_out"], []).append(figures)
    told: dict[str, dict[str, NDArray[np.float64]]] = {
        name: {f: np.array([np.mean([r[f] for r in of[p]]) for p in sorted(of)]) for f in ("psnr", "ssim", "kid")}
        for name, of in rows.items()
    }
    lines = [f"n = {len(rows[BEFORE[0]])} patients; intervals over patients"]
    for name, figures in told.items():
        shown = {f: t1_t2.over(values) for f, values in figures.items()}
        lines.append(
            f"{name:<20} PSNR {shown['psnr'].text(2)} dB; SSIM {shown['ssim'].text(3)}; KID {shown['kid'].text(1)}"
        )
    for name in [way for way in WAYS if way in told]:
        kid, loss = (t1_t2.over(told[name][f] - told["L1 only"][f]) for f in ("kid", "psnr"))
        met = "met" if kid.value < 0 and loss.value >= -t1_t2.WORSE else "missed"
        goal = f"goal below 0 at no less than -{t1_t2.WORSE} dB: {met}"
        lines.append(f"{name} - L1 only, KID: {kid.text(1)}; PSNR {loss.text(2)} dB; {goal}")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    known = before(out, size_name())
    print(table([*known, *queue.run(jobs(size_name()), work, out)]))


if __name__ == "__main__":
    main()
