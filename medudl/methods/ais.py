"""The partition function Z of a Boltzmann machine: exactly where it is small, else by annealed importance sampling."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from medudl.errors import UserError
from medudl.methods.boltzmann import BernoulliMachine, Machine

LARGEST = 20  # units that are enumerated: 2^20 states
BLOCK = 2**14  # states looked at at once


class LogPartition(NamedTuple):
    """log Z in nats, its standard error, and how many of the chains count: their effective number."""

    log_z: float
    standard_error: float
    effective_chains: float


@torch.no_grad()
def annealed_log_partition(machine: Machine, *, chains: int = 100, temperatures: int = 1000) -> LogPartition:
    """Log Z by annealed importance sampling (Neal 2001; Salakhutdinov & Murray 2008).

        log w = sum over beta of F at the last beta minus F at the next one, both where the chain stands
        log Z = log Z_0 + log mean w,   Z_0 = 2^H times the sum over v of exp(-E of the visibles alone)

    Chains begin at the machine without hidden units (beta 0), whose Z is known, and take a Gibbs step at each of
    `temperatures` values of beta up to 1. Random numbers are torch's own: seed them. The standard error is that of the
    mean of w, carried to the logarithm; where few chains count, it and log Z are too small: take more temperatures.
    """
    _checked(chains=chains, temperatures=temperatures)
    size = machine.weight.shape[1]
    none = machine.weight.new_zeros(1, size)
    start = float(machine.log_visible_sum(none, 0.0)) + size * math.log(2)
    v = machine.sample_visibles(none.expand(chains, -1), 0.0)
    log_w = machine.weight.new_zeros(chains, dtype=torch.float64)
    previous = 0.0
    for beta in torch.linspace(0, 1, temperatures + 1, dtype=torch.float64)[1:].tolist():
        # The visibles' own energy is the same at both and cancels; it would cost digits.
        seen = machine.hidden_input(v)
        log_w += (F.softplus(beta * seen) - F.softplus(previous * seen)).sum(1).double()
        v = machine.gibbs(v, 1, beta)
        previous = beta
    return _estimate(start, log_w)


def _estimate(start: float, log_w: Tensor) -> LogPartition:
    count, largest = len(log_w), log_w.max()
    w = (log_w - largest).exp()
    spread = float(w.std() / w.mean()) if count > 1 else math.inf
    log_z = start + float(largest + w.mean().log())
    return LogPartition(log_z, spread / math.sqrt(count), float(w.sum() ** 2 / w.square().sum()))


def exact_log_partition(machine: Machine, over: Literal["visible", "hidden"] | None = None) -> Tensor:
    """Log Z by enumeration, with a gradient: a scalar, in nats.

    over: which units are enumerated, those of the other side being summed out in closed form; by default the fewer
    (Gaussian visibles cannot be enumerated). UserError: more than LARGEST units on that side.
    """
    visible, hidden = machine.weight.shape
    if over is None:
        over = "visible" if visible < hidden and isinstance(machine, BernoulliMachine) else "hidden"
    if over == "visible" and not isinstance(machine, BernoulliMachine):
        raise UserError("exact log Z: Gaussian visibles have no states to count; enumerate the hidden units")
    size = {"visible": visible, "hidden": hidden}[over]
    if size > LARGEST:
        raise UserError(f"exact log Z: {size} {over} units are too many to enumerate; estimate it by annealing")
    parts = []
    for block in torch.split(torch.arange(2**size, device=machine.weight.device), BLOCK):
        states = (block[:, None] >> torch.arange(size, device=block.device) & 1).to(machine.weight.dtype)
        if over == "visible":
            terms = -machine.free_energy(states)
        else:
            terms = states @ machine.hidden_bias + machine.log_visible_sum(states)
        parts.append(torch.logsumexp(terms, 0))
    return torch.logsumexp(torch.stack(parts), 0)


def log_likelihood(machine: Machine, v: Tensor, log_z: float) -> Tensor:
    """-F(v) - log Z, log p(v) in nats (a density for Gaussian visibles): (B, V) -> (B,)."""
    return -machine.free_energy(v) - log_z


def _checked(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UserError(f"annealing: {name} is {count}; it takes at least 1")
