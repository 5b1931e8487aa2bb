"""Random changes of training items, by MONAI's transforms; each item draws from a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medudl.config import Data
from medudl.errors import UserError

if TYPE_CHECKING:
    from monai.transforms import Compose

_PLANES = ("foreground", "mask")


class Augmenter:
    """flip (left-right), rotate (in the slice), scale, translate; then gamma and brightness of the image alone.

    Image, target, foreground and mask move together; the latter two stay binary, and are empty where nothing was known.
    """

    def __init__(self, data: Data) -> None:
        check_flip(data)
        self.data = data
        self._made: dict[tuple[str, ...], Compose] = {}

    def __call__(self, item: dict[str, Tensor], seed: Sequence[int]) -> dict[str, Tensor]:
        """item: image and, if present, target (C, *S) float32, foreground and mask (1, *S) bool. Returns the same.

        seed: (seed, epoch, index); the same seed gives the same change.
        """
        planes = [key for key in _PLANES if key in item]
        arrays: dict[str, Tensor] = {key: item[key] for key in ("image", "target") if key in item}
        if planes:  # one array for all that is binary: a change costs by the call
            arrays["planes"] = torch.cat([item[key] for key in planes]).float()
        changed = self._change(arrays, int(np.random.SeedSequence(list(seed)).generate_state(1)[0]))
        found = {key: changed["planes"][n : n + 1] > 0.5 for n, key in enumerate(planes)}
        return {**{key: changed[key] for key in arrays if key != "planes"}, **found}

    def _change(self, arrays: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
        from monai.data.meta_obj import get_track_meta, set_track_meta

        keys = tuple(arrays)
        if keys not in self._made:
            self._made[keys] = _compose(keys, self.data)
        self._made[keys].set_random_state(seed=seed)
        tracked = get_track_meta()
        set_track_meta(False)  # nobody inverts an augmentation, and keeping account takes a third of its time
        try:
            changed: dict[str, Tensor] = self._made[keys](arrays)
        finally:
            set_track_meta(tracked)
        return changed


def check_flip(data: Data) -> None:
    """Raise UserError where left and right are not to be seen: sagittal slices."""
    if data.augment.flip and data.plane == "sagittal" and data.dims == 2:
        raise UserError(
            "data.augment.flip: flips left and right, which a sagittal slice does not show; set it to false"
        )


def _compose(keys: Sequence[str], data: Data) -> Compose:
    from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd, RandScaleIntensityd

    wanted, dims = data.augment, data.dims
    steps: list[Any] = []
    if wanted.flip:  # W grows to the left in axial and coronal views, D in sagittal ones
        steps.append(RandFlipd(keys, prob=0.5, spatial_axis=0 if data.plane == "sagittal" else dims - 1))
    if wanted.rotate or wanted.scale or wanted.translate:
        turn = float(np.deg2rad(wanted.rotate))  # MONAI's first angle turns the last two axes into each other
        steps.append(RandAffined(
            keys, prob=1.0, rotate_range=turn if dims == 2 else (turn, 0.0, 0.0),
            scale_range=[wanted.scale] * dims, translate_range=[wanted.translate] * dims,
            mode=["nearest" if key == "planes" else "bilinear" for key in keys],
            padding_mode=["zeros" if key == "planes" else "border" for key in keys],
        ))  # fmt: skip
    if wanted.gamma:
        steps.append(RandAdjustContrastd(["image"], prob=1.0, gamma=(1 - wanted.gamma, 1 + wanted.gamma)))
    if wanted.brightness:
        steps.append(RandScaleIntensityd(["image"], prob=1.0, factors=wanted.brightness))
    return Compose(steps)
