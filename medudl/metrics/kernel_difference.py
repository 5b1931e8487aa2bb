"""Which of two generators is nearer to the real images: the difference of their kernel distances, paired by patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.kernel import PairSums
from medudl.metrics.subsampling import delete_interval, patients_of, rows, same_width, subsamples


def kernel_difference(
    x: ArrayLike,
    other: ArrayLike,
    real: ArrayLike,
    groups_real: ArrayLike | None = None,
    repeats: int = 200,
    seed: int = 0,
) -> Estimate:
    """Kernel distance of x to the real images, less that of `other` to the same ones. Below 0: x is nearer.

        mean k(x, x') - mean k(o, o') - 2 (mean k(x, r) - mean k(o, r)),   k as in `kernel_distance`

    x: (n, d), other: (l, d), real: (m, d), of one network. Generated images are independent, real ones belong to
    patients; a fifth of each set is left out at a time, the same real patients for both. n of the result: patients.
    Raises UserError where a set has fewer than two images, or the real ones are of fewer than two patients.
    """
    x, other, real = rows(x, "first set"), rows(other, "second set"), rows(real, "real images")
    same_width(x, real)
    same_width(other, real)
    patient = patients_of(len(real), groups_real)
    patients = int(patient.max()) + 1
    if patients < 2:
        raise UserError("kernel distance: it compares different patients, and the real images are of one; add patients")
    kept_real, factor = subsamples(patients, repeats, seed)
    parts, factors = [], [factor]
    for number, made in enumerate((x, other)):
        alone = np.arange(len(made))
        sums = PairSums(made, real, alone, patient, len(made), patients, False)
        kept, own = subsamples(len(made), repeats, seed + 1 + number)
        factors.append(own)
        everyone = sums.distance(np.ones((1, len(made))), np.ones((1, patients)))
        values = sums.distance(kept.astype(np.float64), kept_real.astype(np.float64))
        parts.append((float(everyone[0]), values))
    (one, some), (two, others) = parts
    return delete_interval(one - two, some - others, max(factors), patients)
