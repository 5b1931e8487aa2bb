"""Changes of images that keep a gradient, each image by an amount of its own; amount 0 is the image itself, exactly.

Images are (B, C, *S) in [-1, 1], 2-D or 3-D, and -1 is air. What a change uncovers is filled with air, and no change of
grey values turns air into something else: with u = (x + 1) / 2 every curve has f(0) = 0. Grey values may leave [-1, 1]
upwards; nothing is clipped, for clipping ends a gradient. All can be differentiated twice (gradient penalty,
unrolling), which torch's own grid sampling cannot.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

AIR = -1.0
_FAINT = 1e-6  # beside the mean of an image that is nothing but air


def flip(image: Tensor, flipped: Tensor) -> Tensor:
    """Mirror along the last axis: left-right in axial and coronal views. flipped: (B,), 0 or 1."""
    return torch.where(_wide(flipped, image) > 0, image.flip(-1), image)


def turn(image: Tensor, quarters: Tensor) -> Tensor:
    """Quarter turns of the last two axes, which must be equally long. quarters: (B,), 0 to 3."""
    if image.shape[-1] != image.shape[-2]:
        raise ValueError(f"slices of {tuple(image.shape[-2:])} voxels: a quarter turn needs square ones")
    turned = image
    for times in (1, 2, 3):
        turned = torch.where(_wide(quarters, image) == times, image.rot90(times, (-2, -1)), turned)
    return turned


def translate(image: Tensor, shift: Tensor) -> Tensor:
    """Move by whole voxels, without interpolation. shift: (B, dims), integers, positive towards higher indices."""
    for axis, size in enumerate(image.shape[2:], start=2):
        source = torch.arange(size, device=image.device) - shift[:, axis - 2, None]  # (B, size)
        places = [len(image), *[1] * (image.ndim - 1)]
        places[axis] = size
        index, inside = source.clamp(0, size - 1).view(places), ((source >= 0) & (source < size)).view(places)
        image = torch.where(inside, image.gather(axis, index.expand_as(image)), AIR)
    return image


def cutout(image: Tensor, centre: Tensor, size: Tensor) -> Tensor:
    """Put air into a box (DeVries & Taylor 2017). centre: (B, dims), voxels; size: (B, dims), voxels, 0 for none."""
    cut = torch.ones_like(image[:, :1], dtype=torch.bool)
    for axis, length in enumerate(image.shape[2:]):
        begin = centre[:, axis, None] - size[:, axis, None] // 2
        place = torch.arange(length, device=image.device) - begin  # (B, length), from the box's edge
        shape = [len(image), *[1] * (image.ndim - 1)]
        shape[axis + 2] = length
        cut = cut & ((place >= 0) & (place < size[:, axis, None])).view(shape)
    return torch.where(cut, AIR, image)


def brightness(image: Tensor, amount: Tensor) -> Tensor:
    """Grey values u (1 + a): a scanner's gain. amount: (B,), a > -1."""
    return image + _wide(amount, image) * (image + 1)


def contrast(image: Tensor, amount: Tensor) -> Tensor:
    """Grey values u + a (u - m) u / (u + m): for a > 0 steeper about the mean m of each channel.

    The slope is 1 - a in air, 1 + a / 2 at the mean, and nears 1 + a above it: order is kept. amount: (B,), |a| < 1.
    """
    u = (image + 1) / 2
    mean = u.flatten(2).mean(2).view(*image.shape[:2], *[1] * (image.ndim - 2))
    return image + 2 * _wide(amount, image) * (u - mean) * u / (u + mean + _FAINT)


def gamma(image: Tensor, amount: Tensor) -> Tensor:
    """Grey values u / (u + (1 - u) e^-a): brightens middle greys for a > 0; 0 and 1 stay.

    In place of the power u^g, whose slope in air is infinite for g < 1. amount: (B,); -a undoes a.
    """
    u, rest = (image + 1) / 2, (1 - image) / 2
    return image + 2 * u * rest * _wide(-torch.expm1(-amount), image) / (u + rest * _wide(torch.exp(-amount), image))


def rotate_and_scale(image: Tensor, angle: Tensor, log_scale: Tensor) -> Tensor:
    """Rotate in the plane of the last two axes and enlarge alike along all, about the centre, by linear interpolation.

    angle: (B,), radians, the way that `turn` goes; log_scale: (B,), natural; above 0 is larger.
    """
    where = _sources(image, angle, log_scale)
    low = [place.floor() for place in where]
    parts = [place - floor for place, floor in zip(where, low, strict=True)]
    flat, result = image.flatten(2), torch.zeros_like(image)
    for corner in product((0, 1), repeat=len(where)):
        weight, inside, index = (
            torch.ones_like(where[0]),
            torch.ones_like(where[0], dtype=torch.bool),
            0 * low[0].long(),
        )
        for size, floor, part, far in zip(image.shape[2:], low, parts, corner, strict=True):
            weight = weight * (part if far else 1 - part)
            place = floor.long() + far
            inside &= (place >= 0) & (place < size)
            index = index * size + place.clamp(0, size - 1)
        values = flat.gather(2, index.flatten(1)[:, None].expand(-1, image.shape[1], -1)).view_as(image)
        result = result + weight[:, None].to(image) * torch.where(inside[:, None], values, AIR)
    return result


def _sources(image: Tensor, angle: Tensor, log_scale: Tensor) -> list[Tensor]:
    """Where each voxel comes from, in voxels: (B, *S) for each axis."""
    axes = [torch.arange(n, device=image.device, dtype=angle.dtype) for n in image.shape[2:]]
    centres = [(n - 1) / 2 for n in image.shape[2:]]
    shrink = torch.exp(-log_scale).view(-1, *[1] * (image.ndim - 2))
    *others, y, x = [
        shrink * (grid - centre) for grid, centre in zip(torch.meshgrid(*axes, indexing="ij"), centres, strict=True)
    ]
    cos, sin = (f(angle).view(-1, *[1] * (image.ndim - 2)) for f in (torch.cos, torch.sin))
    moved = [*others, cos * y + sin * x, cos * x - sin * y]
    return [place + centre for place, centre in zip(moved, centres, strict=True)]


def _wide(amount: Tensor, image: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, ...)."""
    return amount.to(image.dtype).view(-1, *[1] * (image.ndim - 1))
