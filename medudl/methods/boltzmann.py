"""Restricted Boltzmann machines: one function a symbol of the theory. v visible (B, V), h hidden (B, H)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHT_SPREAD = 0.01  # of the first weights (Hinton 2012, a practical guide)
CHUNK = 2**22  # numbers held at once while single voxels are looked at

DEVICES = ("cpu", "cuda")

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """A module's method, computed in its parameters' precision whatever the autocast: energies sum over all voxels."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        kind = next((kind for kind in DEVICES if torch.is_autocast_enabled(kind)), None)
        if kind is None:
            return function(*args, **kwargs)
        with torch.autocast(kind, enabled=False):
            return function(*args, **kwargs)

    return inside


class Machine(nn.Module, ABC):
    """Restricted Boltzmann machine (Smolensky 1986; Hinton 2002).

        p(v, h) = exp(-E(v, h)) / Z,   p(v) = exp(-F(v)) / Z,   F(v) = -log sum_h exp(-E(v, h))

    with x = `standard(v)`, which enters everything that is shared:

        F(v) = energy of the visibles alone - sum_j softplus(c_j + sum_i x_i W_ij)

    visible, hidden: V and H. W is (V, H): visible x hidden, everywhere. particles: chains that persistent contrastive
    divergence carries on from step to step, a buffer (N, V), or None; see `carry`.
    beta, where a function takes it: W and c are multiplied by it, from 0 (hidden units say nothing) to 1.
    """

    weight: nn.Parameter
    particles: Tensor | None

    def __init__(self, visible: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(WEIGHT_SPREAD * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("particles", None)

    def carry(self, particles: int) -> None:
        """Begin that many chains, for persistent contrastive divergence; 0 for none."""
        self.register_buffer("particles", self.noise(particles) if particles else None)

    # What the visible units are.

    @abstractmethod
    def noise(self, count: int) -> Tensor:
        """(count, V): visibles of the machine with W = 0 and b = 0, where a chain may begin."""

    @abstractmethod
    def standard(self, v: Tensor) -> Tensor:
        """X, what the hidden units see of v: (B, V)."""

    @abstractmethod
    def visible_energy(self, v: Tensor) -> Tensor:
        """E of the visibles alone, W = 0 and c = 0, in nats: (B,)."""

    @abstractmethod
    def mean_visibles(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """E[v given h]: (B, H) -> (B, V)."""

    @abstractmethod
    def sample_visibles(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """V ~ p(v given h): (B, H) -> (B, V)."""

    @abstractmethod
    def visible_nll(self, v: Tensor, h: Tensor) -> Tensor:
        """-log p(v given h), in nats: (B, V), (B, H) -> (B,)."""

    @abstractmethod
    def log_visible_sum(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """Log of the sum (or integral) over v of exp(-E(v, h)), hidden bias left out: (B, H) -> (B,)."""

    @abstractmethod
    def free_energy_gradient(self, v: Tensor, h: Tensor, share: Tensor) -> dict[str, Tensor]:
        """d/d parameter of sum_n share_n F(v_n), by parameter name; h = `mean_hiddens(v)`, share (B,)."""

    @abstractmethod
    def conditional_nll(self, v: Tensor, voxels: Tensor) -> Tensor:
        """-log p(v_i given all other visibles) for each i of `voxels` (K,), in nats: (B, K)."""

    # What all machines share.

    def hidden_input(self, v: Tensor) -> Tensor:
        """c_j + sum_i x_i W_ij: (B, V) -> (B, H)."""
        return torch.addmm(self.hidden_bias, self.standard(v), self.weight)

    def mean_hiddens(self, v: Tensor, beta: float = 1.0) -> Tensor:
        """P(h_j = 1 given v) = sigmoid(c_j + sum_i x_i W_ij): (B, V) -> (B, H)."""
        return torch.sigmoid(_times(self.hidden_input(v), beta))

    def sample_hiddens(self, v: Tensor, beta: float = 1.0) -> Tensor:
        """H ~ p(h given v): (B, V) -> (B, H) of 0 and 1."""
        return coin(self.mean_hiddens(v, beta))

    def free_energy(self, v: Tensor, beta: float = 1.0) -> Tensor:
        """F(v) = E of the visibles - sum_j softplus(c_j + sum_i x_i W_ij), in nats: (B, V) -> (B,)."""
        return self.visible_energy(v) - F.softplus(_times(self.hidden_input(v), beta)).sum(1)

    def gibbs(self, v: Tensor, steps: int, beta: float = 1.0) -> Tensor:
        """`steps` times h ~ p(h given v), v ~ p(v given h): (B, V) -> (B, V)."""
        for _ in range(steps):
            v = self.sample_visibles(self.sample_hiddens(v, beta), beta)
        return v

    @torch.no_grad()
    def contrast(self, data: Tensor, steps: int, means: bool = False) -> dict[str, Tensor]:
        """Contrastive divergence, CD-k (Hinton 2002), and persistent CD (Tieleman 2008): ready gradients by name.

            mean over the data of dF(v)/d theta - mean over the chains of dF(v~)/d theta

        for W: v~ h~' - v h'. Hidden units enter as probabilities, which varies less than samples of them. A chain
        begins at each image, or goes on from the particles where the machine has any; v~ is where it stands after
        `steps` Gibbs steps; with `means` the mean of the visibles there, which varies less still and suits grey images,
        but is no sample of the model. data: (B, V); as many particles as there are, whatever B.
        """
        hiddens = self.mean_hiddens(data)
        h = coin(hiddens) if self.particles is None else self.sample_hiddens(self.particles)
        for _ in range(steps - 1):
            h = self.sample_hiddens(self.sample_visibles(h))
        if self.particles is not None:
            self.particles.copy_(self.sample_visibles(h))
        if means:
            chain = self.mean_visibles(h)
        else:
            chain = self.sample_visibles(h) if self.particles is None else self.particles
        share = torch.cat([data.new_full((len(v),), sign / len(v)) for v, sign in ((data, 1.0), (chain, -1.0))])
        h = torch.cat([hiddens, self.mean_hiddens(chain)])  # (B + N, H)
        return self.free_energy_gradient(torch.cat([data, chain]), h, share)


class BernoulliMachine(Machine):
    """Visibles of 0 and 1: E(v, h) = -b'v - c'h - v'Wh. Greys between them count as probabilities of a 1."""

    def noise(self, count: int) -> Tensor:
        """Fair coins: (count, V)."""
        return coin(torch.full((count, len(self.visible_bias)), 0.5, device=self.weight.device))

    def standard(self, v: Tensor) -> Tensor:
        """V itself."""
        return v

    def visible_energy(self, v: Tensor) -> Tensor:
        """-b'v: (B,)."""
        return -(v @ self.visible_bias)

    def visible_input(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """b_i + sum_j W_ij h_j: (B, H) -> (B, V)."""
        return torch.addmm(self.visible_bias, h, self.weight.T, alpha=beta)

    def mean_visibles(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """P(v_i = 1 given h) = sigmoid(b_i + sum_j W_ij h_j): (B, H) -> (B, V)."""
        return torch.sigmoid(self.visible_input(h, beta))

    def sample_visibles(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """V ~ p(v given h): (B, H) -> (B, V) of 0 and 1."""
        return coin(self.mean_visibles(h, beta))

    def visible_nll(self, v: Tensor, h: Tensor) -> Tensor:
        """Cross-entropy of v and `mean_visibles(h)`: (B,)."""
        return F.binary_cross_entropy_with_logits(self.visible_input(h), v, reduction="none").sum(1)

    def log_visible_sum(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """sum_i softplus(b_i + sum_j W_ij h_j): (B,)."""
        return F.softplus(self.visible_input(h, beta)).sum(1)

    def free_energy_gradient(self, v: Tensor, h: Tensor, share: Tensor) -> dict[str, Tensor]:
        """W: -v h', b: -v, c: -h, each times share and summed over the batch."""
        h = h * -share[:, None]
        return {"weight": v.T @ h, "visible_bias": -(share @ v), "hidden_bias": h.sum(0)}

    def conditional_nll(self, v: Tensor, voxels: Tensor) -> Tensor:
        """Cross-entropy of v_i and sigmoid(F(v_i = 0) - F(v_i = 1)), the others as they are: (B, K).

        On a grey v_i it is a loss and no likelihood, and its least value, the entropy of that grey, is taken off.
        """
        seen, others = v[:, voxels], self.hidden_input(v)  # (B, K), (B, H)
        rows = self.weight[voxels]  # (K, H)
        parts = []
        for at in torch.split(torch.arange(len(voxels), device=v.device), max(1, CHUNK // others.numel())):
            off = others[:, None] - seen[:, at, None] * rows[at]  # (B, k, H), v_i = 0
            logit = self.visible_bias[voxels[at]] + (F.softplus(off + rows[at]) - F.softplus(off)).sum(2)
            parts.append(F.softplus(logit) - seen[:, at] * logit)
        return torch.cat(parts, dim=1) - coin_entropy(seen)


def coin(probability: Tensor) -> Tensor:
    """1 with this probability, else 0, in the same kind of number and without a gradient."""
    return torch.rand_like(probability.detach()).lt_(probability.detach())


def coin_entropy(probability: Tensor) -> Tensor:
    """Entropy of a coin, -p log p - (1 - p) log(1 - p), in nats, each on its own."""
    first: Tensor = torch.special.entr(probability)
    second: Tensor = torch.special.entr(1 - probability)
    return first + second


def _times(values: Tensor, beta: float) -> Tensor:
    return values if beta == 1.0 else values * beta
