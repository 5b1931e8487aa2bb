"""3-D convolutions whose gradients are right on thin volumes, in half precision too.

On a CPU, in bfloat16, torch 2.13 leaves memory that nothing was written to in the gradient of the weights, or writes
beyond its end and takes the process with it, where a side of the volume is shorter than the kernel and padding makes up
for it: kernel 3 on two slices, kernel 4 of stride 1 on three, kernel 4 of stride 2 on two rows; transposed kernels too
that make such volumes. Volumes that are padded beforehand have none of this, nor have float32 and 2-D.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv3d(nn.Conv3d):
    """Over nn.Conv3d: the same numbers; thin volumes in half precision are padded first."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, C', D', H', W')."""
        if isinstance(self.padding, str) or self.padding_mode != "zeros" or not _at_risk(x):
            return super().forward(x)
        if not _thin(x.shape[2:], self.kernel_size, self.padding):
            return super().forward(x)
        sides = [side for padding in reversed(self.padding) for side in (padding, padding)]
        return F.conv3d(F.pad(x, sides), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class ConvTranspose3d(nn.ConvTranspose3d):
    """Over nn.ConvTranspose3d, without output_padding: the same numbers; see `conv_transpose3d`."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, D, H, W) -> (B, C', D', H', W')."""
        if output_size is not None or any(self.output_padding) or set(self.dilation) != {1} or self.groups != 1:
            return super().forward(x, output_size)
        assert not isinstance(self.padding, str)
        return conv_transpose3d(x, self.weight, self.bias, self.stride, self.padding)


def conv_transpose3d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
) -> Tensor:  # fmt: skip
    """F.conv_transpose3d; a thin volume in half precision is made with its margin, which is then cut off."""
    strides, margins = _three(stride), _three(padding)
    made = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], strides, margins, weight.shape[2:], strict=True)]
    if not (_at_risk(x) and _thin(made, weight.shape[2:], margins)):
        return F.conv_transpose3d(x, weight, bias, strides, margins)
    whole = F.conv_transpose3d(x, weight, bias, strides)
    d, h, w = (slice(p, p + n) for p, n in zip(margins, made, strict=True))
    return whole[:, :, d, h, w]


def _at_risk(x: Tensor) -> bool:
    """On a CPU, in half precision. Never in an exported graph, where sides are open and no gradient is asked for."""
    if x.device.type != "cpu" or torch.compiler.is_exporting():
        return False
    return x.dtype is torch.bfloat16 or torch.is_autocast_enabled("cpu")


def _thin(sides: Sequence[int], kernel: Sequence[int], padding: Sequence[int]) -> bool:
    return any(padding) and any(side < k for side, k in zip(sides, kernel, strict=True))


def _three(value: int | Sequence[int]) -> tuple[int, int, int]:
    first, second, third = (value,) * 3 if isinstance(value, int) else value
    return first, second, third
