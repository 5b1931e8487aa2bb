"""A method's map of one prepared scan, in bounded memory: slices in batches, 3-D patches in overlapping windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medudl.config import Data
from medudl.errors import UserError
from medudl.methods.method import Method

Array = NDArray[np.float32]
_VOXELS = {"cpu": 2**19, "cuda": 2**22}  # of input in one batch; activations take some hundred times as much
_OVERLAP = 0.5
_SIGMA = 0.125  # of the window's width: the middle of a patch is known better than its border


@dataclass(frozen=True)
class RawMap:
    """heat: (D, H, W), what the method finds unusual. expected: (C, D, H, W), or None where it has no such verb.

    scores: the method's own scores by name, of each slice or window.
    """

    heat: Array
    expected: Array | None
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@torch.inference_mode()
def raw_map(method: Method, image: Array, data: Data, *, expected: bool) -> RawMap:
    """Map of one scan as the pipeline prepared it. image: (C, D, H, W). The method stays on its own device.

    Raises UserError where the scan's items have another size than those the method was trained on.
    """
    device = next((p.device for p in method.parameters()), torch.device("cpu"))
    want = expected and "reconstruct" in method.verbs()
    volume = torch.from_numpy(np.ascontiguousarray(image, np.float32))
    if data.view == "patches":
        return _windows(method, volume, device, want)
    items = items_for(method, volume, data)
    step = batch_size(method, data, device)
    parts = [_call(method, items[start : start + step], device, want) for start in range(0, len(items), step)]
    scores = _joined([part.scores for part in parts])
    heat, whole = torch.cat([part.heat for part in parts]), None
    if want:
        whole = torch.cat([part.whole for part in parts if part.whole is not None])
    if data.view == "volume":
        return RawMap(heat[0, 0].numpy(), None if whole is None else whole[0].numpy(), scores)
    if whole is None:
        return RawMap(heat[:, 0].numpy(), None, scores)
    middle = (whole.shape[1] - len(volume)) // 2  # 2.5-D: the slice itself lies between its neighbours
    expected_image = whole[:, middle : middle + len(volume)].movedim(0, 1).contiguous().numpy()
    return RawMap(heat[:, 0].numpy(), expected_image, scores)


def items_for(method: Method, volume: Tensor, data: Data) -> Tensor:
    """(C, D, H, W) -> what the method is shown one by one, (N, *method.shape): slices, or the volume itself.

    Raises UserError where they have another size than those the method was trained on.
    """
    items = _items(volume, data)
    if tuple(items.shape[1:]) != method.shape:
        raise UserError(
            f"its images are {_words(items.shape[1:])} (channels x size), the run was trained on"
            f" {_words(method.shape)}; train with data.size set, so that every scan is brought to it"
        )
    return items


def batch_size(method: Method, data: Data, device: torch.device) -> int:
    """How many items go through the method at once, for memory to stay bounded."""
    return 1 if data.view == "volume" else max(1, _VOXELS.get(device.type, 2**22) // int(np.prod(method.shape)))


def _items(volume: Tensor, data: Data) -> Tensor:
    if data.view == "volume":
        return volume[None]
    if data.view == "slices":
        return volume.movedim(1, 0)
    depth = volume.shape[1]
    near = [
        volume[:, (torch.arange(depth) + offset).clamp(0, depth - 1)]
        for offset in range(-data.neighbours, data.neighbours + 1)
    ]
    return torch.cat(near).movedim(1, 0)  # (D, (2n+1) * C, H, W)


@dataclass(frozen=True)
class _Part:
    """What a method says of some items: heat (B, 1, *S), whole (B, C, *S) or None, scores {name: (B,)}."""

    heat: Tensor
    whole: Tensor | None
    scores: dict[str, Tensor]


def _call(method: Any, items: Tensor, device: torch.device, want: bool) -> _Part:
    items = items.to(device)
    heat, _ = method.anomaly(items)
    whole = method.reconstruct(items).float().cpu() if want else None
    return _Part(heat.float().cpu(), whole, {name: value.float().cpu() for name, value in method.scores(items).items()})


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, NDArray[np.float64]]:
    return {name: torch.cat([part[name] for part in parts]).double().numpy() for name in parts[0]}


def _windows(method: Method, volume: Tensor, device: torch.device, want: bool) -> RawMap:
    """Overlapping patches, weighted by a Gaussian: (C, D, H, W) -> the map without seams."""
    size = method.shape[1:]
    weight = gaussian_window(size)
    channels, *shape = volume.shape
    total = torch.zeros((1 + channels * want, *shape))
    weights = torch.zeros(shape)
    scores: list[dict[str, Tensor]] = []
    for window in windows(tuple(shape), size):
        patch = volume[(slice(None), *window)][None]
        part = _call(method, patch, device, want)
        both = part.heat[0] if part.whole is None else torch.cat([part.heat[0], part.whole[0]])
        total[(slice(None), *window)] += weight * both
        weights[window] += weight
        scores.append(part.scores)
    total /= weights
    return RawMap(total[0].numpy(), total[1:].numpy() if want else None, _joined(scores))


def windows(shape: tuple[int, ...], size: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Windows of `size` that cover `shape`, half overlapping; the last one along an axis is moved inwards to fit."""
    starts = []
    for length, width in zip(shape, size, strict=True):
        step = max(1, int(width * (1 - _OVERLAP)))
        starts.append(sorted({min(start, length - width) for start in range(0, length - width + step, step)}))
    for corner in product(*starts):
        yield tuple(slice(start, start + width) for start, width in zip(corner, size, strict=True))


def gaussian_window(size: tuple[int, ...]) -> Tensor:
    """Weight of each voxel of a patch, highest in the middle, never zero: (*size)."""
    out = torch.ones(())
    for width in size:
        at = torch.arange(width, dtype=torch.float32) - (width - 1) / 2
        line = torch.exp(-0.5 * (at / (_SIGMA * width)).square()).clamp(min=1e-3)
        out = out[..., None] * line
    return out


def _words(shape: tuple[int, ...] | torch.Size) -> str:
    return " x ".join(str(n) for n in shape)
