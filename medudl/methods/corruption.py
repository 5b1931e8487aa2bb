"""Ways to corrupt an image for a denoising autoencoder. Each: image and foreground in, corrupted image out.

image: (B, C, *S). foreground: (B, 1, *S) bool; nothing outside it is touched. generator: where random numbers come
from, on the image's device; None takes torch's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Fill = Literal["zero", "mean"]

_UPSAMPLE = {2: "bilinear", 3: "trilinear"}


def gaussian(
    image: Tensor, foreground: Tensor, sigma: float | Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Gaussian noise: x + n, n ~ N(0, sigma^2) a voxel and channel (Vincent et al. 2008). sigma: in intensities."""
    return image + sigma * _normal(image.shape, image, generator) * foreground


def masking(
    image: Tensor, foreground: Tensor, share: float, fill: Fill, generator: torch.Generator | None = None
) -> Tensor:
    """A random `share` of the foreground's voxels, all channels together, is put to one value (Vincent et al. 2008).

    fill: zero, as published. It shifts the foreground's mean from m to (1 - share) m, so a network trained on it
    sees images at test time of a mean it never met; mean: each channel's own mean over the foreground, no shift.
    """
    keep = torch.rand((len(image), 1, *image.shape[2:]), device=image.device, generator=generator) >= share
    value = _foreground_mean(image, foreground) if fill == "mean" else torch.zeros_like(image[:1, :1])
    return torch.where(foreground.bool() & ~keep, value, image)


def coarse(
    image: Tensor, foreground: Tensor, sigma: float, grid: int, generator: torch.Generator | None = None
) -> Tensor:
    """Coarse noise (Kascenas et al. 2022): x + n, n times the foreground.

    n: N(0, sigma^2) on a grid of `grid` points a side, for each image and channel on its own, enlarged linearly with
    the corners of grid and image aligned, then rolled by a random number of voxels along each side, drawn for each
    image (the authors draw one a batch). Between grid points the standard deviation is below sigma: with w the
    distance to the nearest point as a share of the step, it falls by sqrt((1 - w)^2 + w^2) along each side.
    """
    size = image.shape[2:]
    noise = _normal((*image.shape[:2], *[grid] * len(size)), image, generator)
    noise = F.interpolate(noise, size=tuple(size), mode=_UPSAMPLE[len(size)], align_corners=True)
    return image + sigma * roll_each(noise, generator) * foreground


def roll_each(noise: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Roll each image of (B, C, *S) by its own uniform shift along each side; what leaves comes in opposite."""
    for axis in range(2, noise.ndim):
        side = noise.shape[axis]
        shift = torch.randint(side, (len(noise), 1), device=noise.device, generator=generator)
        source = (torch.arange(side, device=noise.device) - shift) % side  # (B, side)
        view = [1] * noise.ndim
        view[0], view[axis] = len(noise), side
        noise = noise.gather(axis, source.view(view).expand_as(noise))
    return noise


def _normal(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(tuple(shape), device=like.device, dtype=like.dtype, generator=generator)


def _foreground_mean(image: Tensor, foreground: Tensor) -> Tensor:
    spatial = tuple(range(2, image.ndim))
    count = foreground.sum(spatial, keepdim=True).clamp(min=1)
    return (image * foreground).sum(spatial, keepdim=True) / count  # (B, C, 1, ...)
