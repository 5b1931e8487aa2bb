"""Which items are alike: nearest codes of other cases, and pictures that are near copies of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

Codes = NDArray[np.float32]
NEAR = 10
_BLOCK = 2**24  # distances held at once

_THUMB = 16  # pixels: first look, over all pairs
_FIRST_LOOK = 0.97  # correlation of thumbnails below which a pair is not looked at again
WHOLE, DETAIL = 0.97, 0.75  # a near copy reaches both; docs/explore.md says how they were found
_BLUR = 2.0  # pixels: what lies above it is not detail
RULE = (
    "two pictures of different cases are near copies when their grey values correlate by at least"
    f" {WHOLE:g} and their details (the picture minus itself blurred by {_BLUR:g} pixels) by at least {DETAIL:g};"
    " flips and shifts do not count"
)


def nearest(codes: Codes, cases: Sequence[str], count: int = NEAR) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Rows and Euclidean distances of the `count` nearest items of other cases: (N, count) each, the nearest first.

    codes: (N, U), standardised. Where there are fewer others, -1 and NaN.
    """
    n = len(codes)
    rows, distances = np.full((n, count), -1, np.int32), np.full((n, count), np.nan, np.float32)
    _, group = np.unique(np.asarray(cases, str), return_inverse=True)
    squares = np.square(codes, dtype=np.float64).sum(axis=1)
    kept = min(count, n)
    for part in _blocks(n):
        far = squares[part, None] + squares - 2.0 * (codes[part] @ codes.T)
        far[group[part, None] == group] = np.inf
        found = np.argpartition(far, kept - 1, axis=1)[:, :kept]
        values = np.take_along_axis(far, found, axis=1)
        order = np.lexsort((found, values), axis=1)
        found, values = np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)
        known = np.isfinite(values)
        rows[part, :kept] = np.where(known, found, -1)
        distances[part, :kept] = np.where(known, np.sqrt(values.clip(0)), np.nan)
    return rows, distances


def near_copies(pictures: NDArray[np.uint8], cases: Sequence[str]) -> NDArray[np.int32]:
    """(N,): number of the group of near copies that an item belongs to, from 1; 0 where it has no copy. See `RULE`.

    pictures: (N, h, w). Pairs of one case never count: neighbouring slices are alike.
    """
    n = len(pictures)
    _, group = np.unique(np.asarray(cases, str), return_inverse=True)
    thumbs = np.stack([_unit(_shrunk(picture)) for picture in pictures]) if n else np.zeros((0, _THUMB**2))
    pairs = []
    for part in _blocks(n):
        alike = thumbs[part] @ thumbs.T
        for a, b in zip(*np.nonzero(alike >= _FIRST_LOOK), strict=True):
            first = int(part[a])
            if first < b and group[first] != group[b] and _copy(pictures[first], pictures[b]):
                pairs.append((first, int(b)))
    return _grouped(n, pairs)


def correlations(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[float, float]:
    """Correlation of two pictures (h, w) and of their details; 0 where one of them is even."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    whole = float(_unit(a) @ _unit(b))
    detail = [_unit(x - ndimage.gaussian_filter(x, _BLUR)) for x in (a, b)]
    return whole, float(detail[0] @ detail[1])


def _copy(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    if np.array_equal(one, other):
        return True
    whole, detail = correlations(one, other)
    return whole >= WHOLE and detail >= DETAIL


def _shrunk(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means over a grid of `_THUMB` x `_THUMB` boxes."""
    height, width = picture.shape
    rows = np.linspace(0, height, _THUMB + 1).astype(int)
    columns = np.linspace(0, width, _THUMB + 1).astype(int)
    total = np.pad(picture.astype(np.float64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    corner = total[np.ix_(rows, columns)]
    sums = corner[1:, 1:] - corner[:-1, 1:] - corner[1:, :-1] + corner[:-1, :-1]
    area = np.maximum(np.outer(np.diff(rows), np.diff(columns)), 1)
    return np.asarray(sums / area, np.float32)


def _unit(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flat, mean 0, length 1; all zero for an even image."""
    flat = image.ravel() - image.mean(dtype=np.float64)
    length = float(np.linalg.norm(flat))
    made: NDArray[np.float32] = (flat / length if length > 1e-6 * len(flat) else flat * 0).astype(np.float32)
    return made


def _grouped(n: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int32]:
    if not pairs:
        return np.zeros(n, np.int32)
    a, b = np.array(pairs).T
    _, names = connected_components(sparse.coo_matrix((np.ones(len(a)), (a, b)), (n, n)), directed=False)
    sizes = np.bincount(names)
    shared = sizes > 1
    number = np.where(shared, np.cumsum(shared), 0)
    return np.asarray(number[names], np.int32)


def _blocks(n: int) -> Iterator[NDArray[np.int64]]:
    step = max(1, _BLOCK // max(n, 1))
    for start in range(0, n, step):
        yield np.arange(start, min(start + step, n))
