"""How sure a figure is: bootstrap over patients, exact binomial and Poisson intervals. NumPy only, seeds given."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and the number of patients (or scans) behind it; NaN where it cannot be had."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """JSON-able: NaN becomes null."""
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}

    def text(self, digits: int = 2) -> str:
        """'.61 (.52 to .70)', or 'not available'."""
        if not math.isfinite(self.value):
            return "not available"
        value, low, high = (short(x, digits) for x in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})" if math.isfinite(self.low) else value


def short(value: float, digits: int = 2) -> str:
    """A figure without its leading zero: .61, -.03, 1.00."""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def resamples(strata: ArrayLike, repeats: int, seed: int) -> NDArray[np.int64]:
    """How often each of P patients is drawn in each resample: (repeats, P), drawn with replacement within its stratum.

    strata: (P,), any labels. Strata keep the number of sick and healthy patients as it was, so that no resample lacks
    a class. The same (strata, repeats, seed) give the same draws, which is what makes comparisons paired.
    """
    strata = np.asarray(strata)
    drawn = np.zeros((repeats, len(strata)), np.int64)
    random = np.random.default_rng(seed)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), size=repeats)
    return drawn


def bootstrap(value: float, values: ArrayLike, n: int, level: float = LEVEL) -> Estimate:
    """Percentile interval of a figure from its values over resamples; resamples without a value (NaN) are left out.

    With fewer than two patients there is no interval: low and high are NaN.
    """
    kept = np.asarray(values, np.float64)
    kept = kept[np.isfinite(kept)]
    if n < 2 or len(kept) == 0 or not math.isfinite(value):
        return Estimate(float(value), math.nan, math.nan, n)
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(value), float(low), float(high), n)


def difference(a: float, b: float, values_a: ArrayLike, values_b: ArrayLike, n: int) -> Estimate:
    """The paired interval of a - b: both were computed on the SAME resamples, in the same order."""
    return bootstrap(a - b, np.asarray(values_a, np.float64) - np.asarray(values_b, np.float64), n)


def clopper_pearson(k: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a proportion k / n (Clopper & Pearson 1934): quantiles of Beta(k, n-k+1) and Beta(k+1, n-k).

    k and n may be fractional (Korn & Graubard 1998: an effective number of events among independent patients).
    """
    if not 0 <= k <= n or n <= 0:
        raise ValueError(f"{k} events of {n}")
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else _solve(lambda p: incomplete_beta(k, n - k + 1, p), tail)
    high = 1.0 if k == n else _solve(lambda p: incomplete_beta(k + 1, n - k, p), 1 - tail)
    return low, high


def poisson_interval(k: int, exposure: float, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a rate when k events were counted in `exposure` scans (Garwood 1936)."""
    tail = (1 - level) / 2
    top = k + 20 + 20 * math.sqrt(k + 1)
    low = 0.0 if k == 0 else top * _solve(lambda x: 1 - _poisson_cdf(k - 1, top * x), tail)
    high = top * _solve(lambda x: 1 - _poisson_cdf(k, top * x), 1 - tail)
    return low / exposure, high / exposure


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # there the fraction of the mirrored function converges
        return 1 - incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a * _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    result = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away_from_zero(1 + step * d, tiny)
            c = _away_from_zero(1 + step / c, tiny)
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return result


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def _poisson_cdf(k: int, rate: float) -> float:
    if rate <= 0:
        return 1.0
    counts = np.arange(k + 1)
    logs = counts * math.log(rate) - rate - np.array([math.lgamma(i + 1) for i in counts])
    return float(np.exp(logs).sum())


def _solve(rising: Callable[[float], float], target: float) -> float:
    """The x in [0, 1] where a rising function meets `target`, by bisection to the last bit."""
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2
