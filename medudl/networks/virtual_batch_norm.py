"""Virtual batch norm (Salimans et al. 2016): each image is normalised with a fixed reference batch, not its mates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from medudl.errors import UserError

_KEPT = ("code", "condition")  # buffers of a reference that may lie among the weights


@dataclass(frozen=True)
class Moments:
    """Mean and variance by channel of `count` images and their voxels: (1, C), or (B, C) of each image."""

    count: int
    mean: Tensor
    variance: Tensor

    @classmethod
    def of_all(cls, x: Tensor) -> Moments:
        """Of (N, C, P), together."""
        variance, mean = torch.var_mean(x, dim=(0, 2), correction=0)
        return cls(len(x), mean[None], variance[None])

    @classmethod
    def of_each(cls, x: Tensor) -> Moments:
        """Of (B, C, P), each by itself."""
        variance, mean = torch.var_mean(x, dim=2, correction=0)
        return cls(1, mean, variance)

    def joined(self, other: Moments) -> Moments:
        """Of both together, as many voxels an image (Chan et al. 1979): no small difference of large squares."""
        count = self.count + other.count
        a, b = self.count / count, other.count / count
        apart = other.mean - self.mean
        variance = a * self.variance + b * other.variance + a * b * apart.square()
        return Moments(count, self.mean + b * apart, variance)


class Reference(nn.Module):
    """The reference batch R of one network, and what the network's layers find on R in the pass under way.

    The first layer that a pass comes to sends R through the whole network, with the weights of that pass; each layer
    leaves its statistics of R, and takes them when the pass itself comes to it. So R goes beside every batch, also
    under functional_call and where only some of the layers are asked for their features.

    R is what the network is given: (code or images, condition or None). Codes are no patient's and lie among the
    weights (`keep_codes`, or the first training call of the network); images never do (`show`).
    """

    def __init__(self, network: nn.Module, size: int, owner: str) -> None:
        super().__init__()
        self._network = [network]  # in a list: it contains this module
        self.size, self.owner = size, owner
        self.images: tuple[Tensor, Tensor | None] | None = None
        self.running = self.loaded = False
        for name in _KEPT:
            self.register_buffer(name, torch.empty(0))
        network.register_forward_pre_hook(self._meet, with_kwargs=True)

    def inputs(self) -> tuple[Tensor, Tensor | None] | None:
        """R, or None before there is one."""
        if self.images is not None:
            return self.images
        code, condition = (self.get_buffer(name) for name in _KEPT)
        return (code, condition if len(condition) else None) if len(code) else None

    @torch.no_grad()
    def show(self, images: Tensor, condition: Tensor | None) -> None:
        """Take the first images (B, C, *S) as R, those of rank 0 on all ranks, unless there is one."""
        if self.inputs() is None:
            self.images = (self._first(images), None if condition is None else self._first(condition))

    def run(self) -> None:
        """Send R through the network."""
        given = self.inputs()
        assert given is not None
        network = self._network[0]
        for layer in network.modules():
            if isinstance(layer, VirtualBatchNormalisation):
                layer.found.clear()
        weight = next(network.parameters())
        if self.images is not None and given[0].device != weight.device:
            self.images = given = (given[0].to(weight), None if given[1] is None else given[1].to(weight))
        self.running = True
        try:
            network(*given)
        finally:
            self.running = False

    @torch.no_grad()
    def _meet(self, network: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Before the network's first training call: its codes become R."""
        if not network.training or self.running or self.inputs() is not None:
            return
        code, condition = (*given, *named.values(), None, None)[:2]
        if code.ndim > 2:
            raise UserError(
                f"tricks: virtual_batch_norm: {self.owner} is given images before a turn as discriminator, and images"
                " of patients may not lie among its weights; leave it out of the trick's players"
            )
        for name, first in zip(_KEPT, (code, condition), strict=True):
            if first is not None:
                setattr(self, name, self._first(first))

    def _first(self, batch: Tensor) -> Tensor:
        first = batch[: self.size].detach().clone().contiguous()
        if dist.is_available() and dist.is_initialized():
            shape = torch.tensor(first.shape, device=first.device)
            dist.broadcast(shape, 0)  # ranks may hold batches of several sizes
            first = first if tuple(shape) == first.shape else first.new_empty(*shape.tolist())
            dist.broadcast(first, 0)
        return first

    def _load_from_state_dict(self, state: Mapping[str, Tensor], prefix: str, *others: Any) -> None:
        self.loaded = True
        for name in _KEPT:  # of any size, as it was met
            if prefix + name in state:
                setattr(self, name, torch.empty_like(state[prefix + name], device=self.get_buffer(name).device))
        super()._load_from_state_dict(state, prefix, *others)  # type: ignore[arg-type]


class VirtualBatchNormalisation(nn.Module):
    """Virtual batch norm (Salimans et al. 2016).

        y_i = (x_i - m_i) / sqrt(v_i + eps) * weight + bias,   m_i, v_i: mean, variance of R and x_i together

    by channel, over space too. R itself is normalised with its own mean and variance. What becomes of an image does
    not depend on its mates. Statistics are taken in float32 (float64 stays), and gradients go through those of R.

    Before a network has met its first batch there is no R, and an image is normalised by itself.
    x: (B, C) or (B, C, *s). Returns the same.
    """

    def __init__(self, channels: int, reference: Reference, eps: float = 1e-5) -> None:
        super().__init__()
        self._reference = [reference]  # in a list: one layer alone owns it
        self.eps = eps
        self.found: list[Moments] = []  # on R, one for each time that a pass comes here
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        """(B, C) or (B, C, *s) -> the same. UserError: the reference batch is absent from an opened run."""
        of_reference = self._of_reference()
        with torch.autocast(x.device.type, enabled=False):
            wide = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(*x.shape[:2], -1)  # (B, C, P)
            if self._reference[0].running:
                moments = Moments.of_all(wide)
                self.found.append(moments)
            else:
                moments = Moments.of_each(wide)
                moments = moments if of_reference is None else of_reference.joined(moments)
            scale = self.weight * (moments.variance + self.eps).rsqrt()  # (1 or B, C)
            y = (wide - moments.mean[..., None]) * scale[..., None] + self.bias[:, None]
        return y.view_as(x).to(x.dtype)

    def _of_reference(self) -> Moments | None:
        """R's statistics here in this pass; None while R itself is under way, or before there is an R."""
        reference = self._reference[0]
        if reference.running:
            return None
        if reference.inputs() is None:
            _check_may_lack(reference, self.training)
            return None
        if not self.found:
            reference.run()
        return self.found.pop(0)


def _check_may_lack(reference: Reference, training: bool) -> None:
    if training:
        raise UserError(
            f"tricks: virtual_batch_norm: {reference.owner} is not called as a whole, so that its first batch was not"
            " met; leave it out of the trick's players"
        )
    if reference.loaded:
        raise UserError(
            f"{reference.owner}: its virtual batch norm needs its reference batch, images of patients, which stay in"
            " the run's checkpoint; only training goes on with it"
        )
