"""Study `phantom_ct_mr_after`: does mutual information keep masses where it weighs less?

Fixed after the table of `phantom_ct_mr` was known: at weight 5 the gradient and MIND keep more of a mass than plain,
mutual information keeps less, and its HU error is 506 where plain has 181 (by seed 190, 882, 444). Suspicion: it is up
to log(32) nats for each of two directions, so that 5 of it outweigh the discriminator's 1; and it asks for ANY
one-to-one map of intensities, an inverted one included (in seed 0 the bright mass became a dark one), so that what
should say which map it is no longer does. If so, a weight at which the discriminator is heard mends it:
    weight .5, weight .1    all else as there: .5/0, 2,000 steps, seeds 0, 1, 2
Measure and goal: those of `phantom_ct_mr`, a larger share of the mass kept than plain, interval excludes 0.
CPU size: 6 trainings, about 20 minutes on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): as there; time not measured.

    make study NAME=phantom_ct_mr
    make study NAME=phantom_ct_mr_after
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from studies import phantom_ct_mr, queue
from studies.phantom_ct_mr import AT_RISK, share_kept
from studies.translation_heads import SIZES, size_name
from studies.translation_runs import back_error, cyclegan, judged, last, model_maker

STRUCTURE = "mutual_information"
WEIGHTS = (0.5, 0.1)


def jobs(size: str) -> list[dict[str, Any]]:
    """Weight by weight, so that a study that is stopped has whole rows."""
    return [{"size": size, "weight": weight, "seed": seed} for weight in WEIGHTS for seed in range(SIZES[size].seeds)]


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Train, and measure."""
    torch.set_num_threads(1)
    size = SIZES[job["size"]]
    changed = {"structure": STRUCTURE, "structure_weight": job["weight"]}
    model = last(cyclegan(size, AT_RISK, int(job["seed"]), size.looks[:1], changed))
    return {"figures": {**judged(model_maker(model), size), "back": back_error(model, size)}}


def before(out: Path, size: str) -> list[dict[str, Any]]:
    """Results of `phantom_ct_mr` at the same prevalence: plain, and mutual information of weight 5."""
    asked = [
        job
        for job in phantom_ct_mr.jobs(size)
        if (job.get("t1"), job.get("ct")) == AT_RISK and job["structure"] in ("none", STRUCTURE)
    ]
    return queue.beside(out, "phantom_ct_mr", asked)


def table(known: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> str:
    """A line a weight, then the goals. known: of `before`."""
    first = str(SIZES[results[0]["size"]].looks[0])
    rows: dict[float, list[dict[str, Any]]] = {}
    for result in known:
        weight = 0.0 if result["structure"] == "none" else phantom_ct_mr.WEIGHT
        rows.setdefault(weight, []).append(result["looks"][first])
    for result in results:
        rows.setdefault(result["weight"], []).append(result["figures"])
    lines = [f"n = {len(rows[0.0][0]['mae'])} test heads, {first} steps, {len(rows[0.0])} seeds; intervals over heads"]
    lines += [phantom_ct_mr.line(f"{STRUCTURE} of weight {weight:g}", rows[weight]) for weight in sorted(rows)]
    for weight in WEIGHTS:
        if weight in rows:
            lines.append(share_kept(f"{STRUCTURE} of weight {weight:g}", rows[weight], rows[0.0]))
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    known = before(out, size_name())
    print(table(known, queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
