"""Restricted Boltzmann machine over the voxels of an image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.methods.autoencoder import error_map
from medudl.methods.boltzmann import full_precision
from medudl.methods.energy import (
    Chain,
    End,
    Sigma,
    Visible,
    ends_in_means,
    first_machine,
    particle_count,
    pseudo_nll,
    visibles_of,
)
from medudl.methods.method import Method, Objective

ASLEEP = 0.02  # a hidden unit whose probability moves less than this over the training images tells nothing


class RBM(Method):
    """Restricted Boltzmann machine (Smolensky 1986), learnt by contrastive divergence (Hinton 2002).

        E(v, h) = -b'v - c'h - v'Wh,   W <- W + rate * (v h' - v~ h~'),   v~ after k Gibbs steps

    Updates are written by hand. All voxels are part of the density, those outside the foreground too (the verbs see
    whole images): set data.outside: zero, which is what a chain then learns to expect there.

    hidden: H hidden units. visible: bernoulli takes intensities as probabilities and clips them to [0, 1]; gaussian
    takes real numbers. sigma, for gaussian: learned, one or per_voxel, or a number that states it, in intensities.
    chain: cd begins at every image; pcd carries `particles` chains on from step to step and so learns a better
    density, at a smaller rate. k: Gibbs steps an update. end: a chain's last visibles are sampled, as the theory has
    it, or their mean, which varies less and gives better features of grey images. gibbs: steps of a chain that `sample`
    draws from.
    """

    average: Tensor
    activity: Tensor
    score_names: ClassVar[tuple[str, ...]] = ("free_energy",)

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden: Annotated[int, Field(ge=1)] = 256,
        visible: Visible = "bernoulli",
        sigma: Sigma = "one",
        chain: Chain = "cd",
        k: Annotated[int, Field(ge=1)] = 1,
        end: End = "sampled",
        particles: Annotated[int, Field(ge=1)] = 64,
        gibbs: Annotated[int, Field(ge=1)] = 200,
    ) -> None:
        super().__init__(shape)
        self.k, self.means, self.gibbs_steps = k, ends_in_means(end), gibbs
        self.machine = first_machine(visible, math.prod(shape), hidden, sigma)
        self.machine.carry(particle_count(chain, particles))
        self.register_buffer("average", torch.full((math.prod(shape),), 0.5))  # of the training images
        self.register_buffer("activity", torch.ones(hidden))  # spread of each hidden unit over them

    def players(self) -> dict[str, nn.Module]:
        """One: the machine."""
        return {"machine": self.machine}

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update by hand."""
        gradients = self._contrast(batch["image"])
        # Where learning ends, data and chains have the same means.
        yield Objective("machine", None, {"mismatch": torch.linalg.vector_norm(gradients["visible_bias"])}, gradients)

    @torch.no_grad()
    @full_precision
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss: (B,)}, minus the pseudo-log-likelihood of all voxels (see `pseudo_nll`), in nats."""
        return {"loss": pseudo_nll(self.machine, visibles_of(self.machine, batch["image"])).float()}

    @full_precision
    def encode(self, image: Tensor) -> Tensor:
        """P(h = 1 given v): (B, C, *S) -> (B, H)."""
        return self.machine.mean_hiddens(visibles_of(self.machine, image))

    @full_precision
    def decode(self, code: Tensor) -> Tensor:
        """E[v given h]: (B, H) -> (B, C, *S)."""
        v = self.machine.mean_visibles(code.to(self.machine.weight.dtype))
        return v.reshape(-1, *self.shape).float()

    def reconstruct(self, image: Tensor) -> Tensor:
        """Down again from the hidden units' means: (B, C, *S) -> (B, C, *S)."""
        return self.decode(self.encode(image))

    @torch.no_grad()
    @full_precision
    def sample(self, count: int) -> Tensor:
        """(count, C, *S): means of the visibles at the end of chains, begun at the particles or the average image."""
        start = self.average.expand(count, -1)
        if self.machine.particles is not None:
            start = self.machine.particles[torch.arange(count, device=start.device) % len(self.machine.particles)]
        v = self.machine.gibbs(start.to(self.machine.weight.dtype), self.gibbs_steps)
        return self.decode(self.machine.sample_hiddens(v))

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """|x - reconstruction|, mean over channels: map (B, 1, *S), and its mean over voxels (B,)."""
        return error_map(self.reconstruct(image), image)

    @full_precision
    def scores(self, image: Tensor) -> dict[str, Tensor]:
        """{free_energy: (B,)}, -log p(v) up to the same constant log Z for all images, in nats."""
        return {"free_energy": self.machine.free_energy(visibles_of(self.machine, image)).float()}

    @full_precision
    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure the average image and how much each hidden unit moves over the training images."""
        count, total = 0, torch.zeros_like(self.average).double()
        first, second = torch.zeros_like(self.activity).double(), torch.zeros_like(self.activity).double()
        for batch in batches:
            v = visibles_of(self.machine, batch["image"])
            h = self.machine.mean_hiddens(v).double()
            count, total = count + len(v), total + v.double().sum(0)
            first, second = first + h.sum(0), second + h.square().sum(0)
        self.average.copy_(total / count)
        self.activity.copy_((second / count - (first / count) ** 2).clamp(min=0).sqrt())

    def notes(self) -> list[str]:
        """How many hidden units tell images apart."""
        used, size = int(self.activity.gt(ASLEEP).sum()), len(self.activity)
        return [f"{used} of {size} hidden units tell the training images apart"]

    @full_precision
    def _contrast(self, image: Tensor) -> dict[str, Tensor]:
        return self.machine.contrast(visibles_of(self.machine, image), self.k, self.means)
