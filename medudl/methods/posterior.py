"""The code's distribution q(z given x) = N(mean, sigma^2): drawing from it, and how much of it is in use."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medudl.losses.divergence import kl_to_standard_normal

ACTIVE = 0.01  # variance of a dimension's mean over the images above which it is in use (Burda et al. 2016)
FEW = 0.25  # of the dimensions; below this share the notes say what to do


def reparametrise(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """Code z = mean + sigma * noise (Kingma & Welling 2013): a gradient reaches both. All (B, Z) -> (B, Z)."""
    return mean + torch.exp(0.5 * log_var) * noise


def fixed_noise(pairs: int, latent: int) -> Tensor:
    """Points that stand for N(0, I), always the same: (2 * pairs, Z).

    A random orthogonal basis (seed 0), its first `pairs` vectors at length sqrt(Z), where a Gaussian's points lie, and
    their opposites. Their mean is 0; over all of pairs = Z their covariance is I, so that an average over them is
    exact for every function up to the second degree: for the evidence lower bound of a linear decoder.
    pairs: from 1 to Z; more are cut to Z.
    """
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(latent, min(pairs, latent), generator=generator, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(columns)[0].T * latent**0.5  # (pairs, Z)
    return torch.cat([basis, -basis])


class CodeUse(nn.Module):
    """Which of Z code dimensions say anything of the training images: active units (Burda et al. 2016).

        dimension j is in use where Var_x(E_q z_j) > .01

    Where none is, the posterior has collapsed onto the prior, and every image is drawn alike. Buffers: variance (Z,) of
    the mean over the images, divergence (Z,) mean KL in nats, count () of images (0: not measured yet), contrast ():
    the largest variance of a voxel over the images.
    """

    variance: Tensor
    divergence: Tensor
    count: Tensor
    contrast: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("variance", torch.zeros(latent))
        self.register_buffer("divergence", torch.zeros(latent))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("contrast", torch.zeros(()))

    def fit(self, mean: Tensor, log_var: Tensor, contrast: Tensor) -> None:
        """Measure on the N training images. mean, log_var: (N, Z) of their codes; contrast: a scalar, see above."""
        self.count.fill_(len(mean))
        self.variance.copy_(mean.double().var(dim=0, correction=0))
        self.divergence.copy_(kl_to_standard_normal(mean, log_var, by_dimension=True).double().mean(dim=0))
        self.contrast.copy_(contrast)

    def active(self) -> Tensor:
        """Which dimensions are in use: (Z,) bool."""
        return self.variance > ACTIVE

    def notes(self, advice: str) -> list[str]:
        """In words; empty before `fit`. advice: how to bring more dimensions into use."""
        if not self.count:
            return []
        alike = self._alike()
        used, all_of_them = int(self.active().sum()), len(self.variance)
        nats = float(self.divergence.sum())
        use = (
            f"{used or 'none'} of {all_of_them} code dimensions {'is' if used == 1 else 'are'} in use ({nats:.1f} nats)"
        )
        if alike:
            return [alike, use]
        if not used:
            use += ": the posterior has collapsed, and every image is drawn alike"
        if used < FEW * all_of_them:
            use += f"; for more, {advice}"
        return [use]

    def _alike(self) -> str | None:
        if self.count == 1:
            return "there is a single training image: it is learnt by heart, and nothing can be told from others"
        if self.contrast < 1e-10:
            return (
                f"the {int(self.count)} training images are all the same: there is nothing to learn from them; look at"
                " the scans, and at data.intensity, which maps them to the range from 0 to 1"
            )
        return None


class Moments:
    """Mean and variance over rows that come in parts (B, N), divided by their count, in float64 (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """One part more."""
        rows = rows.detach().double().cpu()
        own, total = rows.mean(dim=0), self.count + len(rows)
        step = own - self.mean
        self.squares = self.squares + (rows - own).square().sum(0) + step.square() * (self.count * len(rows) / total)
        self.mean = self.mean + step * (len(rows) / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """(N,)."""
        return self.squares / self.count
