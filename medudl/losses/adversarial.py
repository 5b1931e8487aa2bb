"""Losses of the two players of a generative adversarial network, one value an image: (B,).

D's output is a logit l everywhere, and no sigmoid comes before a log: D(x) = sigmoid(l), -log D(x) = softplus(-l).
Logits are (B,), or patches (B, scales, *s) whose LOSSES are averaged. No loss has the factor 1/2 that some papers put.
All are computed in float32, whatever the autocast; float64 stays float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medudl.errors import UserError

Loss = Literal["minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "kl"]

_NO_TARGETS: Mapping[Loss, str] = {
    "hinge": "it asks no score to come near a value, only to pass a margin",
    "wasserstein": "a critic's scores have no value to come near, only a difference",
}
_STEEPEST = 30.0  # a logit above it claims a density ratio of 1e13; the square of its gradient still fits float32


def discriminator_loss(
    kind: Loss, real: Tensor, fake: Tensor, *, real_target: float = 1.0, fake_target: float = 0.0
) -> Tensor:
    """What the discriminator (critic) minimises on real and on generated images, both halves added:

        minimax, non_saturating, kl   softplus(-l_real) + softplus(l_fake)       (Goodfellow et al. 2014)
        least_squares                 (l_real - 1)^2 + l_fake^2                  (Mao et al. 2017)
        hinge                         max(0, 1 - l_real) + max(0, 1 + l_fake)    (Lim & Ye 2017)
        wasserstein                   l_fake - l_real                            (Arjovsky et al. 2017)

    With the first, the best D is p_data / (p_data + p_model) and costs 2 log 2 - 2 JS nats. Targets stand in for 1
    and 0 (label smoothing): softplus(l) - target * l, or (l - target)^2.
    real, fake: logits of as many images, (B,) or (B, scales, *s). Returns (B,): the i-th real half plus the i-th fake
    one.
    UserError: targets where a loss has none, or no probability where it needs one.
    """
    if len(real) != len(fake):
        raise ValueError(f"{len(real)} real and {len(fake)} generated images: one value an image needs as many of both")
    _check_targets(kind, real_target, fake_target)
    half = _HALF[kind]
    return _per_image(half(_precise(real), real_target)) + _per_image(half(_precise(fake), fake_target))


def generator_loss(kind: Loss, fake: Tensor) -> Tensor:
    """What the generator minimises, from the logits of its images:

        minimax          -softplus(l), that is log(1 - D(x)), what of -L_D depends on the generator
        non_saturating   softplus(-l), that is -log D(x)
        least_squares    (l - 1)^2
        hinge            -l
        wasserstein      -l
        kl               -exp(l), whose gradient is that of KL(p_data, p_model) where D is optimal (Goodfellow 2014)

    The generator always wants a plain "real": its target stays 1 whatever D's targets are.
    Above a logit of 30 kl goes on along its tangent, because exp would overflow.
    fake: (B,) or (B, scales, *s). Returns (B,).
    """
    return _per_image(_GENERATOR[kind](_precise(fake)))


def _softplus(x: Tensor) -> Tensor:
    # torch's softplus is only its asymptote above 20, which derivatives in float64 would notice.
    return -F.logsigmoid(-x)


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return target * _softplus(-logits) + (1 - target) * _softplus(logits)


def _square(logits: Tensor, target: float) -> Tensor:
    return (logits - target).square()


def _hinge(logits: Tensor, target: float) -> Tensor:
    return F.relu(1 - (2 * target - 1) * logits)


def _signed(logits: Tensor, target: float) -> Tensor:
    return (1 - 2 * target) * logits


def _likelihood(logits: Tensor) -> Tensor:
    capped = logits.clamp(max=_STEEPEST)
    # capped has no gradient above the cap, so the tangent's slope is a constant there.
    return -capped.exp() * (1 + (logits - capped))


_HALF: Mapping[Loss, Callable[[Tensor, float], Tensor]] = {
    "minimax": _cross_entropy,
    "non_saturating": _cross_entropy,
    "least_squares": _square,
    "hinge": _hinge,
    "wasserstein": _signed,
    "kl": _cross_entropy,
}
_GENERATOR: Mapping[Loss, Callable[[Tensor], Tensor]] = {
    "minimax": lambda logits: -_cross_entropy(logits, 0.0),
    "non_saturating": lambda logits: _cross_entropy(logits, 1.0),
    "least_squares": lambda logits: _square(logits, 1.0),
    "hinge": lambda logits: _signed(logits, 1.0),
    "wasserstein": lambda logits: _signed(logits, 1.0),
    "kl": _likelihood,
}


def _check_targets(kind: Loss, real: float, fake: float) -> None:
    if (real, fake) == (1.0, 0.0):
        return
    given = f"{kind} loss: targets {real:g} (real) and {fake:g} (generated)"
    if kind in _NO_TARGETS:
        raise UserError(f"{given}, but {_NO_TARGETS[kind]}; take label smoothing away or choose another loss")
    if not (math.isfinite(real) and math.isfinite(fake)):
        raise UserError(f"{given} must be finite numbers")
    if _HALF[kind] is _cross_entropy and not (0 <= real <= 1 and 0 <= fake <= 1):
        raise UserError(f"{given} stand for probabilities; choose them from 0 to 1")


def _precise(logits: Tensor) -> Tensor:
    if logits.ndim == 2 and logits.shape[1] != 1:
        raise ValueError(f"logits are (B,) or (B, scales, *s), not {tuple(logits.shape)}")
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _per_image(values: Tensor) -> Tensor:
    return values if values.ndim == 1 else values.flatten(1).mean(dim=1)
