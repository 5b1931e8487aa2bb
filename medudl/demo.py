"""The whole way in minutes: scans, table, model, maps, report. On phantoms, or on a folder of one's own."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from medudl import api
from medudl.errors import UserError

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort

SIDE = 96  # pixels of a slice in the demo's config
# Healthy patients to train on, to set the thresholds on, and to test on; and patients with each kind of lesion to test.
TRAIN, VAL, TEST, PER_KIND = 40, 10, 8, 8
LESIONS = "sub-{subject}/anat/sub-{subject}_desc-lesion_mask.nii.gz"


def demo(out: Path, *, data: Path | None, config: str, seed: int) -> None:
    """Phantoms (or `data`) -> cohort.csv -> RUN -> maps -> report, all below `out`."""
    begun = time.monotonic()
    if (out / "run").exists():
        raise UserError(f"{out}: holds an earlier demo; remove it or choose another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    if data is None:
        phantoms(out / "scans", seed=seed)
        cohort = api.index([out / "scans"], out / "cohort.csv", masks=[LESIONS], labels=out / "scans" / "labels.csv",
                           progress=True)  # fmt: skip
        overrides = [f"train.seed={seed}"]
    else:
        cohort = api.index([data], out / "cohort.csv", split="70/15/15", seed=seed, progress=True)
        overrides = [f"train.seed={seed}", *_own_scans(cohort)]
    api.train(config, out / "cohort.csv", out / "run", overrides=overrides)
    api.detect(out / "run", out / "cohort.csv", out / "maps", split="test")
    result = api.evaluate(out / "run", out / "cohort.csv", out=out / "report")
    print(f"Maps:   {out / 'maps'}\nReport: {out / 'report' / 'report.html'}\n{result['verdict']}")
    print(f"The whole way took {(time.monotonic() - begun) / 60:.1f} minutes.")


def phantoms(
    out: Path, *, seed: int, train: int = TRAIN, val: int = VAL, test: int = TEST, kind: int = PER_KIND
) -> None:
    """Healthy phantoms for training, thresholds and testing; patients with lesions for testing only."""
    from medudl.data.phantom import make_cohort

    make_cohort(
        out,
        healthy=train + val + test,
        lesions_per_kind=kind,
        seed=seed,
        workers=2,
        progress=_shown("phantoms"),
        ct_dicom=False,
    )
    table = out / "labels.csv"
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    healthy = iter(["train"] * train + ["val"] * val + ["test"] * test)
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "split"])
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "split": next(healthy) if row["label"] == "healthy" else "test"})


def _own_scans(cohort: Cohort) -> list[str]:
    """Settings for a folder nobody has described: its most frequent contrast, one channel, body foreground."""
    counts = cohort.table["contrast"].value_counts()
    contrast = str(counts.index[0])
    modalities = set(cohort.table.loc[cohort.table["contrast"] == contrast, "modality"])
    rows = [row for row in cohort.series() if row.contrast == contrast and row.shape]
    view = max(n * mm for row in rows for n, mm in zip(row.shape, row.spacing, strict=True))
    pixel = max(view / SIDE, min(min(row.spacing) for row in rows))
    window = "{kind: window, low: -200, high: 300}" if modalities == {"CT"} else "{kind: percentile}"
    print(f"Training on the most frequent contrast: {contrast or '(none named)'}, {counts.iloc[0]} series.")
    return [
        "data.channels=[]",
        "data.grid=null",
        f"data.spacing=[null, {pixel:.4g}, {pixel:.4g}]",
        "data.outside=keep",
        f"data.where={{contrast: '{contrast}'}}",
        "data.foreground=body",
        "data.foreground_file=null",
        f"data.intensity={window}",
        "data.healthy_labels=[]",
    ]


def _shown(what: str) -> Callable[[int, int], None]:
    """A line that counts up on a terminal; silence elsewhere."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
