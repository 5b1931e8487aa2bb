"""Trivial maps that need no model: a model that does not beat them has learnt nothing that helps.

Each is a map (D, H, W) >= 0 over the prepared image, and goes through the same foreground, filter and scan score as the
model's. Intensities are those of the pipeline, nominally in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
WIDTH = 5  # voxels: the window of the local standard deviation
_FEWEST = 3  # healthy scans behind a voxel's own mean; where fewer reach, the mean over all voxels stands in
_FLOOR = 0.1  # of the mean standard deviation: no voxel is allowed to be surer than that


@dataclass(frozen=True)
class Reference:
    """Mean and standard deviation of healthy training scans, voxel by voxel on the pipeline's grid: (C, D, H, W).

    Scans of another size are matched by relative position along each axis. n: how many scans are behind it.
    """

    mean: Array
    std: Array
    n: int

    @classmethod
    def of(cls, scans: Iterable[tuple[Array, Mask]], shape: tuple[int, int, int]) -> Reference | None:
        """From (image (C, D, H, W), where it counts (D, H, W)) of each healthy scan; None without any."""
        total: NDArray[np.float64] | None = None
        n = 0
        for image, valid in scans:
            n += 1
            picked = _to_shape(image, shape).astype(np.float64)
            weight = _to_shape(valid[None], shape)[0]
            if total is None:
                total = np.zeros((2 * len(image) + 1, *shape))
            total[0] += weight
            total[1 : 1 + len(image)] += picked * weight
            total[1 + len(image) :] += picked**2 * weight
        return None if total is None else cls._from_sums(total, n)

    @classmethod
    def _from_sums(cls, total: NDArray[np.float64], n: int) -> Reference:
        channels, seen = len(total) // 2, total[0]
        first, second = total[1 : 1 + channels], total[1 + channels :]
        axes = (1, 2, 3)
        overall = first.sum(axes) / max(seen.sum(), 1)
        spread = np.sqrt(np.maximum(second.sum(axes) / max(seen.sum(), 1) - overall**2, 0))
        count = np.maximum(seen, 1)
        mean = first / count
        std = np.sqrt(np.maximum(second / count - mean**2, 0))
        known = seen >= min(_FEWEST, n)
        mean = np.where(known, mean, overall[:, None, None, None])
        std = np.where(known, std, spread[:, None, None, None])
        floor = _FLOOR * np.array([s[known].mean() if known.any() else 1 for s in std]) + 1e-6
        return cls(mean.astype(np.float32), np.maximum(std, floor[:, None, None, None]).astype(np.float32), n)

    def deviation(self, image: Array) -> Array:
        """|x - mean| / std: (C, D, H, W)."""
        shape = (image.shape[1], image.shape[2], image.shape[3])
        made: Array = np.abs(image - _to_shape(self.mean, shape)) / _to_shape(self.std, shape)
        return made


def baseline_maps(
    image: Array, foreground: Mask, names: Sequence[str], reference: Reference | None, dims: int
) -> Iterator[tuple[str, Array]]:
    """(name, map (D, H, W)) of each baseline, channel by channel, one at a time. image: (C, D, H, W)."""
    deviation = None if reference is None else reference.deviation(image)
    spread = [local_std(channel, dims) for channel in image]
    for place, (name, channel) in enumerate(zip(names, image, strict=False)):
        begin = f"{name} " if len(names) > 1 else ""
        equal = equalised(channel, foreground)
        yield f"{begin}intensity", np.maximum(channel, 0)
        yield f"{begin}darkness (1 - intensity)", np.maximum(1 - channel, 0)
        yield f"{begin}equalised intensity", equal
        yield f"{begin}equalised darkness", 1 - equal
        yield f"{begin}local standard deviation", spread[place]
        if deviation is not None:
            yield f"{begin}|x - mean| / std", deviation[place]
    if len(names) > 1:
        yield "all channels: local standard deviation", np.mean(spread, axis=0)
        if deviation is not None:
            yield "all channels: |x - mean| / std", deviation[: len(names)].mean(axis=0)


def baseline_numbers(image: Array, foreground: Mask, names: Sequence[str]) -> dict[str, float]:
    """Whole-scan scores that need no map: mean and standard deviation of each channel inside the foreground."""
    found = {}
    for name, channel in zip(names, image, strict=False):
        begin = f"{name} " if len(names) > 1 else ""
        values = channel[foreground].astype(np.float64)
        found[f"{begin}whole-scan mean"] = float(values.mean()) if len(values) else float("nan")
        found[f"{begin}whole-scan standard deviation"] = float(values.std()) if len(values) else float("nan")
    return found


def equalised(channel: Array, foreground: Mask) -> Array:
    """Share of the foreground's voxels that are darker (ties: half of them): (D, H, W) in [0, 1]."""
    values = np.sort(channel[foreground])
    if len(values) == 0:
        return np.zeros_like(channel)
    below = np.searchsorted(values, channel, "left") + np.searchsorted(values, channel, "right")
    rank: Array = (below / (2 * len(values))).astype(np.float32)
    return rank


def local_std(channel: Array, dims: int) -> Array:
    """Standard deviation in a window of 5 voxels, in the slice (dims 2) or in 3-D: (D, H, W)."""
    size = (1 if dims == 2 else WIDTH, WIDTH, WIDTH)
    wide = channel.astype(np.float64)
    mean = ndimage.uniform_filter(wide, size)
    square = ndimage.uniform_filter(wide**2, size)
    made: Array = np.sqrt(np.maximum(square - mean**2, 0)).astype(np.float32)
    return made


def _to_shape(array: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """(C, D, H, W) picked by relative position, without interpolation: (C, *shape)."""
    if array.shape[1:] == shape:
        return array
    picks = [((np.arange(n) + 0.5) * have / n).astype(int) for n, have in zip(shape, array.shape[1:], strict=True)]
    return array[np.ix_(range(len(array)), *picks)]
