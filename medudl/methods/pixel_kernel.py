"""How far generated images are from real ones, one value a real image: the squared MMD of KID on small images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_SIDE = 16  # pixels at most along each side


def small(image: Tensor) -> Tensor:
    """Means over equal boxes, at most 16 a side: (B, C, *S) -> (B, d), in float32."""
    pools: dict[int, Any] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
    size = [min(_SIDE, side) for side in image.shape[2:]]
    boxes: Tensor = pools[len(size)](image.float(), size)
    return boxes.flatten(1)


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """k(x, y) = (x.y / d + 1)^3, that of KID (Binkowski et al. 2018): (N, d), (M, d) -> (N, M)."""
    return (x @ y.T / x.shape[1] + 1).pow(3)


def kernel_distance(samples: Tensor, image: Tensor) -> Tensor:
    """Squared maximum mean discrepancy between samples x and images y, as one term an image:

        mean over i != i' of k(x_i, x_i')  -  2 mean_i k(x_i, y)  +  mean over other images y' of k(y, y')

    Its mean over the images is the unbiased estimate: 0 on average where both are drawn alike, at times below. It is
    KID with pixels of the `small` images in place of Inception's features: it judges coarse structure, brightness and
    variety, not sharpness, and its values compare with no published KID.
    samples: (N, d), N >= 2; image: (B, d), on the same scale, both as `small` gives them. Returns (B,), float32. For
    a single image the last term, which no model changes, is left out.
    """
    with torch.autocast(image.device.type, enabled=False):
        among_samples, among_images = kernel(samples, samples), kernel(image, image)
        own = _mean_of_others(among_samples).mean()
        mixed = kernel(image, samples).mean(dim=1)
        others = _mean_of_others(among_images) if len(image) > 1 else torch.zeros_like(mixed)
        distance: Tensor = own - 2 * mixed + others
        return distance


def _mean_of_others(matrix: Tensor) -> Tensor:
    """(N, N) -> (N,): mean of each row without its diagonal element."""
    return (matrix.sum(dim=1) - matrix.diagonal()) / (len(matrix) - 1)
