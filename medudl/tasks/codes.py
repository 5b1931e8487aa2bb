"""The codes of one prepared scan, in bounded memory, and what goes beside them: score, spread, pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medudl.config import Data
from medudl.data.pipeline import Prepared
from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.tasks.maps import batch_size, items_for, raw_map, windows

Codes = NDArray[np.float32]
Pictures = NDArray[np.uint8]
SIDE = 128  # pixels of a picture's longer side at most


@dataclass(frozen=True)
class Coded:
    """n items of one scan.

    slices: (n,), the slice that the picture shows. code: (n, Z). spread: (n, Z), standard deviation of the code, None
    where the method knows none. score: (n,), mean of the map over the item's foreground, None without a map. own: the
    method's own scores by name, (n,) each. pictures, expected: (n, h, w), [0, 1] -> 0 .. 255; expected None where the
    method draws nothing. skipped: items with too little foreground.
    """

    slices: NDArray[np.int64]
    code: Codes
    spread: Codes | None
    score: NDArray[np.float64] | None
    own: dict[str, NDArray[np.float64]]
    pictures: Pictures
    expected: Pictures | None
    skipped: int

    def whole(self) -> Coded:
        """One item for the scan: means over its items, the picture of the middle one."""
        if len(self.slices) < 2:
            return self
        at = slice(len(self.slices) // 2, len(self.slices) // 2 + 1)
        return replace(
            self, slices=self.slices[at], code=self.code.mean(axis=0, keepdims=True),
            spread=None if self.spread is None else self.spread.mean(axis=0, keepdims=True),
            score=None if self.score is None else self.score.mean(keepdims=True),
            own={name: values.mean(keepdims=True) for name, values in self.own.items()},
            pictures=self.pictures[at], expected=None if self.expected is None else self.expected[at],
        )  # fmt: skip


@torch.inference_mode()
def coded(method: Method, prepared: Prepared, data: Data) -> Coded:
    """The items of one scan whose share of foreground reaches `data.min_foreground`: slices, or the volume as one.

    Of patches, the code is the mean over windows that cover the scan. n may be 0. Raises UserError where the scan
    does not fit the method, or its code is not finite.
    """
    made = (_of_patches if data.view == "patches" else _of_items)(method, prepared, data)
    if not np.isfinite(made.code).all():
        raise UserError(f"{prepared.case_id}: its code is not finite; its voxels or the trained weights are damaged")
    return made


def picture(plane: Tensor) -> Pictures:
    """(n, H, W) in nominal [0, 1] -> (n, h, w) grey values, the longer side at most `SIDE`, by area."""
    height, width = plane.shape[-2:]
    share = min(1.0, SIDE / max(height, width))
    if share < 1:
        size = max(1, round(height * share)), max(1, round(width * share))
        plane = F.interpolate(plane[:, None], size=size, mode="area")[:, 0]
    grey: Pictures = (plane.float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return grey


def middle_plane(image: Tensor, data: Data) -> Tensor:
    """(n, C, *S) -> (n, H, W): the first channel, of a volume its middle slice, with neighbours the slice itself."""
    if data.dims == 3:
        return image[:, 0, image.shape[2] // 2]
    return image[:, image.shape[1] // (2 * data.neighbours + 1) * data.neighbours if data.view == "slices_25d" else 0]


def drawer(method: Method) -> Callable[[Tensor], Tensor] | None:
    """What the method makes of an image: its reconstruction, else its decoded code; None where it does neither."""
    verbs, any_method = method.verbs(), _any(method)
    if "reconstruct" in verbs:
        return lambda image: any_method.reconstruct(image)
    if "decode" in verbs:
        return lambda image: any_method.decode(any_method.encode(image))
    return None


def _of_items(method: Method, prepared: Prepared, data: Data) -> Coded:
    volume = torch.from_numpy(np.ascontiguousarray(prepared.image, np.float32))
    foreground = torch.from_numpy(np.ascontiguousarray(prepared.foreground))
    items = items_for(method, volume, data)
    inside = foreground[None] if data.view == "volume" else foreground.movedim(1, 0)  # (N, 1, *S)
    kept = torch.nonzero(inside.flatten(1).float().mean(dim=1) >= data.min_foreground).flatten()
    device = _device(method)
    step = batch_size(method, data, device)
    batches = [kept[start : start + step] for start in range(0, len(kept), step)]
    parts = [_call(method, items[at], inside[at], data, device) for at in batches]
    slices = kept.numpy() if data.dims == 2 else np.array([items.shape[2] // 2])
    return _joined(parts, slices, len(items) - len(kept), method)


def _of_patches(method: Method, prepared: Prepared, data: Data) -> Coded:
    volume = torch.from_numpy(np.ascontiguousarray(prepared.image, np.float32))
    foreground = prepared.foreground[0]
    places = [w for w in windows(foreground.shape, method.shape[1:]) if foreground[w].mean() >= data.min_foreground]
    if not places:
        return _joined([], np.zeros(0, np.int64), 1, method)
    device, any_method = _device(method), _any(method)
    codes, spreads, own = [], [], []
    for place in places:
        patch = volume[(slice(None), *place)][None].to(device)
        codes.append(any_method.encode(patch).float().cpu())
        own.append(_numbers(any_method.scores(patch)))
        if "uncertainty" in method.verbs():
            spreads.append(any_method.uncertainty(patch).float().cpu())
    score, expected = None, None
    if "anomaly" in method.verbs():
        made = raw_map(method, prepared.image, data, expected=True)
        score = np.array([made.heat[foreground].mean(dtype=np.float64)])
        expected = None if made.expected is None else _square(made.expected[0, made.expected.shape[1] // 2])
    middle = volume.shape[1] // 2
    return Coded(
        np.array([middle]), torch.cat(codes).mean(dim=0, keepdim=True).numpy(),
        torch.cat(spreads).mean(dim=0, keepdim=True).numpy() if spreads else None, score,
        {name: np.array([np.mean([each[name] for each in own])]) for name in own[0]},
        _square(volume[0, middle].numpy()), expected, 0,
    )  # fmt: skip


@dataclass(frozen=True)
class _Part:
    code: Tensor
    spread: Tensor | None
    score: Tensor | None
    own: dict[str, NDArray[np.float64]]
    pictures: Pictures
    expected: Pictures | None


def _call(method: Method, items: Tensor, inside: Tensor, data: Data, device: torch.device) -> _Part:
    verbs, any_method, draw = method.verbs(), _any(method), drawer(method)
    image = items.to(device)
    score = None
    if "anomaly" in verbs:
        heat = any_method.anomaly(image)[0].float().cpu().flatten(1).double()
        within = inside.flatten(1)
        score = (heat * within).sum(dim=1) / within.sum(dim=1).clamp(min=1)
    return _Part(
        any_method.encode(image).float().cpu(),
        any_method.uncertainty(image).float().cpu() if "uncertainty" in verbs else None, score,
        _numbers(any_method.scores(image)), picture(middle_plane(items, data)),
        None if draw is None else picture(middle_plane(_within(draw(image).float().cpu(), items, inside), data)),
    )  # fmt: skip


def _within(drawn: Tensor, items: Tensor, inside: Tensor) -> Tensor:
    """What is drawn inside the foreground, the scan itself outside, where it means nothing; as `detect` writes it."""
    return torch.where(inside, drawn, items)


def _joined(parts: Sequence[_Part], slices: NDArray[np.int64], skipped: int, method: Method) -> Coded:
    if not parts:
        none = np.zeros(0)
        return Coded(np.zeros(0, np.int64), np.zeros((0, 0), np.float32), None, None,
                     dict.fromkeys(method.score_names, none), np.zeros((0, 1, 1), np.uint8), None, skipped)  # fmt: skip

    def cat(tensors: Sequence[Tensor | None]) -> Any:
        return None if tensors[0] is None else torch.cat([t for t in tensors if t is not None]).numpy()

    drawn = [part.expected for part in parts if part.expected is not None]
    own = {name: np.concatenate([part.own[name] for part in parts]) for name in parts[0].own}
    return Coded(slices, cat([p.code for p in parts]), cat([p.spread for p in parts]), cat([p.score for p in parts]),
                 own, np.concatenate([p.pictures for p in parts]), np.concatenate(drawn) if drawn else None,
                 skipped)  # fmt: skip


def _square(plane: NDArray[np.float32]) -> Pictures:
    """One slice (H, W) in the middle of a square of `SIDE` pixels: scans that are cut to patches differ in size."""
    grey = picture(torch.from_numpy(np.ascontiguousarray(plane))[None])
    out = np.zeros((1, SIDE, SIDE), np.uint8)
    top, left = (SIDE - grey.shape[1]) // 2, (SIDE - grey.shape[2]) // 2
    out[:, top : top + grey.shape[1], left : left + grey.shape[2]] = grey
    return out


def _numbers(scores: dict[str, Tensor]) -> dict[str, NDArray[np.float64]]:
    return {name: value.double().cpu().numpy() for name, value in scores.items()}


def _device(method: Method) -> torch.device:
    return next((p.device for p in method.parameters()), torch.device("cpu"))


def _any(method: Method) -> Any:
    """Verbs are not in the base class: a method has those that it has."""
    return method
