"""Codes of samples: the way between two, directions that change the picture, and arithmetic with means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.float32]
DIRECTIONS = 8
_SIDE = 32  # pixels of a picture that directions are sought with


def between(a: Codes, b: Codes, shares: NDArray[Any], told: int = 0) -> Codes:
    """(n, Z): from code a to b, (1 - t) a + t b, at (1 - t) |a| + t |b| from the middle.

    A straight line between two codes of a normal prior leads through the middle, where no code of it lies.
    told: the last numbers of a code that say what was asked for; they change evenly.
    """
    t = np.asarray(shares, np.float64)[:, None]
    way = (1 - t) * a + t * b
    drawn = len(a) - told
    length = np.linalg.norm(way[:, :drawn], axis=1, keepdims=True)
    wanted = (1 - t) * np.linalg.norm(a[:drawn]) + t * np.linalg.norm(b[:drawn])
    way[:, :drawn] *= np.divide(wanted, length, out=np.ones_like(length), where=length > 1e-6)
    return np.asarray(way, np.float32)


def directions(codes: Codes, pictures: NDArray[np.uint8], told: int = 0) -> Codes:
    """(k, Z), of length 1: the directions of the code with which pictures change most, the strongest first.

    Left singular vectors of the cross-covariance of codes (N, Z) and pictures (N, h, w); k = 8 at most. told:
    as in `between`; no direction changes them.
    """
    step = max(1, -(-max(pictures.shape[1:]) // _SIDE))
    small = pictures[:, ::step, ::step].reshape(len(pictures), -1).astype(np.float64)
    apart = codes - codes.mean(axis=0)
    apart[:, codes.shape[1] - told :] = 0
    shared = apart.T @ (small - small.mean(axis=0))
    found, strength, _ = np.linalg.svd(shared, full_matrices=False)
    kept = int(min(DIRECTIONS, (strength > 1e-9 * max(strength[0], 1e-30)).sum()))
    return np.asarray(found[:, :kept].T, np.float32)


def mixed(codes: Codes, a: Sequence[int], b: Sequence[int], c: Sequence[int]) -> Codes:
    """(4, Z): the concepts A, B and C, each the mean of its samples' codes, and A - B + C (Radford et al. 2016)."""
    first, second, third = (codes[list(rows)].mean(axis=0) for rows in (a, b, c))
    return np.stack([first, second, third, first - second + third])
