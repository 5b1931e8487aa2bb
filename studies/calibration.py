"""Study `calibration`: which map tells where a translator errs, and finds planted and invented lesions?

Protocol, fixed before the first run.
Data, network, optimiser and masses: as study `phantom_ct_mr`, T1 -> CT, 4,000 steps, at three prevalences of masses
among the training heads (T1 / CT): 0/0, where a mass is a stranger; .5/.5, where it is known; 0/.5, where masses may be
invented. Three trainings each, seeds 0, 1, 2, which are also the three members of one ensemble.
Maps, on the 12 test heads: `views`, the standard deviation over the four views of `medudl translate` (as it is,
mirrored, moved by one and two voxels) of one training; `ensemble`, that over the three trainings; `cycle`, |T1 -> CT ->
T1 - T1| of one training; `T1`, |T1 - median over the brain|, which asks no network: what is to be beaten.
Measure: against the absolute error in HU inside the head: Spearman's correlation and the excess of the error-retention
curve (`metrics/calibration.py`: 0 as good as knowing the error, 1 chance), and for `views` and `ensemble` the share of
errors within 1 and 2 standard deviations (.68 and .95 if they are Gaussian and right). Planted: a mass of 12 mm in each
test head; AUROC of its voxels among those of the brain. Invented: areas of the translation of a head WITHOUT a mass, as
`survival.invented` counts them; AUROC of their voxels; a head that shows none has no figure, and n says how many do.
The error of `ensemble` is that of the mean over members, and so are the areas it is asked about; figures of the others
are means over the three, of those that have one. Intervals: by bootstrap over heads. Which map finds more is told by
the difference of each to `cycle`, paired by head; no goal was set.
CPU size: 9 trainings, about 80 minutes on one core. GPU size (MEDUDL_STUDY_SIZE=gpu): as `phantom_ct_mr`, 10,000 steps;
time not measured.

    make study NAME=calibration
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medudl.metrics.calibration import auroc_of_lesion, error_against_uncertainty
from medudl.metrics.detection import areas
from medudl.metrics.survival import KNOWN, blobs
from medudl.tasks.across import VIEWS
from studies import queue
from studies.translation_heads import HU, SIZES, Array, Head, Mask, heads, size_name, test_masses
from studies.translation_runs import cycle_error, cyclegan, in_hu, last, minus, over_heads, through

CONDITIONS = ((0.0, 0.0), (0.5, 0.5), (0.0, 0.5))  # prevalence in T1, in CT
STEPS = {"cpu": 4000, "gpu": 10_000, "tiny": 2}
MAPS = ("views", "ensemble", "cycle", "T1")
SCALE, THRESHOLD, SMALLEST = 2.0, 4.5, 8  # of `survival.invented`, its defaults


def jobs(size: str) -> list[dict[str, Any]]:
    """One a condition: its members are looked at together."""
    return [{"size": size, "t1": t1, "ct": ct} for t1, ct in CONDITIONS]


def work(job: queue.Job, _: Path) -> dict[str, Any]:
    """Train the members; {map: {figure: [[one a head] a member]}}."""
    torch.set_num_threads(1)
    size = SIZES[job["size"]]
    looks, pair = [STEPS[job["size"]]], (job["t1"], job["ct"])
    models = [last(cyclegan(size, pair, seed, looks, {})) for seed in range(3)]
    found: dict[str, dict[str, Any]] = {name: {} for name in MAPS}
    for head, sick in zip(heads(size).test, test_masses(size), strict=True):
        for name, rows in _looked(models, head, sick).items():
            for figure in rows[0]:
                members = found[name].setdefault(figure, [[] for _ in rows])
                for member, row in zip(members, rows, strict=True):
                    member.append(row[figure])
    return {"maps": found}


def _looked(models: Sequence[Any], head: Head, sick: Head) -> dict[str, list[dict[str, float]]]:
    """{map: figures of each member} of one head, without and with a mass."""
    plain, planted = (_maps(models, one) for one in (head, sick))
    found: dict[str, list[dict[str, float]]] = {}
    for name in MAPS:
        rows = []
        for (made, spread), (_, spread_sick) in zip(plain[name], planted[name], strict=True):
            told = error_against_uncertainty(made - head.ct, spread, head.inside)
            row = {"spearman": told.spearman, "excess": told.excess}
            if name in ("views", "ensemble"):
                row |= {"within_one": told.within_one, "within_two": told.within_two}
            row["planted"] = auroc_of_lesion(spread_sick, sick.lesion, head.brain)
            row["invented"] = auroc_of_lesion(spread, invented_mask(made, head), head.brain)
            rows.append(row)
        found[name] = rows
    return found


def _maps(models: Sequence[Any], head: Head) -> dict[str, list[tuple[Array, Array]]]:
    """{map: [(translation in HU, map)] of each member}; of the ensemble one."""
    views = [np.stack([in_hu(through(m, head.source, view)) for view in range(VIEWS)]) for m in models]
    alone = np.stack([view[0] for view in views])
    trivial = np.abs(head.source[0] - np.median(head.source[0][head.brain]))
    return {
        "views": [(view[0], view.std(axis=0, ddof=1)) for view in views],
        "ensemble": [(alone.mean(axis=0), alone.std(axis=0, ddof=1))],
        "cycle": [(made, cycle_error(m, head)) for m, made in zip(models, alone, strict=True)],
        "T1": [(made, trivial) for made in alone],
    }


def invented_mask(made: Array, head: Head) -> Mask:
    """The voxels of the areas that `survival.invented` counts."""

    def stands_out(volume: Array, bar: float) -> Mask:
        return blobs(volume, head.brain, scale=SCALE, threshold=bar, spacing=head.spacing)

    labels, number = areas(stands_out(made, THRESHOLD), SMALLEST)
    sizes, known = np.bincount(labels.ravel(), minlength=number + 1), np.zeros(number + 1, bool)
    for other in (head.t1, head.ct):
        seen = np.bincount(labels[stands_out(other, THRESHOLD / 2)], minlength=number + 1)
        known |= seen >= KNOWN * sizes
    return np.asarray((labels > 0) & ~known[labels])


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line a condition and map, then what finds more than the cycle error."""
    lines = [f"n = {len(results[0]['maps']['T1']['planted'][0])} test heads; intervals over heads; CT {HU} HU"]
    for result in results:
        where = f"T1 {result['t1']:g} / CT {result['ct']:g}"
        for name, figures in result["maps"].items():
            told = {figure: over_heads(members) for figure, members in figures.items()}
            shown = "; ".join(f"{figure} {one.text(2)}, n = {one.n}" for figure, one in told.items())
            lines.append(f"{where}, {name}: {shown}")
        for figure in ("planted", "invented"):
            cycle = result["maps"]["cycle"][figure]
            apart = [f"{name} {minus(result['maps'][name][figure], cycle).text(2)}" for name in MAPS if name != "cycle"]
            lines.append(f"{where}, AUROC of {figure} minus that of cycle: " + "; ".join(apart))
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    print(table(queue.run(jobs(size_name()), work, out)))


if __name__ == "__main__":
    main()
