"""Minibatch discrimination (Salimans et al. 2016): how alike the images of a batch are, as features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class MinibatchDiscriminationLayer(nn.Module):
    """Minibatch discrimination (Salimans et al. 2016): how close each image of a batch is to the others.

        M_i = f(x_i) T                          T: (A, kernels, size), learnt
        c_b(i, j) = exp(-|| M_ib - M_jb ||_1)
        o_b(i) = sum over j != i of c_b(i, j)

    The image itself is left out; it would add 1 to every sum. Real and generated images go in apart: mixed, the
    closeness of one kind would be told by the other. Costs B^2 * kernels * size numbers.

    f: (B, A). Returns (B, kernels), in float32 whatever the autocast, from 0 to B - 1; 0 for a batch of one.
    """

    def __init__(self, inputs: int, kernels: int, size: int) -> None:
        super().__init__()
        self.kernels, self.size = kernels, size
        # Distances of the order of 1 where features are: beyond about 10 their exponential has no gradient left.
        self.projection = nn.Parameter(torch.randn(inputs, kernels * size) / (math.sqrt(inputs) * size))  # T

    def forward(self, f: Tensor) -> Tensor:
        """(B, A) -> (B, kernels)."""
        with torch.autocast(f.device.type, enabled=False):
            m = (f.to(self.projection.dtype) @ self.projection).view(-1, self.kernels, self.size)  # (B, b, c)
            apart = (m[:, None] - m[None]).abs().sum(dim=3)  # (B, B, b)
            itself = torch.eye(len(m), dtype=torch.bool, device=m.device)[..., None]
            closeness: Tensor = (-apart).exp().masked_fill(itself, 0).sum(dim=1)  # (B, b)
            return closeness


class MinibatchHead(nn.Module):
    """A discriminator's last layer on features f and their closeness o side by side: head([f, o]).

    `head` is linear in f, so what it would make of o is added: head(f) + W o, W being `closeness`. Where
    the head gives patches, each of an image's gets the same. It begins as `head` alone, with W = 0.

    inputs: A of the layer above. pooled: f of the layer is the features' mean over space, else all of them.
    """

    def __init__(self, head: nn.Module, inputs: int, kernels: int, size: int, *, pooled: bool) -> None:
        super().__init__()
        self.head, self.pooled = head, pooled
        self.layer = MinibatchDiscriminationLayer(inputs, kernels, size)
        self.closeness = nn.Parameter(torch.zeros(kernels))  # no layer: a spectral norm would divide by 0

    def forward(self, features: Tensor) -> Tensor:
        """(B, K) or (B, K, *s) -> what `head` gives: (B,), (B, 1) or (B, 1, *s)."""
        logits: Tensor = self.head(features)
        flat = features.flatten(2).mean(dim=2) if self.pooled and features.ndim > 2 else features.flatten(1)
        told: Tensor = (self.layer(flat) * self.closeness).sum(dim=1)  # (B,), in float32 too
        return logits + told.view(-1, *[1] * (logits.ndim - 1))
