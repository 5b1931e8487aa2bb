"""Study `ablation`: what does each part of CycleGAN do where the truth is known?

Protocol, fixed before the first run.
Data, network, optimiser, seeds and measures: as study `phantom_ct_mr` at prevalence 0/0 (no training head has a mass),
3,000 steps. One thing changed at a time from the package's default, which is L_GAN both ways, cycle 10 both ways and no
identity loss: no cycle; no GAN; the cycle T1 -> CT -> T1 alone; CT -> T1 -> CT alone; an identity loss of 5, as the
paper has it for photographs (so the default is the row without identity). Seeds 0, 1, 2.
Measure: those of `phantom_ct_mr`, and the cycle error |T1 -> CT -> T1 - T1| inside the head, nominal, which is no
measure of truth: it is printed to be compared with the error that is one. The difference in HU error to the default is
paired by test head, interval by bootstrap over heads of the mean over seeds.
Expected, and no goal: without the GAN nothing asks for CT, and T1 passes through; without a cycle nothing asks for THIS
head's CT. CPU size: 18 trainings, about 90 minutes on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): as there, 10,000
steps; time not measured.

    make study NAME=ablation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from studies import queue
from studies.phantom_ct_mr import PRINTED, line
from studies.translation_heads import SIZES, heads, size_name
from studies.translation_runs import back_error, cycle_error, cyclegan, judged, last, minus, model_maker

WHOLE = "default"
CHANGES: Mapping[str, Mapping[str, Any]] = {
    WHOLE: {},
    "no cycle": {"cycle": 0},
    "no GAN": {"adversarial": 0},
    "cycle T1 to CT to T1 alone": {"cycles": "forward"},
    "cycle CT to T1 to CT alone": {"cycles": "backward"},
    "identity 5": {"identity": 5},
}
STEPS = {"cpu": 3000, "gpu": 10_000, "tiny": 2}


def jobs(size: str) -> list[dict[str, Any]]:
    """Seed by seed, so that a study that is stopped has whole rows."""
    return [{"size": size, "change": change, "seed": seed} for seed in range(SIZES[size].seeds) for change in CHANGES]


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Train, and measure."""
    torch.set_num_threads(1)
    size = SIZES[job["size"]]
    looks = [STEPS[job["size"]]]
    model = last(cyclegan(size, (0.0, 0.0), int(job["seed"]), looks, CHANGES[job["change"]]))
    around = [float(cycle_error(model, head)[head.inside].mean()) for head in heads(size).test]
    return {"figures": {**judged(model_maker(model), size), "back": back_error(model, size), "cycle": around}}


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a change."""
    found: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault(result["change"], []).append(result["figures"])
    shown = {**PRINTED, "cycle": "cycle error"}
    lines = [f"n = {len(found[WHOLE][0]['mae'])} test heads, {len(found[WHOLE])} seeds; intervals over heads"]
    for change, rows in found.items():
        lines.append(line(change, rows, shown))
        seeds = ", ".join(f"{np.mean(row['mae']):.0f}" for row in rows)
        apart = minus([row["mae"] for row in rows], [row["mae"] for row in found[WHOLE][: len(rows)]])
        lines.append(f"    HU error by seed {seeds}" + ("" if change == WHOLE else f"; minus default {apart.text(1)}"))
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
