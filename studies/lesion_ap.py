"""Average precision of a run's maps over lesion voxels, with its interval by patient: what several studies measure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.metrics.curves import average_precision_of
from medudl.metrics.intervals import bootstrap, resamples
from medudl.metrics.voxels import Tally, count

REPEATS, SEED = 1000, 0


def lesion_ap(scans: Iterable[tuple[str, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]]) -> dict[str, Any]:
    """AP pooled over scans, its 95 % interval by patient bootstrap, the share of lesion voxels, and the patients.

    scans: (subject, reported map, lesion mask, foreground), each (D, H, W). Voxels: foreground and lesion.
    """
    counts, subjects = [], []
    for subject, smooth, mask, foreground in scans:
        region = foreground | mask
        counts.append(count(smooth[region], mask[region]))
        subjects.append(subject)
    names, place = np.unique(subjects, return_inverse=True)
    tally = Tally(counts, place.tolist(), len(names))
    drawn = resamples(np.zeros(len(names)), REPEATS, SEED)
    samples = average_precision_of(*tally.coarser(2).pooled(drawn))
    sick, healthy = tally.pooled()
    figure = bootstrap(float(average_precision_of(sick, healthy)), samples, len(names))
    return {"ap": figure.as_dict(), "prevalence": float(sick.sum() / (sick.sum() + healthy.sum()))}
