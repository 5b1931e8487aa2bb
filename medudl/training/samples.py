"""Pictures of the same scans while a method learns: input | its answer | map of unusual areas."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from medudl.batch import Batch
from medudl.methods.method import Method
from medudl.state import replace_file

ROWS = 4
ANSWERS = ("reconstruct", "denoise", "translate")


def fixed_images(batches: Iterable[Batch], count: int) -> tuple[Tensor, Tensor | None]:
    """Up to ROWS images, the middle ones of batches spread evenly over `count` batches: (N, C, *S); their targets."""
    wanted = set(np.linspace(0, count - 1, min(ROWS, count)).round().astype(int).tolist())
    chosen = [
        {key: batch[key][len(batch["image"]) // 2] for key in ("image", "target") if key in batch}  # type: ignore[literal-required]
        for i, batch in enumerate(batches)
        if i in wanted
    ]
    targets = torch.stack([one["target"] for one in chosen]) if "target" in chosen[0] else None
    return torch.stack([one["image"] for one in chosen]), targets


def write_samples(method: Method, images: Tensor, path: Path, targets: Tensor | None = None) -> dict[str, float]:
    """One PNG: a row an image, first channel, middle slice of a volume; below them what a generator makes.

    Of a translation, input | its translation | the true target, or, without pairs, below them target | what it is back.

    Columns that the method has no verb for are absent. Intensities from 0 to 1; the map from 0 to its largest value.
    Call it inside `looking`. Nothing is written where the method neither answers nor samples.
    Returns `spread` of the images, of the answers ("answer") and of what is made ("sample"): who learnt to show the
    same thing always has none. Empty for a single image.
    """
    verbs = {verb: getattr(method, verb) for verb in method.verbs()}
    columns = [_flat(images)]
    spreads = {"input": spread(columns[0])}
    answer = next((verb for verb in ANSWERS if verb in verbs), None)
    if answer is not None:
        columns.append(_flat(verbs[answer](images)))
        spreads["answer"] = spread(columns[1])
    if "anomaly" in verbs:
        heat = _flat(verbs["anomaly"](images)[0])
        columns.append(heat / max(heat.max(), 1e-12))
    if targets is not None and method.paired:
        columns.append(_flat(targets))
    rows = [np.concatenate(row, axis=1) for row in zip(*columns, strict=True)] if len(columns) > 1 else []
    if "sample" in verbs:
        made = _flat(verbs["sample"](len(columns) * len(images)))
        spreads["sample"] = spread(made)
        rows += [np.concatenate(made[i : i + len(columns)], axis=1) for i in range(0, len(made), len(columns))]
    if targets is not None and not method.paired and "back" in verbs:
        rows += list(np.concatenate([_flat(targets), _flat(verbs["back"](targets))], axis=2))
    if not rows:
        return {}
    picture = Image.fromarray((np.concatenate(rows) * 255).round().astype(np.uint8))
    path.parent.mkdir(exist_ok=True)
    replace_file(path, lambda temporary: picture.save(temporary, format="PNG"))
    return {f"spread/{name}": value for name, value in spreads.items()} if len(images) > 1 else {}


def spread(images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """How much images (N, H, W) differ from each other: root of the variance over N, averaged over the pixels."""
    return float(np.sqrt(images.var(axis=0).mean()))


def _flat(images: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(N, C, *S) -> (N, H, W) in [0, 1]: first channel, middle slice."""
    first = images[:, 0].float().cpu()
    if first.ndim == 4:
        first = first[:, first.shape[1] // 2]
    return first.clamp(0, 1).nan_to_num().numpy()
