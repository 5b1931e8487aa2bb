"""Figures over the records of an evaluation, each with its interval by patient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medudl.metrics.curves import auroc_of, average_precision_of, dice_of, ranked
from medudl.metrics.intervals import Estimate, bootstrap, clopper_pearson, difference, poisson_interval, resamples
from medudl.metrics.voxels import Counts, Tally
from medudl.report.records import MODEL, Record, patients

REPEATS, SEED = 2000, 0
_CHUNK = 250  # resamples at a time: bounds the memory of the product with a few thousand bins
_COARSER = 2  # bits: bins .4 to .8 % wide for the intervals, which moves an AP by some .001 and saves three quarters
SIZES = (0.0, 0.1, 1.0, 10.0, math.inf)  # ml
SIZES_2D = (0.0, 10.0, 100.0, 1000.0, math.inf)  # pixels, where a scan is a single image


@dataclass(frozen=True)
class Ranking:
    """How well one map ranks. samples: the figure over the resamples, the same draws for every map.

    average_precision: beside an AUROC only. best_dice: beside a voxel AP only; its threshold is picked on the test
    scans, so it is optimistic.
    """

    name: str
    figure: Estimate
    samples: NDArray[np.float64]
    average_precision: Estimate | None = None
    best_dice: float | None = None


def voxel_rankings(records: Sequence[Record]) -> list[Ranking]:
    """Voxel average precision of the model and of every baseline, over the scans that have a lesion mask.

    Voxels: foreground and lesion; what lies outside the eroded foreground scores 0. Pooled over scans.
    """
    masked = [record for record in records if record.counts]
    names = list(masked[0].counts) if masked else []
    return voxel_rankings_of(masked, {name: partial(_counts_of, name) for name in names})


def voxel_rankings_of(
    records: Sequence[Record], maps: Mapping[str, Callable[[Record], Counts | None]]
) -> list[Ranking]:
    """The same for any maps, each given by how its counts are got of a record; scans without counts are left out."""
    masked = [record for record in records if record.counts]
    if not masked:
        return []
    names, place = patients(masked)
    drawn = resamples(np.zeros(len(names)), REPEATS, SEED)
    counted = {name: [found for r in masked if (found := get(r)) is not None] for name, get in maps.items()}
    return [
        _voxel_ranking(counts, name, place, drawn) for name, counts in counted.items() if len(counts) == len(masked)
    ]


def _voxel_ranking(counts: list[Counts], name: str, place: NDArray[np.int64], drawn: NDArray[np.int64]) -> Ranking:
    n = drawn.shape[1]
    tally = Tally(counts, place.tolist(), n)
    whole = tally.pooled()
    coarse = tally.coarser(_COARSER)
    parts = [average_precision_of(*coarse.pooled(drawn[i : i + _CHUNK])) for i in range(0, len(drawn), _CHUNK)]
    samples = np.concatenate(parts)
    best = dice_of(*whole)
    figure = bootstrap(float(average_precision_of(*whole)), samples, n)
    return Ranking(name, figure, samples, best_dice=float(np.nanmax(best)) if whole[0].sum() else math.nan)


def scan_rankings(records: Sequence[Record]) -> list[Ranking]:
    """AUROC and average precision of every scan score, healthy against sick; baselines with both signs.

    Patients are drawn among those with and without a sick scan apart, so that every resample has both.
    """
    if not records:
        return []
    scores = {MODEL: partial(_score_of, MODEL, 1)}
    for name in [key for key in {**records[0].scores, **records[0].numbers} if key != MODEL]:
        scores[name] = partial(_score_of, name, 1)
        scores[f"minus {name}"] = partial(_score_of, name, -1)
    return scan_rankings_of(records, scores)


def scan_rankings_of(records: Sequence[Record], scores: Mapping[str, Callable[[Record], float]]) -> list[Ranking]:
    """The same for any scores, each given by how it is got of a record; one that is not always finite is left out."""
    known = [record for record in records if record.sick is not None]
    sick = np.array([record.sick for record in known], bool)
    if not known or sick.all() or not sick.any():
        return []
    names, place = patients(known)
    stratum = np.bincount(place, sick) > 0
    weight = resamples(stratum, REPEATS, SEED)[:, place]
    values = {name: np.array([get(r) for r in known]) for name, get in scores.items()}
    return [
        _scan_ranking(name, score, sick, weight, len(names))
        for name, score in values.items()
        if name == MODEL or np.isfinite(score).all()
    ]


def _counts_of(name: str, record: Record) -> Counts | None:
    return record.counts.get(name)


def _score_of(name: str, sign: int, record: Record) -> float:
    return sign * (record.scores[name] if name in record.scores else record.numbers[name])


def _scan_ranking(
    name: str, score: NDArray[np.float64], sick: NDArray[np.bool_], weight: NDArray[np.int64], n: int
) -> Ranking:
    _, one_sick, one_healthy = ranked(sick, score)
    _, many_sick, many_healthy = ranked(sick, score, weight)
    samples = auroc_of(many_sick, many_healthy)
    precision = bootstrap(
        float(average_precision_of(one_sick, one_healthy)), average_precision_of(many_sick, many_healthy), n
    )
    return Ranking(name, bootstrap(float(auroc_of(one_sick, one_healthy)), samples, n), samples, precision)


def best_baseline(rankings: Sequence[Ranking]) -> Ranking | None:
    """The baseline with the highest figure on these very scans, which favours it; None without any."""
    others = [r for r in rankings if r.name != MODEL and math.isfinite(r.figure.value)]
    return max(others, key=lambda r: r.figure.value, default=None)


def gain(rankings: Sequence[Ranking]) -> tuple[Ranking, Ranking, Estimate] | None:
    """The model, the best baseline, and their difference, paired by patient."""
    best = best_baseline(rankings)
    if best is None:
        return None
    model = next(r for r in rankings if r.name == MODEL)
    paired = difference(model.figure.value, best.figure.value, model.samples, best.samples, model.figure.n)
    return model, best, paired


def dice_at_threshold(records: Sequence[Record]) -> Estimate | None:
    """Dice of the model's unusual areas at the healthy threshold, pooled over the scans with a mask.

    2 TP / (called + lesion voxels), each scan at its own run's threshold. None without thresholds or masks.
    """
    masked = [r for r in records if r.overlap is not None]
    if not masked:
        return None
    names, place = patients(masked)
    cells = np.zeros((len(names), 2))
    np.add.at(cells, place, np.array([r.overlap for r in masked], float))
    return ratio(cells)


def ratio(cells: NDArray[np.float64]) -> Estimate:
    """Sum of numerators over sum of denominators, (P, 2) by patient, with its bootstrap interval."""
    drawn = resamples(np.zeros(len(cells)), REPEATS, SEED) @ cells
    values = np.divide(drawn[:, 0], drawn[:, 1], out=np.full(len(drawn), np.nan), where=drawn[:, 1] > 0)
    top, below = cells.sum(0)
    return bootstrap(float(top / below) if below > 0 else math.nan, values, len(cells))


def lesion_recall(records: Sequence[Record]) -> list[dict[str, object]]:
    """Share of lesions met, by size. Interval by patient, or the exact one over patients where all or none were met."""
    found = [r for r in records if r.lesions is not None]
    flat = bool(found) and all(r.millilitres == 0 for r in found)
    edges = SIZES_2D if flat else SIZES
    rows = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        cells = _met(found, low, high, flat)
        total = int(cells[:, 1].sum()) if len(cells) else 0
        top = None if math.isinf(high) else high
        row: dict[str, object] = {"from": low, "to": top, "unit": "pixels" if flat else "ml"}
        rows.append({**row, "lesions": total, "met": int(cells[:, 0].sum()) if total else 0, **_share(cells)})
    return rows


def _met(records: Sequence[Record], low: float, high: float, flat: bool) -> NDArray[np.float64]:
    """Lesions met, and lesions, of the patients who have one of this size: (P, 2)."""
    if not records:
        return np.zeros((0, 2))
    names, place = patients(records)
    cells = np.zeros((len(names), 2))
    for record, patient in zip(records, place, strict=True):
        assert record.lesions is not None
        size = record.lesions.sizes * (1.0 if flat else record.millilitres)
        chosen = (size >= low) & (size < high)
        cells[patient] += record.lesions.met[chosen].sum(), chosen.sum()
    return cells[cells[:, 1] > 0]


def _share(cells: NDArray[np.float64]) -> dict[str, object]:
    if not len(cells):
        return {"recall": None, "low": None, "high": None, "patients": 0}
    made = ratio(cells)
    low, high = made.low, made.high
    if made.value in (0.0, 1.0):  # resampling what is all the same tells nothing
        low, high = clopper_pearson(made.value * len(cells), len(cells))
    told = Estimate(made.value, low, high, len(cells)).as_dict()
    return {"recall": told["value"], "low": told["low"], "high": told["high"], "patients": len(cells)}


def per_scan(records: Sequence[Record]) -> Estimate | None:
    """False unusual areas per scan, with its interval by patient; the exact Poisson one where there is not one."""
    counted = [r for r in records if r.false is not None]
    if not counted:
        return None
    names, place = patients(counted)
    false = np.array([r.false for r in counted], float)
    cells = np.stack([np.bincount(place, false, len(names)), np.bincount(place, minlength=len(names))], axis=1)
    if not false.any():
        return Estimate(0.0, 0.0, poisson_interval(0, len(names))[1], len(names))
    return ratio(cells.astype(np.float64))
