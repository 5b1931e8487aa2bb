"""The spatial steps, by MONAI: orientation by plane, spacing, cut to the foreground, crop or pad. And the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import CropForeground, Orientation, ResizeWithPadOrCrop, Spacing, SpatialCrop, SpatialPad
from numpy.typing import NDArray

from medudl.config import Data
from medudl.data.resample import Mode, resample
from medudl.errors import UserError

# Directions in which D, H and W grow, so that (H, W) is shown upright, in radiological convention.
PLANES = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))  # affines are RAS, whatever a header says
Box = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Spatial:
    """The steps that `data` asks for; `box` is the foreground's bounding box, once it is known."""

    data: Data
    box: Box | None = None

    def forward(self, voxels: NDArray[Any], affine: NDArray[np.float64], mode: Mode, fill: float) -> MetaTensor:
        """(X, Y, Z) on the source grid -> (1, D, H, W) float32 with its affine; `fill` is what padding holds."""
        image = self.oriented(voxels, affine, mode)
        if self.box is not None:
            image = SpatialCrop(roi_start=self.box[0], roi_end=self.box[1])(image)
        size = self.data.size
        if size is None:
            return image
        if self.data.view == "patches":  # patches are cut later; here the volume is made large enough for one
            return SpatialPad(np.maximum(size, image.shape[1:]).tolist(), mode="constant", value=fill)(image)
        size = [-1, *size] if self.data.dims == 2 else size
        return ResizeWithPadOrCrop(size, mode="constant", value=fill)(image)

    def oriented(self, voxels: NDArray[Any], affine: NDArray[np.float64], mode: Mode) -> MetaTensor:
        """(X, Y, Z) -> (1, D, H, W): orientation and spacing alone."""
        tensor = torch.from_numpy(np.ascontiguousarray(voxels, dtype=np.float32))[None]
        image = MetaTensor(tensor, affine=torch.as_tensor(affine, dtype=torch.float64))
        image = Orientation(PLANES[self.data.plane], labels=_LABELS)(image)
        if self.data.spacing is None:
            return image
        own = image.pixdim.tolist()
        pixdim = [wanted or have for wanted, have in zip(self.data.spacing, own, strict=True)]
        torch_mode = "bilinear" if mode == "linear" else "nearest"
        return Spacing(pixdim, mode=torch_mode, padding_mode="border")(image)

    def around(self, foreground: NDArray[np.bool_], affine: NDArray[np.float64]) -> Spatial:
        """These steps with the bounding box of `foreground` (X, Y, Z), if `crop_foreground` asks for it."""
        if not self.data.crop_foreground:
            return self
        start, end = CropForeground(allow_smaller=True).compute_bounding_box(
            self.oriented(foreground, affine, "nearest")
        )
        box = np.asarray(start).tolist(), np.asarray(end).tolist()
        return Spatial(self.data, box)


def check_upright(shape: Sequence[int], plane: str, where: str) -> None:
    """Raise UserError where a single image (D, H, W) lies in another plane than the one asked for."""
    if min(shape[1:]) == 1 and max(shape) > 1:
        raise UserError(
            f"{where}: is a single image that does not lie in the {plane} plane; set data.plane to its plane "
            "(axial for films and photographs), or leave it out with data.where"
        )


def backward(array: NDArray[Any], geometry: dict[str, Any], mode: Mode, fill: float) -> NDArray[Any]:
    """(K, D, H, W) on the prepared grid -> (K, X, Y, Z) on the source grid, in one interpolation.

    The prepared grid's affine, tracked by MONAI through every step, says it all: undoing the steps one after another
    would interpolate as often as they did. Voxels of the source that the prepared grid does not reach get `fill`.
    """
    to_prepared = np.linalg.solve(np.asarray(geometry["affine"]), np.asarray(geometry["source_affine"]))
    shape = tuple(geometry["source_shape"])
    return np.stack([resample(channel, to_prepared, shape, mode, fill) for channel in array])
