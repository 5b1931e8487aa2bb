"""A cohort of phantoms in a BIDS-like folder; the files do not depend on the number of workers."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medudl.data.phantom_files import TOLD, write_ct_dicom, write_ct_nifti, write_masks, write_mr
from medudl.data.phantom_lesions import KINDS
from medudl.data.phantom_subject import SHAPE, SPACING, make_subject
from medudl.errors import UserError

Progress = Callable[[int, int], None]  # subjects done, subjects in all


@dataclass(frozen=True)
class Plan:
    """One subject to be made: its name, its kind, and the stream it is drawn from (spawn key below the seed)."""

    name: str
    kind: str
    seed: int
    key: tuple[int, int]
    out: Path
    ct_dicom: bool
    grid: tuple[Sequence[int], Sequence[float]]


def make_cohort(
    out: str | Path,
    *,
    healthy: int,
    lesions_per_kind: int,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    ct_dicom: bool = True,
    grid: tuple[Sequence[int], Sequence[float]] = (SHAPE, SPACING),
) -> Path:
    """Write `healthy` healthy phantoms and `lesions_per_kind` of each kind of lesion; returns the path of labels.csv.

    sub-001/anat/sub-001_{T1w,T2w,FLAIR}.nii.gz and sub-001_desc-{brain,lesion}_mask.nii.gz (the healthy have no lesion
    mask); sub-001/ct/slice-001.dcm and so on or, without `ct_dicom`, sub-001/ct/sub-001_ct.nii.gz; labels.csv (subject,
    label, age, sex, scanner), label being healthy, tumour, haemorrhage or plaques. A subject depends on the seed, its
    kind and its number within the kind alone. grid: shape and spacing, as in `make_subject`.
    UserError: no subject asked for, or `out` holds other subjects.
    """
    plans = _plans(Path(out), healthy, lesions_per_kind, seed, ct_dicom, grid)
    for place in sorted(plans[0].out.glob("sub-*")):
        if place.name not in {f"sub-{plan.name}" for plan in plans}:
            raise UserError(f"{out}: holds {place.name}, which this cohort would not have; choose an empty folder")
    rows = []
    for done, row in enumerate(_made(plans, workers), 1):
        rows.append(row)
        if progress is not None:
            progress(done, len(plans))
    return _write_tables(Path(out), rows, seed)


def _plans(
    out: Path, healthy: int, lesions: int, seed: int, ct_dicom: bool, grid: tuple[Sequence[int], Sequence[float]]
) -> list[Plan]:
    if min(healthy, lesions) < 0 or healthy + lesions == 0 or seed < 0:
        raise UserError(f"healthy {healthy}, lesions {lesions}, seed {seed}: give 0 or more, and at least one subject")
    counts = [healthy] + [lesions] * len(KINDS)
    kinds = [(kind, (code, i)) for code, kind in enumerate(("healthy", *KINDS)) for i in range(counts[code])]
    return [Plan(f"{n:03d}", kind, seed, key, out, ct_dicom, grid) for n, (kind, key) in enumerate(kinds, 1)]


def _made(plans: Sequence[Plan], workers: int) -> Iterator[dict[str, str]]:
    if workers <= 1:
        yield from map(_write_subject, plans)
        return
    # Spawned: a forked child of a process with threads may hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_write_subject, plans)


def _write_subject(plan: Plan) -> dict[str, str]:
    """Make and write one subject; returns its row of labels.csv."""
    root = np.random.SeedSequence(plan.seed, spawn_key=plan.key)
    lesion = None if plan.kind == "healthy" else plan.kind
    subject = make_subject(root, lesion=lesion, shape=plan.grid[0], spacing=plan.grid[1])
    folder = plan.out / f"sub-{plan.name}"
    write_mr(folder, plan.name, subject)
    write_masks(folder, plan.name, subject)
    if plan.ct_dicom:
        write_ct_dicom(folder, plan.name, subject, f"{plan.seed} {plan.kind} {plan.key[1]}")
    else:
        write_ct_nifti(folder, plan.name, subject.contrasts["CT"])
    return {
        "subject": plan.name,
        "label": plan.kind,
        "age": f"{int(subject.anatomy.age)}",
        "sex": subject.anatomy.sex,
        "scanner": f"phantom {subject.scanner.field:g} T",
    }


def _write_tables(out: Path, rows: Sequence[dict[str, str]], seed: int) -> Path:
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    path = out / "labels.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    facts = {
        "Name": f"medudl phantoms, seed {seed}: {TOLD}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "Apache-2.0",
        "GeneratedBy": [{"Name": "medudl.data.phantom"}],
    }
    (out / "dataset_description.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return path
