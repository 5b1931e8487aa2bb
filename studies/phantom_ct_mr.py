"""Study `phantom_ct_mr`: unpaired T1 -> CT where the truth is known, and what becomes of lesions.

Protocol, fixed before the first run.
Data: phantom heads (medudl/data/phantom.py), axial slices, 64 x 64 of 3.4 mm, 28 of 5 mm. 24 heads of which T1 alone is
shown, 24 others of which CT alone is; 6 for the choice of the baseline, 12 to test on; seeds of heads in
`translation_heads.heads`, the same for every training. T1: percentiles .5 and 99.5 of the volume to 0 and 1; CT: -1000
and 1500 HU. Slices that hold a tenth of head or more, mirrored at random.
Masses: ellipsoids as data/planted.py plants them, at one place in both modalities, +250 HU in CT and half of white
matter's signal more in T1 (fine calcium makes both); no healthy tissue of the brain is bright on T1 and dense on CT, so
that a translator must have seen masses on both sides to make one of the other. A sick training head has 3 (9 to 15 mm).
Prevalence is the share of training heads that are sick: 0, .5 and 1 of the source (T1) against 0 and .5 of the target
(CT). 0/0: a mass is a stranger. .5/.5: both sides agree. .5/0 and 1/0: a discriminator that never saw a mass calls it
fake, and it may be removed. 0/.5: the discriminator misses masses, and they may be invented. 1/.5: in between.
Method: cyclegan, as configs/cyclegan.yaml has it but for its size: ResNet generators as published. Chosen from step
times alone, before any result (one core, 64 x 64: width 16, 6 blocks .066 s a step of batch 1, .178 of batch 4; the
paper's width 64 takes 5.8 s at 128 x 128): width 16, 6 blocks, batch 1 as published, discriminator of width 16 whose
patches see 34 voxels, half a slice, as 70 would see all of it. Adam 2e-4, betas .5 and .999, constant, so that both
looks are of one training; generator averaged (.999); 50 past images; identity 0, as is the package's default. Looks at
2,000 steps, and of 0/0 plain at 9,000 too, about 10 minutes: this is what the goal is asked of. Structure losses:
gradient, mind, mutual_information, weight 5 (half of the cycle's), at .5/0, the case in which masses are at risk; 2,000
steps. Seeds 0, 1, 2 draw weights and order.
Measure, on the 12 test heads: mean absolute error in HU inside the head (less than half air, holes filled), and inside
it further than 7 mm from its surface; Dice of bone (above 250 HU) and air (below -400) inside the head; a mass of 12 mm
planted: `survival.survival` against its true contrast, share and whether detected; `survival.invented` without a mass;
a haemorrhage of the phantom's own physics, filled by `planted.remove`: what its contrast became in HU, beside the true
one. T1 of CT: mean absolute error in nominal units. Intervals: bootstrap over heads, of each head's mean over seeds.
Baselines: histogram matching and the same of reversed ranks, inside the TRUE head (which favours them), and the median
of the training CTs voxel by voxel; the best one is that of least error inside the head on the 6 heads of val.
Goals: CPU: below the best baseline inside the head, 9,000 steps, paired interval excludes 0. GPU: half of it. Each
structure loss: a larger share of the mass kept than plain at .5/0, interval excludes 0; a share above 1, a mass that is
exaggerated, counts as 1 here.
CPU size: 27 trainings, about 95 minutes on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): 128 x 128 of 1.7 mm, 100 + 100
heads, 24 to test on, width 64, patches of 70, batches of 4, bf16, 10,000 and 40,000 steps, and structure losses at all
prevalences: 72 trainings, time not measured.

    make study NAME=phantom_ct_mr
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medudl.metrics.image import mean_absolute_error
from studies import queue
from studies.translation_heads import SIZES, heads, size_name
from studies.translation_runs import back_error, baselines, cyclegan, judged, minus, model_maker, over_heads

PREVALENCES = ((0.0, 0.0), (0.5, 0.5), (0.5, 0.0), (0.0, 0.5), (1.0, 0.0), (1.0, 0.5))  # of T1, of CT
STRUCTURES = ("gradient", "mind", "mutual_information")
WEIGHT = 5.0  # of a structure loss
AT_RISK = (0.5, 0.0)
PRINTED = {
    "mae": "HU error", "mae_deep": "deep", "bone": "Dice bone", "air": "air", "share": "mass kept",
    "detected": "detected", "invented": "invented a head", "blood": "haemorrhage, HU", "back": "T1 error",
}  # fmt: skip


def jobs(size: str) -> list[dict[str, Any]]:
    """Baselines, then seed by seed, so that a study that is stopped has whole rows."""
    cases = [(pair, "none") for pair in PREVALENCES]
    cases += [(pair, name) for pair in (PREVALENCES if size == "gpu" else [AT_RISK]) for name in STRUCTURES]
    trainings = [
        {"size": size, "part": "train", "t1": pair[0], "ct": pair[1], "structure": structure, "seed": seed}
        for seed in range(SIZES[size].seeds)
        for pair, structure in cases
    ]
    return [{"size": size, "part": "baselines"}, *trainings]


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Train, and measure at each look."""
    torch.set_num_threads(1)
    size = SIZES[job["size"]]
    if job["part"] == "baselines":
        return _baselines(str(job["size"]))
    structure = str(job["structure"])
    plain = job["t1"] == job["ct"] == 0 and structure == "none"
    changed = {} if structure == "none" else {"structure": structure, "structure_weight": WEIGHT}
    looks = size.looks if plain else size.looks[:1]
    found = {}
    for step, model in cyclegan(size, (job["t1"], job["ct"]), int(job["seed"]), looks, changed):
        found[str(step)] = {**judged(model_maker(model), size), "back": back_error(model, size)}
    return {"looks": found}


def _baselines(name: str) -> dict[str, Any]:
    group = heads(SIZES[name])
    told: dict[str, Any] = {}
    for label, make in baselines(group).items():
        chosen = np.mean([mean_absolute_error(head.ct, make(head), head.inside) for head in group.val])
        told[label] = {**judged(make, SIZES[name]), "val": float(chosen)}
    return {"baselines": told}


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a baseline and a case, then the goals."""
    told = results[0]["baselines"]
    best = min(told, key=lambda name: told[name]["val"])
    truth = over_heads([told[best]["blood_true"]])
    lines = [
        f"n = {len(told[best]['mae'])} test heads; intervals over heads; haemorrhages in truth {truth.text(1)} HU",
        *(line(name, [figures]) for name, figures in told.items()),
    ]
    runs: dict[tuple[float, float, str, int], list[dict[str, Any]]] = {}
    for result in results[1:]:
        for step, figures in result["looks"].items():
            runs.setdefault((result["t1"], result["ct"], result["structure"], int(step)), []).append(figures)
    lines += [
        line(f"T1 {t1:g} / CT {ct:g}, {structure}, {step} steps, {len(rows)} seeds", rows)
        for (t1, ct, structure, step), rows in runs.items()
    ]
    return "\n".join([*lines, *_goals(results[0]["size"], told[best], best, runs)])


def line(name: str, rows: Sequence[dict[str, Any]], printed: Mapping[str, str] = PRINTED) -> str:
    """Figures of several seeds, each with its interval over heads."""
    shown = []
    for key, what in printed.items():
        if key in rows[0]:
            digits = 0 if key.startswith("mae") else 3 if key in ("back", "cycle") else 1 if key == "blood" else 2
            shown.append(f"{what} {over_heads([row[key] for row in rows]).text(digits)}")
    return f"{name}: " + "; ".join(shown)


def _goals(size: str, baseline: dict[str, Any], best: str, runs: dict[Any, list[dict[str, Any]]]) -> list[str]:
    first, last = SIZES[size].looks
    lines = []
    if main := runs.get((0.0, 0.0, "none", last)):
        made, wanted = [row["mae"] for row in main], np.array(baseline["mae"]) * (0.5 if size == "gpu" else 1)
        apart = minus(made, [wanted.tolist()])
        seeds = ", ".join(f"{np.mean(row):.0f}" for row in made)
        goal = f"{'half of ' if size == 'gpu' else ''}{best} ({np.mean(wanted):.0f} HU, the best on val)"
        met = "met" if apart.high < 0 else "missed"
        lines.append(f"0/0 at {last} steps (seeds {seeds}) minus {goal}: {apart.text(1)} HU, goal below 0: {met}")
    plain = runs.get((*AT_RISK, "none", first), [])
    for name in STRUCTURES if plain else ():
        if rows := runs.get((*AT_RISK, name, first)):
            lines.append(share_kept(name, rows, plain[: len(rows)]))
    return lines


def share_kept(name: str, rows: Sequence[dict[str, Any]], plain: Sequence[dict[str, Any]]) -> str:
    """The goal of a structure loss. rows, plain: figures of each seed."""
    apart = minus(*([np.minimum(row["share"], 1).tolist() for row in part] for part in (rows, plain)))
    met = "met" if apart.low > 0 else "missed"
    return f"{name} minus plain at .5/0, share of the mass kept: {apart.text(2)}, goal above 0: {met}"


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
