"""Sample: new images that a run draws, each beside the training image that it is most like."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medudl.config import Data
from medudl.errors import UserError
from medudl.run import Run
from medudl.state import load_state
from medudl.tasks.detector import Restored
from medudl.tasks.embedding_files import checked, drafted, write_array
from medudl.tasks.folds import one_run
from medudl.tasks.outputs import Folder, told
from medudl.version import VERSION

if TYPE_CHECKING:
    from medudl.tasks.draw import Drawing
    from medudl.tasks.nearest_real import Compared, Real
    from medudl.tasks.real_images import RealImages

__all__ = ["FORMAT", "INDEX", "sample"]

FORMAT = 1
INDEX = "samples.json"
_WHAT = "a folder of samples"
_PATIENTS = "nearest.npy, held_out.npy and the lower rows of grid.png are patients' images: treat them as the scans."


def sample(
    run: str | Path, n: int, out: str | Path, *, seed: int = 0, features: str | Path | None = None,
    condition: Sequence[str] = (), device: str = "auto", progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Draw n new images into the folder OUT (docs/samples.md); returns samples.csv, one row a sample.

    Each is held against every training image, by pixels and by the features of a network, at thresholds set on real
    images of other patients. Where the run's scans are no longer at hand it is drawn all the same, and a note says so.
    features: pixels, efficientnet_lite0, a TorchScript or ONNX file, or a run with codes; by default
    efficientnet_lite0 where its package is installed. condition: "contrast=T1", "slice_position=0.5", "class=NORMAL":
    what all samples of a conditional method are to show; the rest is drawn as in the training images.
    OUT appears complete, or not at all; an earlier folder of samples there is replaced.

    Raises UserError: no run or no weights, a method that draws nothing, n below 1, a condition that it is not told,
    OUT not writable or something else.
    """
    if n < 1:
        raise UserError(f"-n {n}: how many samples? Ask for one or more")
    checked(Path(out), INDEX, _WHAT)
    if (Path(out) / "reader_test").exists():
        raise UserError(f"{out}: readers have judged these samples (reader_test); give another folder")
    opened = one_run(run)
    restored = Restored(opened, device)
    from medudl.tasks.conditions import read_asked
    from medudl.tasks.draw import Drawing, check_samples  # torch: bad input is answered before it is loaded
    from medudl.tasks.feature_choice import chosen_features
    from medudl.tasks.nearest_real import compare, real_of

    check_samples(opened, restored.method, restored.name)
    asked = read_asked(condition, restored.method, restored.name)
    chosen = chosen_features(features, restored, device)
    with drafted(out, INDEX, _WHAT) as folder:
        real = real_of(restored, progress)
        drawing = Drawing(restored, n, seed, asked)
        made = _draw(restored, drawing, real, folder, progress)
        compared, why = compare(made.images, real, chosen.networks[0], restored.data, progress)
        about = {**_about(restored, drawing, real, Path(out)), "condition": "; ".join(condition) or None}
        notes = [*made.notes, *chosen.notes, *real.notes]
        return _finish(made, real, compared, why, {**about, "notes": notes}, restored.data, folder)


@dataclass(frozen=True)
class _Made:
    """images: (N, C, *S) float16, mapped from the draft. pictures: (N, H, W). notes: what there is to know.

    conditions: what each was told, in words; None where the method is told nothing.
    """

    images: NDArray[np.float16]
    pictures: NDArray[np.uint8]
    notes: list[str]
    conditions: list[str] | None


def _draw(restored: Restored, drawing: Drawing, real: Real, folder: Folder, progress: bool) -> _Made:
    """Draw and write what holds the samples alone."""
    from medudl.tasks import sample_pictures as show
    from medudl.tasks.progress import counted

    data, shape, n = restored.data, tuple(restored.method.shape), drawing.n
    spacing = show.spacing_of(data, real.spacing)
    notes, pictures = [], []
    if data.dims == 3 and spacing is None:
        notes.append("The voxel size is not known without the run's scans: the NIfTI files say 1 mm.")
    with told(folder.path):
        (folder.path / "images").mkdir()
        path = folder.path / "samples.npy"
        images = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, *shape))
    for start in counted(drawing.starts(), "drawing samples", len(drawing.starts()), progress):
        image = drawing.batch(start)
        images[start : start + len(image)] = image.numpy()
        grey = show.shown(image, data)
        pictures.append(grey)
        for number, picture in enumerate(grey, start):
            stem = folder.path / "images" / f"sample-{show.number_of(number, n)}"
            with told(folder.path):
                show.write_png(stem.with_suffix(".png"), picture)
                if data.dims == 3:
                    volume = image[number - start].numpy()
                    show.write_volume(stem.with_suffix(".nii.gz"), volume, data, spacing or (1.0, 1.0, 1.0))
    images.flush()
    if drawing.codes is not None:
        write_array(folder, "codes", drawing.codes)
    made = np.concatenate(pictures)
    write_array(folder, "pictures", made)
    return _Made(images, made, notes, drawing.conditions())


def _finish(
    made: _Made, real: Real, compared: Compared | None, why: str, about: dict[str, Any], data: Data, folder: Folder
) -> pd.DataFrame:
    """What takes samples and real images together: nearest.npy, held_out.npy, grid.png, samples.csv, samples.json."""
    from medudl.tasks import sample_pictures as show

    n, nearest, notes = len(made.pictures), None, list(about["notes"])
    flagged: Sequence[bool] = [False] * n
    if compared is not None:
        nearest, flagged = compared.pictures(data), compared.flagged.tolist()
        write_array(folder, "nearest", nearest)
        notes.append(_PATIENTS)
    elif why not in notes:
        notes.append(why)
    if real.held_out is not None:
        _write_held_out(real.held_out, n, about["seed"], data, folder)
    with told(folder.path):
        show.write_png(folder.path / "grid.png", show.grid(made.pictures, nearest, flagged, real.aspect))
    table = _table(n, made.conditions, compared)
    told_in_words = table.replace({True: "true", False: "false"})
    folder.text("samples.csv", told_in_words.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    said = {
        **about, **_thresholds(compared), "compared_with": None if compared is None else real.counts(),
        "why": why or None, "notes": notes,
    }  # fmt: skip
    folder.text(INDEX, json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return table


def _write_held_out(images: RealImages, n: int, seed: int, data: Data, folder: Folder) -> None:
    """held_out.npy and .csv: as many images of other patients as there are samples, for a reader to tell them apart."""
    chosen = _over_patients(images.patients, n, seed)
    write_array(folder, "held_out", images.pictures_of(chosen, data))
    rows = pd.DataFrame({name: [getattr(images, f"{name}s")[at] for at in chosen] for name in ("case", "slice")})
    folder.text("held_out.csv", rows.to_csv(index=False, lineterminator="\n"))


def _over_patients(patients: Sequence[str], n: int, seed: int) -> NDArray[np.int64]:
    """At most n images, ascending: a random one of every patient before the second of any."""
    order = np.random.default_rng(seed).permutation(len(patients))
    seen: Counter[str] = Counter()
    turn = np.empty(len(order), np.int64)
    for place, number in enumerate(order):
        turn[place] = seen[patients[number]]
        seen[patients[number]] += 1
    return np.sort(order[np.argsort(turn, kind="stable")][:n])


def _table(n: int, conditions: Sequence[str] | None, compared: Compared | None) -> pd.DataFrame:
    """samples.csv. Columns of the nearest image are empty where there is nothing to compare with."""
    from medudl.tasks.sample_pictures import number_of

    table = pd.DataFrame({"sample": [number_of(number, n) for number in range(n)]})
    if conditions is not None:
        table = table.assign(condition=conditions)
    return table if compared is None else table.assign(**compared.columns())


def _about(restored: Restored, drawing: Drawing, real: Real, out: Path) -> dict[str, Any]:
    run, data = restored.run, restored.data
    return {
        "format": FORMAT, "kind": "samples", "medudl": VERSION,
        "run": Path(os.path.relpath(run.path.resolve(), out.resolve())).as_posix(), "run_name": run.path.resolve().name,
        "method": restored.name, "n": drawing.n, "seed": drawing.seed, "shape": list(restored.method.shape),
        "latent": None if drawing.codes is None else drawing.codes.shape[1],
        "step": _step(run), "view": data.view, "plane": data.plane,
        "picture_aspect": real.aspect,
    }  # fmt: skip


def _step(run: Run) -> int:
    """Of the weights: the best ones, where the run says which those are."""
    return int(load_state(run.path / "weights.safetensors").get("step", run.meta["step"]))


def _thresholds(compared: Compared | None) -> dict[str, Any]:
    from medudl.tasks.nearest_real import ALPHA

    if compared is None:
        return {"features": None, "threshold_pixels": None, "threshold_features": None, "alpha": ALPHA}
    return compared.about()
