"""One whole volume from one side to the other, in bounded memory: slices in batches, 3-D patches in windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medudl.config import Data
from medudl.errors import UserError
from medudl.tasks.maps import gaussian_window, windows

Array = NDArray[np.float32]
Call = Callable[[Tensor], Tensor]  # (B, C, *S) in [0, 1] -> (B, C', *S) in [0, 1]

_VOXELS = {"cpu": 2**18, "cuda": 2**22}  # of input in one batch; activations take some hundred times as much
VIEWS = 4  # of test-time augmentation: as it is, mirrored, and moved by one and by two voxels


@dataclass(frozen=True)
class Way:
    """How a volume goes through: `call` on items of `shape` (C, *S), cut as `data` says, on `device`.

    outputs: channels that are wanted of it. passed: told after each batch which share of the volume is through.
    """

    call: Call
    shape: tuple[int, ...]
    outputs: int
    data: Data
    device: torch.device
    passed: Callable[[float], None] = lambda share: None


@torch.inference_mode()
def across(way: Way, image: Array, view: int = 0) -> Array:
    """(C, D, H, W) nominal [0, 1] -> (outputs, D, H, W) nominal [0, 1].

    Slices go through in batches and equal those that go one by one; where neighbours are translated together, the
    slice itself is taken. Patches overlap by half and are joined by Gaussian weights. view: which of `VIEWS` forms
    goes in; the change is undone on the way out. UserError: items of another size than those it was trained on.
    """
    volume = _changed(torch.from_numpy(np.ascontiguousarray(image, np.float32)), view)
    if way.data.view == "patches":
        return _undone(_windowed(way, volume), view).numpy()
    items = _items(volume, way)
    step = 1 if way.data.view == "volume" else max(1, _VOXELS.get(way.device.type, 2**22) // int(np.prod(way.shape)))
    parts = []
    for at in range(0, len(items), step):
        parts.append(_through(way, items[at : at + step]))
        way.passed(len(parts[-1]) / len(items))
    made = torch.cat(parts)
    whole = made[0] if way.data.view == "volume" else made.movedim(0, 1)
    return _undone(whole, view).contiguous().numpy()


def _items(volume: Tensor, way: Way) -> Tensor:
    """(C, D, H, W) -> what goes through one by one, (N, *way.shape)."""
    if way.data.view == "volume":
        items = volume[None]
    elif way.data.view == "slices":
        items = volume.movedim(1, 0)
    else:
        depth, near = volume.shape[1], range(-way.data.neighbours, way.data.neighbours + 1)
        places = [(torch.arange(depth) + offset).clamp(0, depth - 1) for offset in near]
        items = torch.cat([volume[:, place] for place in places]).movedim(1, 0)
    if tuple(items.shape[1:]) != way.shape:
        raise UserError(
            f"its images are {_words(items.shape[1:])} (channels x size), the run was trained on {_words(way.shape)};"
            " train with data.size set, so that every scan is brought to it"
        )
    return items


def _through(way: Way, items: Tensor) -> Tensor:
    made = way.call(items.to(way.device)).float().cpu()
    first = (made.shape[1] - way.outputs) // 2  # of neighbours that came out together the middle one
    return made[:, first : first + way.outputs]


def _changed(volume: Tensor, view: int) -> Tensor:
    """Mirrored along the last axis, or moved along the last two: nothing that a translation may depend on."""
    if view == 1:
        return volume.flip(-1)
    return volume.roll((view - 1, view - 1), (-1, -2)) if view > 1 else volume


def _undone(volume: Tensor, view: int) -> Tensor:
    if view == 1:
        return volume.flip(-1)
    return volume.roll((1 - view, 1 - view), (-1, -2)) if view > 1 else volume


def _windowed(way: Way, volume: Tensor) -> Tensor:
    shape, size = tuple(volume.shape[1:]), way.shape[1:]
    if any(have < want for have, want in zip(shape, size, strict=True)):
        raise UserError(f"is smaller ({_words(shape)}) than a patch ({_words(size)}); lower data.size")
    weight, places = gaussian_window(size), list(windows(shape, size))
    total, weights = torch.zeros((way.outputs, *shape)), torch.zeros(shape)
    for window in places:
        total[(slice(None), *window)] += weight * _through(way, volume[(slice(None), *window)][None])[0]
        weights[window] += weight
        way.passed(1 / len(places))
    return total / weights


def _words(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
