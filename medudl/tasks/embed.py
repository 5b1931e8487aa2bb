"""Embed: the code of every slice or scan, with what is needed to look at them: planes, neighbours, copies, groups."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medudl.config import Data
from medudl.data.cases import Case
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.detect import cases_in, left_out
from medudl.tasks.detector import Restored, shown
from medudl.tasks.embedding_files import FORMAT, INDEX, Frames, checked, drafted, write_array
from medudl.tasks.folds import one_run
from medudl.tasks.outputs import Folder, without_paths
from medudl.version import VERSION

if TYPE_CHECKING:
    from medudl.tasks.codes import Coded

_TOLD = 10  # of the scans left out, on the screen; all of them stand in embedding.json

__all__ = ["By", "embed"]

By = Literal["slice", "scan"]


def embed(
    run: str | Path, input: str | Path, out: str | Path, *, split: str | None = None, by: By | None = None,
    device: str = "auto", seed: int = 0, progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Write the embedding folder OUT (docs/explore.md) of every item of INPUT; returns its table, one row an item.

    by: a row a slice, or a row a scan (means over its slices); slices where the run looks at slices, else scans.
    OUT appears complete, or not at all; an earlier embedding there is replaced. A scan that cannot be read, or that
    `detect.left_out` tells of, is named in embedding.json and left out; where that is so for every scan, the first
    reason is raised.

    Raises UserError: no run, no readable input, a method without codes, OUT not writable or something else.
    """
    checked(Path(out))
    opened = one_run(run)
    unit = _unit(opened, by)
    cohort, cases = cases_in(opened, input, split)
    restored = Restored(opened, device)
    if "encode" not in restored.method.verbs():
        raise UserError(f"{opened.path}: method {restored.name} has no codes to embed; an autoencoder, for one, has")
    with drafted(out) as folder:
        gathered = _gather(restored, cohort, cases, unit, folder, progress)
        gathered.skipped += [f"{case.id}: {why}" for case, why in left_out(cohort, cases, opened.config.data)]
        table = _finish(restored, gathered, folder, Path(out), unit, seed, progress)
    return table


def _unit(run: Run, by: By | None) -> By:
    dims = run.config.data.dims
    if by == "slice" and dims == 3:
        raise UserError(
            f"{run.path}: looks at whole {run.config.data.view}, which have no code a slice; leave --by out"
        )
    return by or ("slice" if dims == 2 else "scan")


@dataclass
class _Gathered:
    """What the scans gave, item by item. `aspect`: a picture pixel's height over its width, of the first scan."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    codes: list[NDArray[np.float32]] = field(default_factory=list)
    spread: list[NDArray[np.float32]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    empty: int = 0
    aspect: float | None = None


def _gather(
    restored: Restored, cohort: Cohort, cases: Sequence[Case], unit: By, folder: Folder, progress: bool
) -> _Gathered:
    from medudl.tasks.codes import coded  # torch: bad input is answered before it is loaded

    out, first = _Gathered(), None
    pictures, expected = (Frames(folder.path / f"{name}.npy") for name in ("pictures", "expected"))
    for case in shown(cases, "embedding", progress):
        try:
            prepared = restored.prepared(cohort, case)
            made = coded(restored.method, prepared, restored.data)
        except UserError as error:
            first = first or error
            out.skipped.append(f"{case.id}: {without_paths(str(error), cohort, case.present)}")
            continue
        made = made.whole() if unit == "scan" else made
        out.empty += made.skipped
        if not len(made.slices):
            continue
        affine = np.asarray(prepared.geometry["affine"], np.float64)
        out.facts += _facts(case, made, affine, restored.data, unit)
        out.codes.append(made.code)
        out.spread += [] if made.spread is None else [made.spread]
        sides = np.linalg.norm(affine[:3, :3], axis=0)
        out.aspect = float(sides[1] / sides[2]) if out.aspect is None else out.aspect
        pictures.add(made.pictures)
        if made.expected is not None:
            expected.add(made.expected)
    pictures.close()
    expected.close()
    if not out.facts:
        raise first or UserError("no slice or scan holds data.min_foreground of foreground: nothing to embed")
    return out


def _facts(
    case: Case, made: Coded, affine: NDArray[np.float64], data: Data, unit: By
) -> list[dict[str, Any]]:  # fmt: skip
    grid = case.grid
    same = {
        "case": case.id, "subject": case.subject, "study": case.study, "series": grid.series, "contrast": grid.contrast,
        "modality": grid.modality, "scanner": grid.scanner, "label": case.label, "split": case.split,
    }  # fmt: skip
    flat = grid.format in ("png", "jpeg", "npz") or len(grid.shape) < 3 or min(grid.shape) == 1
    rows = []
    for number, index in enumerate(made.slices):
        rows.append({
            "item": f"{case.id}/{index}" if unit == "slice" else case.id, **same, "slice": int(index),
            "position_mm": None if flat else _position(affine, int(index), data),
            "score": None if made.score is None else float(made.score[number]),
            **{name: float(values[number]) for name, values in made.own.items()},
            "uncertainty": None if made.spread is None else float(made.spread[number].mean()),
        })  # fmt: skip
    return rows


def _position(affine: NDArray[np.float64], index: int, data: Data) -> float:
    """Of a slice in mm in the scanner's frame: to the head (axial), to the front (coronal), to the right (sagittal)."""
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[data.plane]
    return round(float(affine[axis, 3] + affine[axis, 0] * index), 2)


def _finish(
    restored: Restored, gathered: _Gathered, folder: Folder, out: Path, unit: By, seed: int, progress: bool
) -> pd.DataFrame:
    """Everything that takes all items together; writes the arrays, the table and embedding.json."""
    from medudl.tasks.describe import STAGES, describe

    codes = np.concatenate(gathered.codes)
    spread = np.concatenate(gathered.spread) if gathered.spread else None
    table = pd.DataFrame(gathered.facts)
    pictures = np.load(folder.path / "pictures.npy", mmap_mode="r")
    tell = _teller(progress)
    found = describe(codes, spread, pictures, table, seed, lambda at: tell(f"{STAGES[at]} of {len(codes):,} items ..."))
    arrays = {"embedding": codes, "neighbours": found.neighbours, "neighbours_distance": found.distances}
    for name, array in (arrays | ({} if spread is None else {"uncertainty": spread})).items():
        write_array(folder, name, array)
    table = table.dropna(axis="columns", how="all").assign(**found.columns())
    folder.text("embedding.csv", table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    about = {**_about(restored, gathered, out, unit), **found.facts(), "n": len(codes), "latent": codes.shape[1],
             "picture_shape": list(pictures.shape[1:]), "seed": seed}  # fmt: skip
    folder.text(INDEX, json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    left_out = [f"{name} left out: {why}" for name, why in found.planes.left_out.items()]
    for line in (*found.notes(), *left_out, *(f"left out: {line}" for line in gathered.skipped[:_TOLD])):
        tell(line)
    return table


def _about(restored: Restored, gathered: _Gathered, out: Path, unit: By) -> dict[str, Any]:
    """Where the codes come from."""
    run, method, data = restored.run, restored.method, restored.data
    return {
        "format": FORMAT, "medudl": VERSION, "run": _relative(run.path, out), "run_name": run.path.resolve().name,
        "method": restored.name, "view": data.view, "plane": data.plane, "by": unit, "verbs": list(method.verbs()),
        "score_names": list(method.score_names), "cases": len({facts["case"] for facts in gathered.facts}),
        "patients": len({facts["subject"] for facts in gathered.facts}), "picture_aspect": gathered.aspect,
        "skipped": gathered.skipped, "empty": gathered.empty,
    }  # fmt: skip


def _teller(progress: bool) -> Callable[[str], None]:
    """Prints a line on stderr, or does not."""
    from rich.console import Console

    console = Console(stderr=True, quiet=not progress, highlight=False, markup=False)
    return lambda line: console.print(line)


def _relative(path: Path, out: Path) -> str:
    return Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
