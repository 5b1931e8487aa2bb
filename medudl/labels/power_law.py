"""The law that errors follow as labels grow: a n^-b + c."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EXPONENTS = np.geomspace(0.02, 3, 120)


def gain_of(labels: Array, errors: Array, more: int) -> Array:
    """error(n) - error(n + more) of the fitted law at the greatest n: errors (..., P) -> (...)."""
    a, b, _ = power_law(labels, errors)
    last = float(np.max(labels))
    gain: Array = a * (last**-b - (last + more) ** -b)
    return gain


def most_gain_of(labels: Array, errors: Array, more: int) -> Array:
    """The gain as if the error fell as much for each doubling of the labels, now as before: (..., P) -> (...).

    No law of `power_law` promises more: each falls less with each doubling.
    """
    x, errors = np.log(labels), np.asarray(errors, np.float64)
    slope = ((x - x.mean()) * (errors - errors.mean(-1, keepdims=True))).sum(-1) / ((x - x.mean()) ** 2).sum()
    last = float(np.max(labels))
    gain: Array = np.maximum(-slope, 0) * np.log((last + more) / last)
    return gain


def power_law(labels: Array, errors: Array) -> tuple[Array, Array, Array]:
    """a, b, c, each (...), of error(n) = a n^-b + c with the least squares (Cortes et al. 1993); errors: (..., P).

    For each b of a fixed grid the best a and c of at least 0 have a closed form; the grid's best is taken.
    """
    labels, errors = np.asarray(labels, np.float64), np.asarray(errors, np.float64)
    best: tuple[Array, ...] | None = None
    for b in EXPONENTS:
        fit = _line(labels**-b, errors)
        if best is None:
            best = (*fit, np.full_like(fit[0], b))
        better = fit[2] < best[2]
        best = tuple(np.where(better, new, old) for new, old in zip((*fit, np.full_like(fit[0], b)), best, strict=True))
    assert best is not None
    a, c, _, b_best = best
    return a, b_best, c


def _line(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """a, c >= 0 that minimise |a x + c - y|^2, and that sum: x (P,), y (..., P)."""
    spread = ((x - x.mean()) ** 2).sum()
    slope = ((x - x.mean()) * (y - y.mean(-1, keepdims=True))).sum(-1) / spread
    through = (x * y).sum(-1) / (x**2).sum()
    rest = y.mean(-1) - slope * x.mean()
    # Where both want to be above 0 that is the answer; else the better one of the two edges.
    pairs = [(slope, rest), (through, np.zeros_like(through)), (np.zeros_like(slope), y.mean(-1))]
    sums = [((a[..., None] * x + c[..., None] - y) ** 2).sum(-1) for a, c in pairs]
    sums = [np.where((a >= 0) & (c >= 0), total, np.inf) for (a, c), total in zip(pairs, sums, strict=True)]
    at = np.argmin(sums, axis=0)
    chosen = [np.choose(at, column) for column in (*zip(*pairs, strict=True), sums)]
    return chosen[0], chosen[1], chosen[2]
