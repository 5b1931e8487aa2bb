"""Structure losses: does an output keep the edges and patterns of its input, whatever its intensities became?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from medudl.losses.mutual_information import mutual_information
from medudl.losses.pairs import per_channel, shrunk, weighted_mean

_FLATTEST = 1e-4  # an intensity step a voxel below which nothing is an edge


def gradient_fields(x: Tensor, y: Tensor, mask: Tensor | None = None, *, noise: float = 1.0) -> Tensor:
    """Normalised gradient fields (Haber & Modersitzki 2006): do edges lie at the same place, at the same angle?

        mean over voxels of   1 - (gx . gy)^2 / ((|gx|^2 + ex^2) (|gy|^2 + ey^2)),    e = noise * mean |g|

    g: central differences in voxels (at the border one neighbour is the voxel itself), blind to checkerboards.
    Claims: unchanged by an affine map a v + b of either image, a < 0 (inverted contrast) included. Not by other maps:
    strength counts against e. An edge that is new in y where x is flat costs nothing by itself.
    x: (B, C, *S), y: (B, C', *S), 2-D or 3-D; averaged over channels first where C and C' differ. mask: (B, 1, *S); a
    voxel counts whose neighbours lie inside too. Returns (B,) in [0, 1]; flat places are 1, so equal images are not 0.
    A flat image gives 1 and no gradient. noise: above it in units of the mean gradient an edge counts fully.
    """

    def measure(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        weight = shrunk(weight, 1)
        gx, gy = _gradient(x), _gradient(y)  # (N, dims, *S)
        aligned = (gx * gy).sum(dim=1, keepdim=True).square() / (
            _energy(gx, weight, noise) * _energy(gy, weight, noise)
        )
        return weighted_mean(1 - aligned, weight)

    return per_channel(measure, x, y, mask)


def mind(x: Tensor, y: Tensor, mask: Tensor | None = None, *, sigma: float = 0.5) -> Tensor:
    """Modality independent neighbourhood descriptor (MIND; Heinrich et al. 2012): are patches alike in the same way?

        D_r(v) = sum_p G_sigma(p) (I(v + p) - I(v + r + p))^2,   V = mean over r of D_r   (r: 4 or 6 neighbours)
        MIND_r = exp(-D_r / V) / max over r,        mean over v and r of |MIND_r(x) - MIND_r(y)|

    V is raised by a thousandth of its mean, that flat places may not divide by nothing.
    Claims: unchanged by an affine map a v + b of either image, a < 0 included; roughly by smooth monotone maps, which
    are affine within a patch where the image is smooth, not across its edges. No other one-to-one map.
    x: (B, C, *S), y: (B, C', *S), 2-D or 3-D; averaged over channels first where C and C' differ. mask: (B, 1, *S); a
    voxel counts whose patches lie inside too. Returns (B,) in [0, 1), 0 for equal images. A flat image is finite and
    has no gradient. sigma: voxels of the patch's window, which is cut at 3 sigma.
    """
    radius = max(1, round(3 * sigma))

    def measure(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        weight = shrunk(weight, 1 + radius)
        difference = _descriptor(x, weight, sigma, radius) - _descriptor(y, weight, sigma, radius)
        return weighted_mean(difference.abs().mean(dim=1, keepdim=True), weight)

    return per_channel(measure, x, y, mask)


STRUCTURE: Mapping[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "gradient": gradient_fields,
    "mind": mind,
    "mutual_information": mutual_information,
}


def _gradient(x: Tensor) -> Tensor:
    """Half the difference of the two neighbours along each axis: (N, 1, *S) -> (N, dims, *S)."""
    dims = x.ndim - 2
    around = F.pad(x, [1] * (2 * dims), mode="replicate")
    return torch.cat([(_moved(around, a, 1, 1) - _moved(around, a, -1, 1)) / 2 for a in range(dims)], dim=1)


def _moved(around: Tensor, axis: int, by: int, margin: int) -> Tensor:
    """The image inside a margin, read `by` voxels further along one axis: (N, C, *S)."""
    for a in range(around.ndim - 2):
        around = around.narrow(a + 2, margin + by * (a == axis), around.shape[a + 2] - 2 * margin)
    return around


def _energy(g: Tensor, weight: Tensor, noise: float) -> Tensor:
    """|g|^2 + e^2: (N, 1, *S). e is never 0, and has a slope where g is."""
    square = g.square().sum(dim=1, keepdim=True)
    e = noise * weighted_mean((square + _FLATTEST**2).sqrt(), weight)
    # An empty mask has no mean.
    return square + e.clamp(min=noise * _FLATTEST).square().view(-1, *[1] * (g.ndim - 1))


def _descriptor(x: Tensor, weight: Tensor, sigma: float, radius: int) -> Tensor:
    """MIND of each voxel: (N, 2 dims, *S), the largest of each voxel 1."""
    dims = x.ndim - 2
    around = F.pad(x, [1 + radius] * (2 * dims), mode="replicate")
    here = _moved(around, 0, 0, 1)
    squares = [(here - _moved(around, a, by, 1)).square() for a in range(dims) for by in (1, -1)]
    distance = torch.cat([_windowed(square, sigma, radius) for square in squares], dim=1)  # (N, 2 dims, *S)
    variance = distance.mean(dim=1, keepdim=True)
    least = 1e-3 * weighted_mean(variance, weight) + _FLATTEST**2
    nearest = distance.amin(dim=1, keepdim=True)
    return torch.exp(-(distance - nearest) / (variance + least.view(-1, *[1] * (dims + 1))))


def _windowed(x: Tensor, sigma: float, radius: int) -> Tensor:
    """Gaussian mean, one axis after the other, the margin of `radius` voxels used up: (N, 1, *S + 2 radius)."""
    at = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    line = torch.exp(-0.5 * (at / sigma).square())
    for axis in range(2, x.ndim):
        side = x.shape[axis] - 2 * radius
        x = sum((x.narrow(axis, k, side) * w for k, w in enumerate(line / line.sum())), torch.zeros(()).to(x))
    return x
