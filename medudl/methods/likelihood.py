"""What a decoder's output means: the loss it is trained with, the image it stands for, and the map of the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from medudl.losses.reconstruction import absolute_error, bernoulli_cross_entropy, gaussian_nll, squared_error
from medudl.losses.ssim import structural_dissimilarity

Loss = Literal["squared_error", "absolute_error", "gaussian_nll", "bernoulli_cross_entropy", "ssim"]


def error_map(expected: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """|x - x^|, mean over channels: map (B, 1, *S) in intensities, and its mean over voxels (B,)."""
    return _mean_map(absolute_error(expected, image, voxelwise=True), image)


def dissimilarity_map(expected: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """1 - SSIM, mean over channels: map (B, 1, *S) in [0, 2], and its mean over voxels (B,) (Bergmann et al. 2019)."""
    return _mean_map(structural_dissimilarity(expected, image, voxelwise=True).clamp(min=0), image)


class Likelihood(nn.Module):
    """A loss whose prediction is the decoder's output: squared_error, absolute_error, ssim."""

    def __init__(self, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Tensor, image: Tensor, foreground: Tensor | None) -> Tensor:
        """Output and image (B, C, *S) -> (B,): the sum over the foreground's voxels."""
        return self.loss(output, image, foreground)

    def mean(self, output: Tensor) -> Tensor:
        """The expected image, float32: (B, C, *S) -> (B, C, *S)."""
        return output.float()

    def unusual(self, expected: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 1, *S) and score (B,) of what differs from the expected image."""
        return error_map(expected, image)


class Gaussian(Likelihood):
    """One sigma for all voxels, learned."""

    def __init__(self) -> None:
        super().__init__(gaussian_nll)
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, output: Tensor, image: Tensor, foreground: Tensor | None) -> Tensor:
        """Output and image (B, C, *S) -> (B,), in nats."""
        return gaussian_nll(output, image, self.log_sigma, foreground)


class Bernoulli(Likelihood):
    """Outputs are logits; brighter voxels than 1 have no probability and are clipped."""

    def __init__(self) -> None:
        super().__init__(bernoulli_cross_entropy)

    def forward(self, output: Tensor, image: Tensor, foreground: Tensor | None) -> Tensor:
        """Logits and image (B, C, *S) -> (B,), in nats."""
        return bernoulli_cross_entropy(output, image.clamp(0, 1), foreground)

    def mean(self, output: Tensor) -> Tensor:
        """Probabilities: (B, C, *S) -> (B, C, *S)."""
        return torch.sigmoid(output.float())


class Structure(Likelihood):
    """1 - SSIM for the loss, and for the map as well, so that one is judged as it was trained."""

    def __init__(self) -> None:
        super().__init__(structural_dissimilarity)

    def unusual(self, expected: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """See `dissimilarity_map`."""
        return dissimilarity_map(expected, image)


LIKELIHOODS: Mapping[Loss, Callable[[], Likelihood]] = {
    "squared_error": lambda: Likelihood(squared_error),
    "absolute_error": lambda: Likelihood(absolute_error),
    "gaussian_nll": Gaussian,
    "bernoulli_cross_entropy": Bernoulli,
    "ssim": Structure,
}


def _mean_map(per_voxel: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    heat = per_voxel / image.shape[1]
    return heat, heat.flatten(1).mean(dim=1)
