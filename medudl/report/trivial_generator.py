"""The generator that any ruler could make: a Gaussian with the mean and the covariance of the training images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NAME = "Gaussian of the training images (all of PCA)"
_AT_ONCE = 2**26  # values of samples in memory


def gaussian_samples(
    images: Callable[[], Iterable[Tensor]], count: int, n: int, shape: tuple[int, ...], seed: int
) -> Iterator[Tensor]:
    """Samples, n of them, of the Gaussian fitted to `count` images, in batches (b, C, *S), clipped to [0, 1].

        x = mean + sum_i w_i (x_i - mean) / sqrt(count - 1),   w_i ~ N(0, 1)

    That is every principal component at its own variance, without computing one. images: gives the images again at
    each call, batch by batch. count >= 2.
    """
    values = int(np.prod(shape))
    step = max(1, min(n, _AT_ONCE // values))
    for start in range(0, n, step):
        weights = np.random.default_rng([seed, start]).normal(size=(min(step, n - start), count)).astype(np.float32)
        yield _mixed(images(), weights / np.sqrt(np.float32(count - 1)), shape).clamp(0, 1)


def _mixed(images: Iterable[Tensor], weights: NDArray[np.float32], shape: tuple[int, ...]) -> Tensor:
    """Rows of `weights` over the images, each less its mean, plus the mean: mean + W x - (sum W) mean."""
    total = torch.zeros(len(weights), int(np.prod(shape)))
    mean, seen = torch.zeros(int(np.prod(shape))), 0
    for batch in images:
        flat = batch.flatten(1).float()
        total += torch.from_numpy(weights[:, seen : seen + len(flat)]) @ flat
        mean += flat.sum(0)
        seen += len(flat)
    mean /= seen
    mixed = total + (1 - torch.from_numpy(weights.sum(1)))[:, None] * mean
    return mixed.reshape(-1, *shape)
