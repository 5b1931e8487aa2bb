"""A linear decoder: an image is a sum of atoms, the code says how much of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dictionary(nn.Module):
    """x^ = sum over j of y_j atom_j + bias: (B, Z) -> (B, C, *S).

    bounded: every atom has length 1 (of the whole image, all voxels and channels together), whatever its parameters:
    a code cannot be made smaller by making atoms larger. The bound holds at every use, also of averaged weights.
    """

    def __init__(self, shape: Sequence[int], atoms: int, *, bounded: bool) -> None:
        super().__init__()
        self.shape, self.bounded = tuple(shape), bounded
        # Directions uniform on the sphere, length about 1.
        self.weight = nn.Parameter(torch.randn(atoms, math.prod(shape)) / math.sqrt(math.prod(shape)))
        self.bias = nn.Parameter(torch.zeros(math.prod(shape)))

    def atoms(self) -> Tensor:
        """(Z, C, *S)."""
        return self._rows().reshape(-1, *self.shape)

    def forward(self, code: Tensor) -> Tensor:
        """(B, Z) -> (B, C, *S)."""
        return F.linear(code, self._rows().T, self.bias).reshape(-1, *self.shape)

    def _rows(self) -> Tensor:
        return F.normalize(self.weight, dim=1) if self.bounded else self.weight
