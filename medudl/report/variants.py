"""The same model, reported otherwise: filter and erosion switched off one by one, and every scan score it has.

Not for choosing: whoever picks a row of this table picks it on the test scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.config import Detect
from medudl.metrics.intervals import difference
from medudl.metrics.voxels import Counts, count
from medudl.report.figures import Ranking, scan_rankings_of, voxel_rankings_of
from medudl.report.records import MODEL, Record, Variant
from medudl.tasks.detector import Scored
from medudl.tasks.postprocess import filtered, inner, own_score, scan_score

OFF: dict[str, dict[str, int]] = {
    "without the median filter": {"median": 0},
    "without erosion of the foreground": {"erode": 0},
    "without either": {"median": 0, "erode": 0},
}
OF_THE_MAP = {"mean": "mean of the map", "top": "highest {percent:g} % of the map", "max": "highest value of the map"}


def variants(scan: Scored, mask: NDArray[np.bool_] | None, settings: Detect, dims: int) -> dict[str, Variant]:
    """What the scan would have got: by each postprocessing that is less, and by each scan score that is not chosen.

    mask: the lesions (D, H, W); with one, voxels of foreground and lesion are counted as for the model itself.
    """
    found: dict[str, Variant] = {}
    for name, change in OFF.items():
        if any(getattr(settings, key) for key in change):
            found[name] = _otherwise(scan, mask, settings.model_copy(update=change), dims)
    for kind, words in OF_THE_MAP.items():
        if kind != settings.score:
            chosen = settings.model_copy(update={"score": kind})
            name = f"scan score: {words.format(percent=settings.top_percent)}"
            found[name] = Variant(scan_score(scan.smooth, scan.inside, chosen))
    for kind, values in scan.own.items():
        if kind != settings.score:
            found[f"scan score: {kind.replace('_', ' ')}"] = Variant(own_score(values, scan.inside))
    return found


def _otherwise(scan: Scored, mask: NDArray[np.bool_] | None, settings: Detect, dims: int) -> Variant:
    inside = inner(scan.foreground, settings, dims)
    smooth = filtered(scan.raw, inside, settings, dims)
    return Variant(scan_score(smooth, inside, settings, scan.own), _counts(scan, smooth, mask))


def _counts(scan: Scored, smooth: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> Counts | None:
    if mask is None:
        return None
    region = scan.foreground | mask
    return count(smooth[region], mask[region])


def variant_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One row a variant: voxel AP and AUROC, each with its difference from the model as set, paired by patient."""
    if not records:
        return []
    names = list(records[0].variants)
    maps = {name: partial(_counts_of, name) for name in (MODEL, *(name for name in names if name in OFF))}
    voxel = _by_name(voxel_rankings_of(records, maps))
    scan = _by_name(scan_rankings_of(records, {name: partial(_score_of, name) for name in (MODEL, *names)}))
    return [
        {"name": name, "voxel": _figure(voxel, name), "scan": _figure(scan, name)}
        for name in (MODEL, *names)
        if name in voxel or name in scan
    ]


def _counts_of(name: str, record: Record) -> Counts | None:
    return record.counts.get(MODEL) if name == MODEL else record.variants[name].counts


def _score_of(name: str, record: Record) -> float:
    return record.scores[MODEL] if name == MODEL else record.variants[name].score


def _by_name(rankings: Sequence[Ranking]) -> dict[str, Ranking]:
    return {ranking.name: ranking for ranking in rankings}


def _figure(found: dict[str, Ranking], name: str) -> dict[str, Any] | None:
    if name not in found:
        return None
    own, model = found[name], found[MODEL]
    told: dict[str, Any] = {"figure": own.figure.as_dict(), "difference": None}
    if name != MODEL:
        paired = difference(own.figure.value, model.figure.value, own.samples, model.samples, own.figure.n)
        told["difference"] = paired.as_dict()
    return told
