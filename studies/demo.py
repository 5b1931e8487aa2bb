"""Study `demo`: does the model of `make demo` beat every trivial map on phantoms it has not seen?

Protocol, fixed before the first run: phantoms, settings, filter and score of `medudl demo` as they are; seeds 0, 1, 2
draw phantoms and training alike; measure: AP over the brain voxels of the lesion patients, the model against the best
of the trivial maps (best on the same scans, which favours the baseline), intervals by patient bootstrap as in the
report.
Goal: the difference's interval excludes 0, in every seed. CPU size = GPU size: 3 x 6 minutes on two cores.

    make study NAME=demo
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from medudl.demo import demo
from studies import queue


def work(job: queue.Job, folder: Path) -> dict[str, Any]:
    """The demo with one seed; what its report says."""
    shutil.rmtree(folder, ignore_errors=True)
    demo(folder, data=None, config="demo/denoising_autoencoder", seed=job["seed"])
    import json

    report = json.loads((folder / "report" / "report.json").read_text())
    shutil.rmtree(folder / "scans")
    return {"report": report}


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    for result in queue.run([{"seed": seed} for seed in range(3)], work, out):
        print(f"seed {result['seed']}: {result['report']['verdict']}")


if __name__ == "__main__":
    main()
