"""How well a reader told synthetic from real: the area under the curve, an interval that holds at its ends, words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from medudl.metrics.curves import auroc
from medudl.metrics.intervals import Estimate, short

_Z = 1.959963984540054  # of a 95 % interval


def auc(synthetic: Sequence[bool], rating: Sequence[float]) -> Estimate:
    """P(a synthetic image is rated higher than a real one) + 1/2 P(equal), with a 95 % interval (Newcombe 2006).

        |AUC - t| = z sqrt(V(t)),  V(t) = t (1 - t) (1 + (N - 1) ((1 - t) / (2 - t) + t / (1 + t))) / (m k)

    method 5: Hanley & McNeil's variance at t, with N = (m + k) / 2, solved for t as in a score interval, so that it is
    neither empty where all were told apart nor narrow in few images. Images count as independent. NaN where a kind
    is absent.
    """
    value = auroc(list(synthetic), list(rating))
    m = int(np.sum(synthetic))
    k = len(synthetic) - m
    if not m or not k:
        return Estimate(math.nan, math.nan, math.nan, m + k)
    return Estimate(value, _end(value, m, k, 0.0), _end(value, m, k, 1.0), m + k)


def _end(value: float, m: int, k: int, limit: float) -> float:
    """The t between the value and a limit (0 or 1) at which the value lies just z standard errors away."""
    near, far = value, limit
    for _ in range(60):
        middle = (near + far) / 2
        if abs(value - middle) <= _Z * math.sqrt(_variance(middle, m, k)):
            near = middle
        else:
            far = middle
    return near


def _variance(t: float, m: int, k: int) -> float:
    n = (m + k) / 2
    return t * (1 - t) * (1 + (n - 1) * ((1 - t) / (2 - t) + t / (1 + t))) / (m * k)


def verdict(found: Estimate) -> str:
    """What it means: told apart, not told apart, or taken the wrong way round."""
    figures = f"AUC {short(found.value)} ({short(found.low)} to {short(found.high)}), n = {found.n}"
    if not math.isfinite(found.value):
        return "There are no answers to both kinds of images."
    if found.low > 0.5:
        return f"You could tell them apart better than chance: {figures}."
    if found.high < 0.5:
        return (f"You saw a difference, but took it the wrong way round: {figures}. The synthetic images looked more"
                " real to you than the real ones.")  # fmt: skip
    return f"You could not tell them apart better than chance: {figures}."


def caution(found: Estimate) -> str:
    """What the figure does not say."""
    if not math.isfinite(found.value) or found.low > 0.5 or found.high < 0.5:
        return ""
    return (f"This does not prove that they cannot be told apart: with {found.n} images, an AUC of up to"
            f" {short(found.high)} fits these answers. More images make the interval narrower.")  # fmt: skip
