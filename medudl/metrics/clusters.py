"""Do clusters agree with a known grouping? The adjusted Rand index, with an interval by patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medudl.metrics.intervals import Estimate, bootstrap, resamples

REPEATS = 1000


def adjusted_rand(table: ArrayLike) -> NDArray[np.float64]:
    """Adjusted Rand index (Hubert & Arabie 1985) of contingency tables (..., clusters, classes): (...).

        (sum_ij C(n_ij, 2) - E) / ((sum_i C(a_i, 2) + sum_j C(b_j, 2)) / 2 - E),   E = sum_i C(a_i, 2) sum_j C(b_j, 2) / C(n, 2)

    1 for equal groupings, 0 on average for chance, below 0 for less; 1 where both groupings are trivial.
    """  # noqa: E501
    table = np.asarray(table, np.float64)
    both = _pairs(table).sum(axis=(-2, -1))
    clusters, classes = _pairs(table.sum(axis=-1)).sum(axis=-1), _pairs(table.sum(axis=-2)).sum(axis=-1)
    chance = clusters * classes / np.maximum(_pairs(table.sum(axis=(-2, -1))), 1)
    above, most = both - chance, (clusters + classes) / 2 - chance
    return np.where(np.abs(most) > 1e-12, above / np.where(np.abs(most) > 1e-12, most, 1), 1.0)


def agreement(clusters: Sequence[int], classes: Sequence[str], patients: Sequence[str], seed: int = 0) -> Estimate:
    """Adjusted Rand index with its 95 % interval over patients, who are drawn with all their items; n patients."""
    _, place = np.unique(np.asarray(patients, str), return_inverse=True)
    _, row = np.unique(np.asarray(clusters), return_inverse=True)
    _, column = np.unique(np.asarray(classes, str), return_inverse=True)
    n = int(place.max(initial=-1)) + 1
    if n == 0:
        return bootstrap(np.nan, [], 0)
    tables = np.zeros((n, row.max() + 1, column.max() + 1))
    np.add.at(tables, (place, row, column), 1)
    value = float(adjusted_rand(tables.sum(axis=0)))
    drawn = resamples(np.zeros(n, int), REPEATS, seed)
    sums = (drawn @ tables.reshape(n, -1)).reshape(REPEATS, *tables.shape[1:])
    return bootstrap(value, adjusted_rand(sums), n)


def _pairs(count: NDArray[np.float64]) -> NDArray[np.float64]:
    return count * (count - 1) / 2
