"""Phantoms with known factors, 16 x 16: a soft disc, left or right, small or large; and a closed-form measurement."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SHAPE = (1, 16, 16)
CLASSES = ("left small", "left large", "right small", "right large")
_RADII = (2.0, 4.0)  # pixels, of small and of large
_MIDDLE_AREA = 3.14159 * 3.0**2


def discs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 16, 16) in [0, 1] and class numbers (N,); place, radius, brightness and noise vary."""
    random = torch.Generator().manual_seed(seed)
    label = torch.randint(4, (count,), generator=random)
    jitter = torch.rand(count, 4, generator=random) * 2 - 1
    x = torch.where(label >= 2, 10.5, 4.5) + jitter[:, 0]
    y = 7.5 + 2 * jitter[:, 1]
    radius = torch.tensor(_RADII)[label % 2] + 0.4 * jitter[:, 2]
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    distance = ((columns - x[:, None, None]).square() + (rows - y[:, None, None]).square()).sqrt()
    image = torch.sigmoid(3 * (radius[:, None, None] - distance)) * (0.85 + 0.1 * jitter[:, 3])[:, None, None]
    image = (image + 0.02 * torch.randn(image.shape, generator=random)).clamp(0, 1)
    return image[:, None], label


def measured(image: Tensor) -> Tensor:
    """Class number (N,) of an image, by the weight's centre and by the area above half of the brightest pixel."""
    weight = F.relu(image[:, 0] - 0.2)
    centre = (weight.sum(1) * torch.arange(16.0)).sum(1) / weight.sum((1, 2)).clamp(min=1e-6)
    brightest = image.flatten(1).max(dim=1).values
    area = (image[:, 0] > 0.5 * brightest[:, None, None]).sum((1, 2))
    return 2 * (centre > 7.5).long() + (area > _MIDDLE_AREA).long()


def is_disc(image: Tensor) -> Tensor:
    """(N,) bool: bright somewhere, dark mostly, as each of the phantoms is."""
    return (image.flatten(1).max(dim=1).values > 0.5) & (image.flatten(1).mean(dim=1) < 0.35)


def places(count: int, seed: int) -> Tensor:
    """Images (N, 1, 16, 16) of a soft disc anywhere: centre 3.5 to 11.5 along both axes, radius 2.5 to 3.5."""
    random = torch.Generator().manual_seed(seed)
    u = torch.rand(count, 4, generator=random)
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    x, y = 3.5 + 8 * u[:, 0, None, None], 3.5 + 8 * u[:, 1, None, None]
    distance = ((columns - x).square() + (rows - y).square()).sqrt()
    image = (0.7 + 0.25 * u[:, 2])[:, None, None] * torch.sigmoid(3 * (2.5 + u[:, 3, None, None] - distance))
    return (image + 0.02 * torch.randn(image.shape, generator=random)).clamp(0, 1)[:, None]


def offset(image: Tensor) -> Tensor:
    """(N, 2): the weight's centre beside the image's, columns and rows."""
    weight = F.relu(image[:, 0] - 0.2)
    along = torch.arange(16.0) - 7.5
    moments = torch.stack([(weight.sum(1) * along).sum(1), (weight.sum(2) * along).sum(1)], dim=1)
    return moments / weight.sum((1, 2)).clamp(min=1e-6)[:, None]
