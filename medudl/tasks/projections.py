"""Codes on one scale, and drawn on a plane: PCA, UMAP, t-SNE, each with what the plane keeps of the neighbourhoods."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.float32]
Plane = NDArray[np.float32]

ACTIVE = 0.01  # variance of a code's mean above which its dimension is in use (Burda et al. 2016)
_SILENT = 1e-4  # of the largest standard deviation: what spreads less is a constant with rounding errors
LIMITS = {"pca": 10**9, "umap": 20_000, "tsne": 5_000}  # items, so that each takes minutes at most
_FIRST = 50  # dimensions that PCA leaves for UMAP and t-SNE
_TRUST_ITEMS, _TRUST_NEAR = 2000, 10


@dataclass(frozen=True)
class Scale:
    """How codes (N, Z) become comparable: (code - mean) / sigma, over the dimensions in use.

    mean, sigma: (Z,), over the items. used: the dimensions in use, the most useful first; order: all of them, those in
    use first. A dimension is useful by its variance over items, over the mean variance of the code itself where the
    method knows it: how much of it is signal. active: how many have a variance above .01, None where the method knows
    no spread of the code.
    """

    mean: NDArray[np.float64]
    sigma: NDArray[np.float64]
    order: NDArray[np.int64]
    used: NDArray[np.int64]
    active: int | None

    @classmethod
    def of(cls, codes: Codes, spread: Codes | None = None) -> Scale:
        """Measure it on codes (N, Z)."""
        mean, sigma = codes.mean(axis=0, dtype=np.float64), codes.std(axis=0, dtype=np.float64)
        useful = sigma**2
        in_use = sigma > _SILENT * max(float(sigma.max(initial=0)), 1e-12)
        active = None
        if spread is not None:
            useful = useful / np.maximum(np.square(spread, dtype=np.float64).mean(axis=0), 1e-12)
            active = int((sigma**2 > ACTIVE).sum())
            in_use &= sigma**2 > ACTIVE if active else in_use
        order = np.lexsort((-useful, ~in_use))
        return cls(mean, sigma, order, order[: int(in_use.sum())], active)

    def __call__(self, codes: Codes) -> Codes:
        """(N, Z) -> (N, U), the dimensions in use at mean 0 and standard deviation 1."""
        scaled = (codes[:, self.used] - self.mean[self.used]) / self.sigma[self.used]
        return scaled.astype(np.float32)


@dataclass(frozen=True)
class Projected:
    """planes: {name: (N, 2)}; left_out: {name: why}; trust: {name: trustworthiness}; explained: of PCA's two axes."""

    planes: Mapping[str, Plane]
    left_out: Mapping[str, str]
    trust: Mapping[str, float]
    explained: tuple[float, float]


def project(codes: Codes, seed: int, done: Callable[[str], object] = lambda name: None) -> Projected:
    """Every plane that can be drawn of standardised codes (N, U). done(name) is called before each one begins."""
    planes: dict[str, Plane] = {}
    left_out: dict[str, str] = {}
    flat, explained = pca(codes)
    reduced = components(codes, min(_FIRST, *codes.shape)) if codes.shape[1] > _FIRST else codes
    makers: dict[str, Callable[[], Plane]] = {
        "pca": lambda: flat, "umap": lambda: umap(reduced, seed), "tsne": lambda: tsne(reduced, seed)
    }  # fmt: skip
    for name, make in makers.items():
        why = _reason(name, codes)
        if why:
            left_out[name] = why
            continue
        done(name)
        planes[name] = make()
    trust = {name: trustworthiness(codes, plane, seed) for name, plane in planes.items()}
    return Projected(planes, left_out, {name: t for name, t in trust.items() if np.isfinite(t)}, explained)


def pca(codes: Codes) -> tuple[Plane, tuple[float, float]]:
    """The two directions of largest variance (N, 2), and the share of the variance that each explains.

    Signs are fixed (the largest loading is positive), so that the same codes give the same picture.
    """
    wide = np.pad(codes, ((0, 0), (0, max(0, 2 - codes.shape[1]))))  # a plane has two axes, whatever the code has
    centred = wide.astype(np.float64) - wide.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    values, vectors = values[::-1].clip(0), vectors[:, ::-1][:, :2]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), [0, 1]])
    share = values[:2] / max(float(values.sum()), 1e-12)
    return (centred @ (vectors * signs)).astype(np.float32), (float(share[0]), float(share[1]))


def umap(codes: Codes, seed: int) -> Plane:
    """Uniform manifold approximation and projection (McInnes et al. 2018), 15 neighbours, (N, 2)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba, and that a fixed seed means one thread
        from umap import UMAP

        near = min(15, len(codes) - 1)
        start = "spectral" if len(codes) > 50 else "random"  # the spectral start needs more points than it has axes
        made: Any = UMAP(n_neighbors=near, random_state=seed, n_jobs=1, init=start).fit_transform(codes)
    return np.asarray(made, np.float32)


def tsne(codes: Codes, seed: int) -> Plane:
    """t-distributed stochastic neighbour embedding (van der Maaten & Hinton 2008), perplexity at most 30, (N, 2)."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(codes) - 1) / 3)
    codes = np.pad(codes, ((0, 0), (0, max(0, 2 - codes.shape[1]))))  # it begins from two principal components
    made: Any = TSNE(perplexity=perplexity, random_state=seed, init="pca", n_jobs=1).fit_transform(codes)
    return np.asarray(made, np.float32)


def trustworthiness(codes: Codes, plane: Plane, seed: int) -> float:
    """Share of the plane's 10 nearest that were near before (Venna & Kaski 2001); 1 is best.

    NaN below 22 items or without a code. Above 2,000 items on 2,000 of them, drawn by `seed`.
    """
    from sklearn.manifold import trustworthiness as measure

    if len(codes) < 2 * _TRUST_NEAR + 2 or codes.shape[1] == 0:
        return float("nan")
    pick = np.random.default_rng(seed).permutation(len(codes))[:_TRUST_ITEMS]
    return float(measure(codes[pick], plane[pick], n_neighbors=_TRUST_NEAR))


def _reason(name: str, codes: Codes) -> str:
    """Why a plane is left out, or ""."""
    items, dims = codes.shape
    if name != "pca" and items < 5:
        return f"{items} item{'s are' if items != 1 else ' is'} too few; it needs 5"
    if name != "pca" and dims < 1:
        return "every item has the same code"
    if items > LIMITS[name]:
        return f"{items:,} items would take too long; at most {LIMITS[name]:,} are drawn this way: embed one split"
    if name == "umap" and importlib.util.find_spec("umap") is None:
        return 'umap-learn is not installed: pip install "medudl[explore]"'
    return ""


def components(codes: Codes, count: int) -> Codes:
    """The first `count` principal components (N, count)."""
    centred = codes.astype(np.float64) - codes.mean(axis=0, dtype=np.float64)
    vectors = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]
    return np.asarray(centred @ vectors, np.float32)
