"""Frechet distance between two sets of features (Heusel et al. 2017), exact at any n, with what it does at small n."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh, qr, svdvals

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.subsampling import (
    Array,
    Flags,
    Floor,
    Numbers,
    delete_interval,
    draw,
    floor_of,
    patients_of,
    rows,
    same_width,
    splits,
    subsamples,
)

_SIZES, _DRAWS = 8, 5  # of the regression for infinitely many images


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Frechet distance (Heusel et al. 2017) between Gaussians fitted to two sets of features.

        |mu1 - mu2|^2 + Tr(S1 + S2 - 2 (S1 S2)^1/2)

    The trace of the root is the nuclear norm of Xc Yc' / sqrt((n-1)(m-1)), Xc centred: exact, no covariance is formed,
    and an n x m matrix where images are fewer than features. More rows than features are first brought to d rows by QR.
    x: (n, d), y: (m, d), of one network. Returns >= 0, in squared units of the features. It is biased upwards at small
    n (`frechet_bias`, `frechet_floor`). Raises UserError where a set has fewer than two images.
    """
    x, y = _shifted(x, y)
    return _distance(x, y, None)


def frechet_of_moments(mu1: ArrayLike, s1: ArrayLike, mu2: ArrayLike, s2: ArrayLike) -> float:
    """The same from means (d,) and covariances (d, d), through their symmetric roots.

    Tr (S1 S2)^1/2 is the nuclear norm of S1^1/2 S2^1/2. Raises ValueError where a covariance is not symmetric, or has
    a negative eigenvalue beyond rounding.
    """
    gap = np.asarray(mu1, np.float64) - np.asarray(mu2, np.float64)
    one, other = np.asarray(s1, np.float64), np.asarray(s2, np.float64)
    cross = float(svdvals(_root(one) @ _root(other)).sum())
    return max(0.0, float(gap @ gap + np.trace(one) + np.trace(other) - 2 * cross))


def frechet_estimate(
    x: ArrayLike,
    y: ArrayLike,
    groups_x: ArrayLike | None = None,
    groups_y: ArrayLike | None = None,
    repeats: int = 200,
    seed: int = 0,
) -> Estimate:
    """`frechet_distance` with its interval by patient: a fifth of the patients of both sets is left out at a time.

    The interval is around the biased figure: what other patients, just as many, would give. It does not hold the
    distance of infinitely many images; set `frechet_floor` beside it. n: patients of the smaller set. repeats: 200
    give the interval's width to about 5 %.
    """
    x, y = _shifted(x, y)
    cross = x @ y.T if min(len(x), len(y)) <= x.shape[1] else None
    px, py = patients_of(len(x), groups_x), patients_of(len(y), groups_y)
    kept_x, factor_x = subsamples(int(px.max()) + 1, repeats, seed)
    kept_y, factor_y = subsamples(int(py.max()) + 1, repeats, seed + 1)
    values = [_of_part(x, y, cross, a[px], b[py]) for a, b in zip(kept_x, kept_y, strict=True)]
    fewest = min(kept_x.shape[1], kept_y.shape[1])
    return delete_interval(_distance(x, y, cross), values, max(factor_x, factor_y), fewest, low=0.0)


def frechet_bias(d: int, n: int, m: int) -> float:
    """What two sets of n and m images of ONE distribution are expected to give: d (d + 5) / 4 * (1/n + 1/m).

    To first order, for d independent features of variance 1, and for n, m > d only; d (d + 5) / (2n) where n = m.
    Raises UserError elsewhere: take `frechet_floor`, which holds for any features.
    """
    if min(n, m) <= d:
        raise UserError(f"frechet bias: the law needs more images than features ({min(n, m)}, {d}); take frechet_floor")
    return d * (d + 5) / 4 * (1 / n + 1 / m)


def frechet_floor(
    real: ArrayLike, groups: ArrayLike | None = None, n: int | None = None, repeats: int = 100, seed: int = 0
) -> Floor:
    """What real images give against real images of other patients, n a side: the bias to expect, with its spread.

    real: (N, d). n None: as many as a split by patient allows. A generator can be told from real data only where its
    own distance AT THIS n (`frechet_at`) lies above. Raises UserError where there are too few images.
    """
    real = _centred(rows(real, "frechet floor", 4))
    cross = real @ real.T if len(real) <= real.shape[1] else None

    def figure(one: Numbers, other: Numbers, _: Numbers, __: Numbers) -> float:
        return _distance(real[one], real[other], None if cross is None else cross[np.ix_(one, other)])

    return splits(real, groups, n, repeats, seed, figure)


def frechet_at(
    x: ArrayLike,
    y: ArrayLike,
    n: int,
    groups_x: ArrayLike | None = None,
    groups_y: ArrayLike | None = None,
    repeats: int = 100,
    seed: int = 0,
) -> Floor:
    """The distance of n images of x from n of y, over draws by patient: what `frechet_floor` at n is held against."""
    x, y = _shifted(x, y)
    if n < 2 or n > min(len(x), len(y)):
        raise UserError(
            f"frechet distance at n = {n}: the sets have {len(x)} and {len(y)} images; ask for 2 to the fewer"
        )
    px, py = patients_of(len(x), groups_x), patients_of(len(y), groups_y)
    cross = x @ y.T if n <= x.shape[1] else None
    random, found = np.random.default_rng(seed), []
    for _ in range(repeats):
        i, j = draw(px, n, random)[0], draw(py, n, random)[0]
        found.append(_distance(x[i], y[j], None if cross is None else cross[np.ix_(i, j)]))
    return floor_of(found, n, min(int(px.max()), int(py.max())) + 1)


def frechet_at_infinity(
    x: ArrayLike,
    y: ArrayLike,
    seed: int = 0,
    groups_x: ArrayLike | None = None,
    groups_y: ArrayLike | None = None,
    repeats: int = 30,
) -> Estimate:
    """Frechet distance of infinitely many images (Chong & Forsyth 2020): intercept of a line through it against 1/n.

    Both sets are cut alike to 8 sizes, from more than d (at least a quarter) to all of them, equal steps in 1/n, five
    draws each. It may come out below 0 where the truth is near 0. The interval is by patient, a fifth left out at a
    time, NaN where those that stay are too few for a line. Raises UserError where a set has no 1.25 d images: the bias
    is no line in 1/n until n passes d, and a line needs a range to lie on.
    """
    x, y = _shifted(x, y)
    if _least(x, y) is None:
        raise UserError(
            f"Frechet distance at infinity: {min(len(x), len(y))} images for {x.shape[1]} features; it needs"
            f" {math.ceil(1.25 * (x.shape[1] + 1))} or more, so take the kernel distance instead"
        )
    px, py = patients_of(len(x), groups_x), patients_of(len(y), groups_y)
    kept_x, factor_x = subsamples(int(px.max()) + 1, repeats, seed)
    kept_y, factor_y = subsamples(int(py.max()) + 1, repeats, seed + 1)
    values = [_intercept(x[a[px]], y[b[py]], seed) for a, b in zip(kept_x, kept_y, strict=True)]
    fewest = min(kept_x.shape[1], kept_y.shape[1])
    return delete_interval(_intercept(x, y, seed), values, max(factor_x, factor_y), fewest)


def _least(x: Array, y: Array) -> int | None:
    fewest = min(len(x), len(y))
    least = max(x.shape[1] + 1, fewest // 4)
    return least if fewest >= 1.25 * least else None


def _intercept(x: Array, y: Array, seed: int) -> float:
    least, fewest = _least(x, y), min(len(x), len(y))
    if least is None:
        return math.nan
    random, sizes, found = np.random.default_rng(seed), [], []
    for inverse in np.linspace(1 / fewest, 1 / least, _SIZES):
        share = 1 / inverse / fewest
        n, m = round(share * len(x)), round(share * len(y))
        draws = [_distance(_some(x, n, random), _some(y, m, random), None) for _ in range(_DRAWS if share < 1 else 1)]
        sizes.append(1 / n + 1 / m)
        found.append(float(np.mean(draws)))
    return float(np.polynomial.Polynomial.fit(sizes, found, 1)(0.0))


def _shifted(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    x, y = rows(x, "first set"), rows(y, "second set")
    same_width(x, y)
    common = x.mean(0)  # a large mean would cost the digits that tell the images apart
    return x - common, y - common


def _centred(x: Array) -> Array:
    centred: Array = x - x.mean(0)
    return centred


def _distance(x: Array, y: Array, cross: Array | None) -> float:
    """cross: x @ y.T where it is known already; it is centred here."""
    gap = x.mean(0) - y.mean(0)
    a, b = _centred(x), _centred(y)
    if cross is None:
        middle = _few_rows(a) @ _few_rows(b).T
    else:
        middle = cross - cross.mean(0) - cross.mean(1)[:, None] + cross.mean()
    n, m = len(x) - 1, len(y) - 1
    nuclear = float(svdvals(middle, overwrite_a=True, check_finite=False).sum()) / math.sqrt(n * m)
    return max(0.0, float(gap @ gap + np.vdot(a, a) / n + np.vdot(b, b) / m - 2 * nuclear))


def _of_part(x: Array, y: Array, cross: Array | None, in_x: Flags, in_y: Flags) -> float:
    if in_x.sum() < 2 or in_y.sum() < 2:
        return math.nan
    return _distance(x[in_x], y[in_y], None if cross is None else cross[np.ix_(in_x, in_y)])


def _few_rows(x: Array) -> Array:
    """At most d rows with the same x'x."""
    if len(x) <= x.shape[1]:
        return x
    return np.asarray(qr(x, mode="r", check_finite=False)[0][: x.shape[1]], np.float64)


def _some(x: Array, n: int, random: np.random.Generator) -> Array:
    return x if n >= len(x) else np.asarray(x[random.choice(len(x), n, replace=False)])


def _root(s: Array) -> Array:
    if s.ndim != 2 or not np.allclose(s, s.T, rtol=1e-8, atol=1e-8 * float(np.abs(s).max(initial=0))):
        raise ValueError(f"covariance of shape {s.shape} is not symmetric")
    values, vectors = eigh((s + s.T) / 2)
    if values[0] < -1e-6 * max(values[-1], 0.0):
        raise ValueError(f"covariance with a negative eigenvalue, {values[0]:.3g}")
    root: Array = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    return root
