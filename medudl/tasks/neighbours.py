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

_THUMB = 16  # pixels: the first look, over all pairs
_FIRST_LOOK, _CANDIDATES = 0.97, 10  # the thumbnails most like an item's, above this correlation, are looked at again
WHOLE, DETAIL = 0.95, 0.75  # docs/explore.md says how they were found
_BLUR = 2.0  # pixels: what such a blur takes away is detail
RULE = (
    "pictures of two cases are near copies when they are equal, or, of different patients, when their grey values"
    f" correlate by at least {WHOLE:g} and their details (the picture minus itself blurred by {_BLUR:g} pixels) by at"
    f" least {DETAIL:g}; mirrored or shifted pictures do not count"
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


def near_copies(pictures: NDArray[np.uint8], cases: Sequence[str], patients: Sequence[str]) -> NDArray[np.int32]:
    """(N,): number of the group of near copies that an item belongs to, from 1; 0 where it has no copy. See `RULE`.

    pictures: (N, h, w). Slices of one case never count, and of one patient only equal ones: neighbouring slices and
    the contrasts of a study are alike. An even picture is no copy of anything.
    """
    n = len(pictures)
    case, patient = (np.unique(np.asarray(names, str), return_inverse=True)[1] for names in (cases, patients))
    pairs: set[tuple[int, int]] = set()
    thumbs = np.stack([_unit(_shrunk(picture)) for picture in pictures]) if n else np.zeros((0, _THUMB**2), np.float32)
    for part in _blocks(n):
        alike = thumbs[part] @ thumbs.T
        alike[case[part, None] == case] = -1
        best = np.argpartition(-alike, min(_CANDIDATES, n) - 1, axis=1)[:, :_CANDIDATES]
        close = np.take_along_axis(alike, best, axis=1) >= _FIRST_LOOK
        for row, place in zip(*np.nonzero(close), strict=True):
            one, other = sorted((int(part[row]), int(best[row, place])))
            pairs.add((one, other))
    return _grouped(n, [(a, b) for a, b in sorted(pairs) if _copy(pictures[a], pictures[b], patient[a] == patient[b])])


def whole_correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of the grey values of two pictures (h, w); 0 where one of them is even."""
    return float(_unit(one.astype(np.float32)) @ _unit(other.astype(np.float32)))


def detail_correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of what a blur takes away from two pictures (h, w): patients share shapes, and no texture."""
    details = [x - ndimage.gaussian_filter(x, _BLUR) for x in (one.astype(np.float32), other.astype(np.float32))]
    return float(_unit(details[0]) @ _unit(details[1]))


def _copy(one: NDArray[np.uint8], other: NDArray[np.uint8], same_patient: bool) -> bool:
    if same_patient or np.array_equal(one, other):
        return np.array_equal(one, other)
    return whole_correlation(one, other) >= WHOLE and detail_correlation(one, other) >= DETAIL


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
