"""A 3-D convolution whose gradient is right on volumes of two slices, in half precision too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv3d(nn.Conv3d):
    """Over nn.Conv3d: the same numbers.

    On a CPU, in bfloat16, torch 2.13 leaves memory that nothing was written to in the gradient of the weights, where
    a kernel of 3 with zeros outside and stride 1 meets an input of exactly two slices along its first axis (25 tries of
    25; three slices or one, other kernels, float32: none). A third slice of zeros changes no number of the first two.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, C', D', H', W')."""
        if not self._wrong(x):
            return super().forward(x)
        made: Tensor = super().forward(F.pad(x, (0, 0, 0, 0, 0, 1)))
        return made[:, :, :2]

    def _wrong(self, x: Tensor) -> bool:
        if x.device.type != "cpu" or torch.compiler.is_exporting() or x.shape[2] != 2:
            return False
        half = x.dtype is torch.bfloat16 or torch.is_autocast_enabled("cpu")
        plain = self.padding_mode == "zeros" and self.padding == (1, 1, 1) and self.dilation == (1, 1, 1)
        return half and plain and self.kernel_size == (3, 3, 3) and self.stride == (1, 1, 1)
