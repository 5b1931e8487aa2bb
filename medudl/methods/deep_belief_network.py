"""Deep belief network: Boltzmann machines stacked, each learnt on what the one below says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.methods.autoencoder import error_map
from medudl.methods.boltzmann import BernoulliMachine, Machine, coin, coin_entropy, full_precision
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
from medudl.methods.method import Method, Objective, Phase

Inputs = Literal["mean", "sampled"]
Hidden = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]


class DeepBeliefNetwork(Method):
    """Deep belief network (Hinton, Osindero & Teh 2006), learnt greedily, a layer a phase.

        p(v, h1, ..., hL) = p(v given h1) ... p(hL-2 given hL-1) p(hL-1, hL),   the last pair a Boltzmann machine

    Each layer is a machine (boltzmann.py) learnt by contrastive divergence on the hidden units below, with those
    below held fixed. Begin a classifier from it (`method: {name: classifier, init: RUN}`) to fine-tune it on labels:
    `encode` has a gradient.

    hidden: units of each layer, from the image up. inputs: what a layer learns from, the hidden units' means
    (probabilities, which vary less) or samples of them, layer upon layer, as the bound on log p(v) is stated.
    visible, sigma, chain, k, end, particles, gibbs: as for rbm; visible and sigma are the first layer's.
    """

    score_names: ClassVar[tuple[str, ...]] = ("free_energy",)

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden: Hidden = [256, 128],  # noqa: B006 (never changed)
        inputs: Inputs = "mean",
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
        makers: Mapping[Inputs, Callable[[Tensor], Tensor]] = {"mean": lambda h: h, "sampled": coin}
        self.passed_up = makers[inputs]
        self.machines = nn.ModuleList([first_machine(visible, math.prod(shape), hidden[0], sigma)])
        self.machines.extend(BernoulliMachine(below, above) for below, above in zip(hidden, hidden[1:], strict=False))
        for machine in self._stack():
            machine.carry(particle_count(chain, particles))
        self.active = 0

    def players(self) -> dict[str, nn.Module]:
        """One a layer: layer1 sees the image."""
        return {f"layer{i}": machine for i, machine in enumerate(self.machines, start=1)}

    def phases(self) -> tuple[Phase, ...]:
        """One a layer, of equal length, from the image up."""
        return tuple(Phase(name) for name in self.players())

    def enter_phase(self, phase: Phase) -> None:
        """The layer that learns is the phase's."""
        self.active = list(self.players()).index(phase.name)

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update of the phase's layer, by hand."""
        gradients = self._contrast(batch["image"])
        # Where learning ends, what comes from below and what the chains say have the same means.
        parts = {"mismatch": torch.linalg.vector_norm(gradients["visible_bias"])}
        yield Objective(f"layer{self.active + 1}", None, parts, gradients)

    @torch.no_grad()
    @full_precision
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss: (B,)}, of the phase's layer: minus its pseudo-log-likelihood of what it is fed, in nats.

        Values of different layers cannot be compared: each looks at other units.
        """
        below = self._features(batch["image"], self.active)
        return {"loss": pseudo_nll(self._stack()[self.active], below).float()}

    @full_precision
    def encode(self, image: Tensor) -> Tensor:
        """Means of the top units: (B, C, *S) -> (B, H)."""
        return self._features(image, len(self.machines))

    @full_precision
    def decode(self, code: Tensor) -> Tensor:
        """Means downwards, layer by layer: (B, H) -> (B, C, *S)."""
        values = code.to(self._stack()[0].weight.dtype)
        for machine in reversed(self._stack()):
            values = machine.mean_visibles(values)
        return self._image(values)

    def reconstruct(self, image: Tensor) -> Tensor:
        """Up to the top and down again: (B, C, *S) -> (B, C, *S)."""
        return self.decode(self.encode(image))

    @torch.no_grad()
    @full_precision
    def sample(self, count: int) -> Tensor:
        """(count, C, *S): a Gibbs chain in the top machine, then samples downwards; the image is a mean.

        The chain begins at the top machine's particles where it carries any, else at fair coins.
        """
        *below, top = self._stack()
        start = top.noise(count).to(top.weight.dtype)
        if top.particles is not None:
            start = top.particles[torch.arange(count, device=start.device) % len(top.particles)]
        values = top.gibbs(start, self.gibbs_steps)
        if not below:
            return self._image(top.mean_visibles(top.sample_hiddens(values)))
        for machine in reversed(below[1:]):
            values = machine.sample_visibles(values)
        return self._image(below[0].mean_visibles(values))

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """|x - reconstruction|, mean over channels: map (B, 1, *S), and its mean over voxels (B,)."""
        return error_map(self.reconstruct(image), image)

    @full_precision
    def scores(self, image: Tensor) -> dict[str, Tensor]:
        """{free_energy: (B,)}, minus the bound on log p(v) at the hidden units' means, up to log Z of the top, in nats.

            sum over the layers below the top: -log p(values given the means above) - entropy of these;
            plus F of the top machine

        With one layer it is that machine's free energy. Below the top it puts means where the bound has expectations.
        """
        *below, top = self._stack()
        values = visibles_of(self._stack()[0], image)
        total = torch.zeros_like(values[:, 0])
        for machine in below:
            means = machine.mean_hiddens(values)
            total = total + machine.visible_nll(values, means) - coin_entropy(means).sum(1)
            values = means
        return {"free_energy": (total + top.free_energy(values)).float()}

    def notes(self) -> list[str]:
        """What its loss is and is not."""
        return ["the loss printed is the last layer's, of the units below it: compare maps and scores, not losses"]

    def _image(self, v: Tensor) -> Tensor:
        return v.reshape(-1, *self.shape).float()

    def _features(self, image: Tensor, layers: int) -> Tensor:
        values = visibles_of(self._stack()[0], image)
        for machine in self._stack()[:layers]:
            values = machine.mean_hiddens(values)
        return values

    @full_precision
    def _contrast(self, image: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            values = visibles_of(self._stack()[0], image)
            for machine in self._stack()[: self.active]:
                values = self.passed_up(machine.mean_hiddens(values))
        return self._stack()[self.active].contrast(values, self.k, self.means)

    def _stack(self) -> list[Machine]:
        return [machine for machine in self.machines if isinstance(machine, Machine)]
