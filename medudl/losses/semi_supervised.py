"""Losses of a discriminator that also tells K classes apart (Salimans et al. 2016), one value an image: (B,).

"Generated" is class K + 1, whose logit is fixed at 0 since only differences count. With logits l (B, K) and
S = logsumexp(l), the softmax over K + 1 classes says

    p(generated) = 1 / (1 + e^S),   p(real) = sigmoid(S),   p(y given real) = softmax(l)_y

so S is the logit of an ordinary discriminator: the two unlabelled losses below are the halves of
`losses/adversarial.py` for it. All are computed in float32 at the least, whatever the autocast.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def real_logit(logits: Tensor) -> Tensor:
    """S = logsumexp(l), the logit of "this is a real image": (B, K) -> (B,)."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).logsumexp(dim=1)


def labelled_loss(logits: Tensor, label: Tensor) -> Tensor:
    """-log p(y given real) = S - l_y, cross-entropy over the K classes: (B, K), (B,) int64 -> (B,), >= 0.

    Adding a number to all logits changes nothing: labels alone say nothing about what is real.
    """
    full = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(full, label, reduction="none")


def unlabelled_loss(logits: Tensor) -> Tensor:
    """-log p(real) = -S + softplus(S), of a real image whose class nobody asks for: (B, K) -> (B,), >= 0."""
    return F.softplus(-real_logit(logits))  # the same, and it keeps its digits where S is large


def generated_loss(logits: Tensor) -> Tensor:
    """-log p(generated) = softplus(S), of a generated image: (B, K) -> (B,), >= 0."""
    return F.softplus(real_logit(logits))


def consistency_loss(logits: Tensor, other: Tensor) -> Tensor:
    """sum_k (softmax(l)_k - softmax(l')_k)^2 of two looks at the same image: (B, K) twice -> (B,), 0 to 2.

    Laine & Aila 2017 (their Pi-model, which takes the mean over K); beside a GAN of K + 1 classes Wei et al. 2018. It
    has a gradient with respect to both looks, and says nothing about which class is right.
    """
    both = [look.to(torch.promote_types(look.dtype, torch.float32)).softmax(dim=1) for look in (logits, other)]
    return (both[0] - both[1]).square().sum(dim=1)
