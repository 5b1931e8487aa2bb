"""What the methods made of Boltzmann machines share: their options, how images become visibles, how they are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from medudl.methods.boltzmann import BernoulliMachine, Machine
from medudl.methods.gaussian_boltzmann import GaussianMachine

Visible = Literal["bernoulli", "gaussian"]
Chain = Literal["cd", "pcd"]
End = Literal["sampled", "mean"]
Sigma = Literal["one", "per_voxel"] | Annotated[float, Field(ge=0.001)]
PROBES = 128  # voxels that the pseudo-likelihood is estimated on


def first_machine(kind: Visible, visible: int, hidden: int, sigma: Sigma) -> Machine:
    """A machine whose visibles are the voxels of an image."""
    kinds: Mapping[Visible, Callable[[], Machine]] = {
        "bernoulli": lambda: BernoulliMachine(visible, hidden),
        "gaussian": lambda: GaussianMachine(
            visible, hidden, sigma=sigma if isinstance(sigma, float) else None, per_voxel=sigma == "per_voxel"
        ),
    }
    return kinds[kind]()


def particle_count(chain: Chain, particles: int) -> int:
    """Chains to carry on; CD begins its own at every image."""
    counts: Mapping[Chain, int] = {"cd": 0, "pcd": particles}
    return counts[chain]


def ends_in_means(end: End) -> bool:
    """Whether a chain's last visibles are means."""
    return {"sampled": False, "mean": True}[end]


def visibles_of(machine: Machine, image: Tensor) -> Tensor:
    """Voxels as visibles: (B, C, *S) -> (B, V). What a Bernoulli unit cannot show, below 0 and above 1, is clipped."""
    v = image.flatten(1).to(machine.weight.dtype)
    return v.clamp(0, 1) if isinstance(machine, BernoulliMachine) else v


def pseudo_nll(machine: Machine, v: Tensor) -> Tensor:
    """Minus the pseudo-log-likelihood (Besag 1975), - sum_i log p(v_i given all others), in nats: (B,).

    It needs no Z and is least at the true density, which the reconstruction error is not. Estimated on the same
    PROBES voxels every time, drawn once for all, where there are more of them; exact otherwise.
    """
    size = v.shape[1]
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    voxels = order[:PROBES].to(v.device)
    return machine.conditional_nll(v, voxels).sum(1) * (size / len(voxels))
