"""torch's fused Adam and AdamW, without collecting the same lists anew at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class FusedAdam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015), or AdamW (Loshchilov & Hutter 2019) where `decoupled_weight_decay`, in torch's kernel.

    Moves weights as `torch.optim.Adam(..., fused=True)` does, bit by bit, and has its state. The difference: parameters
    and moments are gathered once and not at every step, which takes a small network as long as some of its layers.
    One group of parameters, on one device and of one dtype, real, without amsgrad.
    """

    def __init__(self, params: list[torch.nn.Parameter], lr: float, **settings: Any) -> None:
        super().__init__(params, lr, fused=True, **settings)
        self._lists: tuple[list[Tensor], ...] | None = None  # moments and step counts
        self._kernel = torch._fused_adamw_ if self.defaults["decoupled_weight_decay"] else torch._fused_adam_

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update. A parameter without a gradient keeps its place and its moments, as in torch."""
        (group,) = self.param_groups
        parameters = group["params"]
        gradients = [parameter.grad for parameter in parameters]
        if closure is not None or self._lists is None or any(gradient is None for gradient in gradients):
            result: float | None = super().step(closure)
            self._collect()
            return result
        means, squares, steps = self._lists
        beta1, beta2 = group["betas"]
        with torch.no_grad():
            torch._foreach_add_(steps, 1)
            self._kernel(
                parameters, gradients, means, squares, [], steps, lr=group["lr"], beta1=beta1, beta2=beta2,
                weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=False, maximize=False,
            )  # fmt: skip
        return None

    step.hooked = True  # type: ignore[attr-defined]  # else torch wraps it for its profiler and for hooks, which nobody sets

    def load_state_dict(self, state_dict: Any) -> None:
        """Take a state over; its tensors are new ones."""
        super().load_state_dict(state_dict)
        self._lists = None

    def _collect(self) -> None:
        """Gather the state, once every parameter has one."""
        states: list[Any] = [self.state.get(parameter) for parameter in self.param_groups[0]["params"]]
        if all(states):
            self._lists = tuple([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq", "step"))
