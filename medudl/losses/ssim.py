"""Structural dissimilarity, 1 - SSIM, in 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

_CONVOLVE: Mapping[int, Callable[..., Tensor]] = {2: F.conv2d, 3: F.conv3d}
_RADIUS, _SIGMA = 5, 1.5  # of the window, in voxels: 11 wide, as published
_K1, _K2 = 0.01, 0.03


def structural_dissimilarity(
    prediction: Tensor,
    image: Tensor,
    foreground: Tensor | None = None,
    *,
    voxelwise: bool = False,
    data_range: float = 1.0,
) -> Tensor:
    """1 - SSIM (Wang et al. 2004), in [0, 2] a voxel and channel, 0 where window and window are equal:

        SSIM = (2 m m^ + c1) (2 cov + c2) / ((m^2 + m^^2 + c1) (v + v^ + c2)),   c = (.01 R)^2, (.03 R)^2

    m, v, cov: mean, variance and covariance in a Gaussian window of sigma 1.5 and 11 voxels a side around each voxel.
    prediction, image: (B, C, *S). data_range: R, the width of the intensities' range; 1 for what the pipeline gives.
    foreground (B, 1, *S): weighs the voxels inside a window too, so that outside it nothing counts; the image's border
    is treated in the same way. A loss and no likelihood. Returns (B,), a SUM over channels and voxels, or the map
    (B, 1, *S); always in float32.
    """
    with torch.autocast(image.device.type, enabled=False):
        prediction, image = prediction.float(), image.float()
        weight = torch.ones_like(image[:, :1]) if foreground is None else foreground.float()
        per_voxel = (1 - similarity(prediction, image, weight, data_range)).sum(dim=1, keepdim=True)  # (B, 1, *S)
        if foreground is not None:
            per_voxel = per_voxel * foreground
    return per_voxel if voxelwise else per_voxel.flatten(1).sum(dim=1)


def similarity(prediction: Tensor, image: Tensor, weight: Tensor, data_range: float) -> Tensor:
    """SSIM of each voxel and channel: (B, C, *S), at most 1. weight: (B, 1, *S), of voxels inside the windows."""
    total = _blur(weight).clamp(min=1e-8)

    def mean(x: Tensor) -> Tensor:
        return _blur(x * weight) / total

    # Variances do not change with the origin; this one keeps the differences of squares below exact.
    origin = (image * weight).flatten(2).sum(2) / weight.flatten(2).sum(2).clamp(min=1e-8)  # (B, C)
    origin = origin.detach().view(*origin.shape, *[1] * (image.ndim - 2))
    x, y = prediction - origin, image - origin
    mx, my = mean(x), mean(y)
    variances = (mean(x * x) - mx * mx).clamp(min=0) + (mean(y * y) - my * my).clamp(min=0)
    covariance = mean(x * y) - mx * my
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    mx, my = mx + origin, my + origin
    return (2 * mx * my + c1) / (mx * mx + my * my + c1) * ((2 * covariance + c2) / (variances + c2))


def _blur(x: Tensor) -> Tensor:
    """Gaussian sum around each voxel, one axis after the other, zeros outside: (B, C, *S) -> (B, C, *S)."""
    dims = x.ndim - 2
    at = torch.arange(-_RADIUS, _RADIUS + 1, device=x.device, dtype=x.dtype)
    line = torch.exp(-0.5 * (at / _SIGMA).square())
    line = line / line.sum()
    channels = x.shape[1]
    for axis in range(dims):
        view, padding = [1] * dims, [0] * dims
        view[axis], padding[axis] = len(line), _RADIUS
        kernel = line.view(1, 1, *view).expand(channels, 1, *view)
        x = _CONVOLVE[dims](x, kernel, padding=padding, groups=channels)
    return x
