"""Mutual information of two images as a loss: does one tell the other, whatever the map between their intensities?"""

from __future__ import annotations

import torch
from torch import Tensor

from medudl.losses.pairs import per_channel

_NARROWEST = 1e-4  # an image whose intensities span less is flat
_RAREST = 1e-12


def mutual_information(x: Tensor, y: Tensor, mask: Tensor | None = None, *, bins: int = 32) -> Tensor:
    """Minus the mutual information (Viola & Wells 1995), by Parzen windows (Mattes et al. 2003), in nats:

        -sum_ab p_ab log(p_ab / (p_a p_b)),   p_ab = mean over voxels of beta(u(x) - a) beta(u(y) - b)

    beta: cubic B-spline, four bins wide. u: from an image's own least and greatest value (inside the mask) to bin 1 and
    bin `bins` - 2. Claims: unchanged by an affine map of either image, a < 0 included; by any one-to-one map of its
    intensities as far as these lie more than four bins apart, and roughly by smooth monotone ones. It knows nothing of
    places: voxels shuffled alike in both images change nothing. n independent voxels seem to tell bins^2 / 8n nats.
    x: (B, C, *S), y: (B, C', *S), 2-D or 3-D; averaged over channels first where C and C' differ. mask: (B, 1, *S).
    Returns (B,), from -log(bins) to 0; 0, with no gradient, where an image is flat or no voxel counts. It takes about
    16 bins bytes a voxel. ValueError for fewer than 5 bins.
    """
    if bins < 5:
        raise ValueError(f"{bins} bins: a window of four needs at least 5")

    def measure(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        weight = weight.flatten(1)  # (N, V)
        share = weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-8)
        wx, wy = (_windows(part.flatten(1), weight > 0, bins) for part in (x, y))  # (N, V, bins)
        joint = (wx * share.unsqueeze(2)).transpose(1, 2) @ wy  # (N, bins, bins)
        apart = _log(joint.sum(dim=2, keepdim=True)) + _log(joint.sum(dim=1, keepdim=True))
        return -(joint * (_log(joint) - apart)).sum(dim=(1, 2))

    return per_channel(measure, x, y, mask)


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=_RAREST).log()


def _windows(x: Tensor, inside: Tensor, bins: int) -> Tensor:
    """What each voxel puts into each bin: (N, V) -> (N, V, bins), adding up to 1."""
    low = torch.where(inside, x, x.amax(dim=1, keepdim=True)).amin(dim=1, keepdim=True)
    high = torch.where(inside, x, x.amin(dim=1, keepdim=True)).amax(dim=1, keepdim=True)
    place = 1 + ((x - low) / (high - low).clamp(min=_NARROWEST)).clamp(0, 1) * (bins - 3)
    first = place.detach().floor().clamp(max=bins - 3)
    f = place - first
    rest = 1 - f
    taps = [rest**3, 4 - 6 * f**2 + 3 * f**3, 4 - 6 * rest**2 + 3 * rest**3, f**3]
    at = first.long().unsqueeze(2) + torch.arange(-1, 3, device=x.device)  # (N, V, 4)
    return x.new_zeros(*x.shape, bins).scatter(2, at, torch.stack(taps, dim=2) / 6)
