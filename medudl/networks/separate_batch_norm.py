"""Two batch norms: running statistics of real images, and others of generated ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

Asked = Callable[[], Literal["real", "generated"] | None]


class SeparateBatchNormalisation(_BatchNorm):
    """Batch norm that remembers real and generated images apart; they share weight and bias.

        training     y = (x - m) / sqrt(v + eps) * weight + bias,   m, v of the batch, which is of one kind
        evaluation   the same with the running m, v of that kind; of real images where nobody says which it is

    The running ones of its kind follow each training batch, and none where it is a mixture.
    asked: tells the kind of the batch that is under way. x: (B, C) or (B, C, *s). Returns the same.
    """

    generated_mean: Tensor
    generated_var: Tensor

    def __init__(self, channels: int, asked: Asked, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps, momentum)
        self.asked, self.follow = asked, momentum
        self.register_buffer("generated_mean", torch.zeros(channels))
        self.register_buffer("generated_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) or (B, C, *s) -> the same."""
        kind = self.asked()
        mean, variance = self.running_mean, self.running_var
        if kind == "generated":
            mean, variance = self.generated_mean, self.generated_var
        elif kind is None and self.training:
            mean, variance = None, None
        return F.batch_norm(x, mean, variance, self.weight, self.bias, self.training, self.follow, self.eps)
