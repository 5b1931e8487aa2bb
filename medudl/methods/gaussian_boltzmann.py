"""Restricted Boltzmann machine with Gaussian visible units, for intensities that are no probabilities."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.methods.boltzmann import CHUNK, Machine

SMALLEST_SIGMA = 0.01  # a voxel that is the same in all images would have an infinite density without it
FIRST_SIGMA = 0.25  # of intensities that lie in [0, 1]
GRID = 64  # points of the integral over one voxel
TAIL = 6.0  # how many sigma the integral goes beyond what is seen and what is expected


class GaussianMachine(Machine):
    """Visibles are real numbers (Welling et al. 2005; Cho et al. 2011 on learning sigma). With x = (v - b) / sigma:

        E(v, h) = x'x / 2 - c'h - x'Wh,   v_i given h ~ N(b_i + sigma_i sum_j W_ij h_j, sigma_i^2)

    sigma: a number states it; None learns it, as .01 + exp(log_sigma), one for all or, with per_voxel, one a voxel.
    Fixing it at 1 where intensities lie in [0, 1] drowns the image in noise of its own model: hence no default.
    """

    stated: Tensor | None

    def __init__(self, visible: int, hidden: int, *, sigma: float | None, per_voxel: bool = False) -> None:
        super().__init__(visible, hidden)
        if sigma is None:
            start = math.log(FIRST_SIGMA - SMALLEST_SIGMA)
            self.log_sigma = nn.Parameter(torch.full((visible if per_voxel else 1,), start))
        self.register_buffer("stated", None if sigma is None else torch.full((1,), sigma))

    @property
    def sigma(self) -> Tensor:
        """Standard deviation of a voxel given h, in intensities: (1,) or (V,)."""
        return self.log_sigma.exp() + SMALLEST_SIGMA if self.stated is None else self.stated

    def noise(self, count: int) -> Tensor:
        """N(0, sigma^2): (count, V)."""
        draw = torch.randn(count, len(self.visible_bias), device=self.weight.device, dtype=self.weight.dtype)
        return draw * self.sigma.detach()

    def standard(self, v: Tensor) -> Tensor:
        """(v - b) / sigma."""
        return (v - self.visible_bias) / self.sigma

    def visible_energy(self, v: Tensor) -> Tensor:
        """Half the squared length of x: (B,)."""
        return 0.5 * self.standard(v).square().sum(1)

    def mean_visibles(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """b_i + sigma_i sum_j W_ij h_j: (B, H) -> (B, V)."""
        return self.visible_bias + self.sigma * beta * (h @ self.weight.T)

    def sample_visibles(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """N(mean_visibles, sigma^2): (B, H) -> (B, V)."""
        mean = self.mean_visibles(h, beta)
        return mean + self.sigma * torch.randn_like(mean)

    def visible_nll(self, v: Tensor, h: Tensor) -> Tensor:
        """|x - Wh|^2 / 2 + sum_i log sigma_i + V log(2 pi) / 2: (B,)."""
        size = len(self.visible_bias)
        constant = self.sigma.log().expand(size).sum() + 0.5 * size * math.log(2 * math.pi)
        return 0.5 * (self.standard(v) - h @ self.weight.T).square().sum(1) + constant

    def log_visible_sum(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """|Wh|^2 / 2 + sum_i log sigma_i + V log(2 pi) / 2: (B,)."""
        size = len(self.visible_bias)
        constant = self.sigma.log().expand(size).sum() + 0.5 * size * math.log(2 * math.pi)
        return 0.5 * (beta * (h @ self.weight.T)).square().sum(1) + constant

    def free_energy_gradient(self, v: Tensor, h: Tensor, share: Tensor) -> dict[str, Tensor]:
        """With r = x - Wh: W: -x h', b: -r / sigma, c: -h, log sigma: -x r, times share and summed over the batch.

        log_sigma is the logarithm of sigma - .01 and has that slope, (sigma - .01) / sigma of the last one.
        """
        share, x, sigma = -share, self.standard(v), self.sigma
        residual = x - h @ self.weight.T
        h = h * share[:, None]
        found = {"weight": x.T @ h, "visible_bias": share @ residual / sigma, "hidden_bias": h.sum(0)}
        if self.stated is None:
            slope = (share @ (x * residual)) * (sigma - SMALLEST_SIGMA) / sigma  # (V,)
            found["log_sigma"] = slope if len(self.log_sigma) > 1 else slope.sum(0, keepdim=True)
        return found

    def conditional_nll(self, v: Tensor, voxels: Tensor) -> Tensor:
        """Density of v_i given the others, its normaliser integrated on a grid: (B, K).

        p(v_i given others) = exp g(x_i) / (sigma_i int exp g(x) dx),  g(x) = -x^2 / 2 + sum_j softplus(a_j + x W_ij)
        """
        x, others = self.standard(v), self.hidden_input(v)
        seen, rows = x[:, voxels], self.weight[voxels]  # (B, K), (K, H)
        expected = torch.sigmoid(others) @ rows.T  # (B, K)
        low, high = torch.minimum(seen, expected) - TAIL, torch.maximum(seen, expected) + TAIL
        along = torch.linspace(0, 1, GRID, device=v.device, dtype=v.dtype)
        parts = []
        for at in torch.split(torch.arange(len(voxels), device=v.device), max(1, CHUNK // (GRID * others.numel()))):
            off = others[:, None] - seen[:, at, None] * rows[at]  # (B, k, H), x_i = 0
            grid = low[:, at, None] + (high - low)[:, at, None] * along  # (B, k, G)
            heights = _height(grid, off, rows[at])
            steps = ((high - low)[:, at] / (GRID - 1)).log()
            parts.append(heights.logsumexp(2) + steps - _height(seen[:, at, None], off, rows[at])[..., 0])
        return torch.cat(parts, dim=1) + self.sigma.log().expand(v.shape[1])[voxels]


def _height(x: Tensor, off: Tensor, rows: Tensor) -> Tensor:
    """The exponent g at x (B, k, G), for off (B, k, H) and rows (k, H)."""
    return -0.5 * x.square() + F.softplus(off[:, :, None] + x[..., None] * rows[None, :, None]).sum(3)
