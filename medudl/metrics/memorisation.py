"""Are samples copies of training images? Their nearest training image against that of patients never trained on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit
from scipy.stats import rankdata

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.likeness import Matches, Nearest, PictureLikeness
from medudl.metrics.subsampling import (
    FEWEST,
    Array,
    Flags,
    Numbers,
    delete_interval,
    patients_of,
    share_interval,
    subsamples,
)


@dataclass(frozen=True)
class Copies:
    """What `copies` found. Of each sample, (n,): risk, flag, index, alike, stands_out, rest (`Matches`); see there.

    flagged: share of the samples, held_out_flagged: of the held-out images, each by the threshold that the OTHER
    patients give; closeness: see there. Each with its interval. rule: how the threshold was made, in words.
    """

    risk: Array
    flag: Flags
    index: Numbers
    alike: Array
    stands_out: Array
    rest: Array
    threshold: float
    rule: str
    flagged: Estimate
    held_out_flagged: Estimate
    closeness: Estimate
    training: int


def copies(
    samples: ArrayLike,
    training: ArrayLike,
    held_out: ArrayLike,
    groups: ArrayLike | None = None,
    share: float = 0.02,
    repeats: int = 200,
    seed: int = 0,
    likeness: Callable[[ArrayLike], Nearest] = PictureLikeness,
) -> Copies:
    """Which samples are training images in disguise, judged by what images of other patients look like.

    A sample is flagged where its nearest training image stands out from the next ones (`Matches.stands_out`) further
    than that of held-out patients' images does: beyond `threshold`, set so that at most `share` of a new patient's
    images are expected to pass it. index: which training image. risk: 0 to 1, the share of held-out patients' images
    that stand out less, each patient weighing the same, with one more patient who stands out most.

    samples: (n, H, W), training: (m, H, W), held_out: (k, H, W), of one size, of patients who are not in training;
    groups: (k,), the held-out patients. likeness: `PictureLikeness` sees through flips, shifts, noise and intensity
    changes; `FeatureLikeness` compares features, (n, d) in all three places. A picture that training holds more than
    eight times does not stand out. Raises UserError below 16 training images or 5 held-out patients.
    """
    near = likeness(training)
    found, other = near.nearest(samples), near.nearest(held_out)
    patient = patients_of(len(other.alike), groups)
    limit, rule = threshold(other.stands_out, patient, share)
    flag = found.stands_out > limit
    ones = patients_of(len(flag), None)
    kept, factor = subsamples(len(flag), repeats, seed)
    values = (kept @ flag.astype(np.float64)) / np.maximum(kept.sum(1), 1)
    return Copies(
        risk=_risk(found.stands_out, other.stands_out, patient),
        flag=flag,
        index=found.index,
        alike=found.alike,
        stands_out=found.stands_out,
        rest=found.rest,
        threshold=limit,
        rule=rule,
        flagged=share_interval(float(flag.mean()), values, factor, len(ones)),
        held_out_flagged=_held_out(other.stands_out, patient, share, repeats, seed),
        closeness=closeness(found, other, groups, repeats, seed),
        training=len(np.asarray(training)),
    )


def threshold(scores: ArrayLike, patient: ArrayLike, share: float) -> tuple[float, str]:
    """What at most `share` of a new patient's images are expected to pass, and how that was found, in words.

    Conformal (Vovk et al. 2005), by patient: the least t with  sum over patients of (share of their images > t) + 1
    <= share * (P + 1), exact for any distribution. It needs 1 / share - 1 patients. With fewer, normal: mean +
    Student's t * sd * sqrt(1 + 1 / P) of the patients' highest scores. Raises UserError below five.
    """
    scores, number = np.asarray(scores, np.float64), patients_of(len(np.asarray(scores)), patient)
    count = int(number.max()) + 1
    if count < FEWEST:
        raise UserError(f"memorisation: {count} held-out patients say too little; it needs {FEWEST} or more")
    if share * (count + 1) < 1:
        highest = np.full(count, -np.inf)
        np.maximum.at(highest, number, scores)
        wide = float(highest.std(ddof=1)) * math.sqrt(1 + 1 / count)
        limit = float(highest.mean()) + float(stdtrit(count - 1, 1 - share)) * wide
        return limit, f"normal tail of {count} held-out patients (a quantile needs {math.ceil(1 / share) - 1})"
    weight = 1 / np.bincount(number)[number]
    order = np.argsort(-scores, kind="stable")
    above = np.concatenate([[0.0], np.cumsum(weight[order])[:-1]])  # weight of the scores before each, in falling order
    # Equal scores fall together: what lies above a value is what lies above the first that has it.
    ranked = scores[order]
    first = np.searchsorted(-ranked, -ranked, side="left")
    allowed = above[first] <= share * (count + 1) - 1 + 1e-9
    return float(ranked[allowed].min()), f"quantile of {count} held-out patients"


def closeness(
    samples: Matches, held_out: Matches, groups: ArrayLike | None = None, repeats: int = 200, seed: int = 0
) -> Estimate:
    """How often a sample is more like its nearest training image than a held-out image is like its own (Meehan 2020).

    The share of pairs (sample, held-out image), ties half: their test of data copying without its cells. .5 is right,
    for new images of the same kind; towards 1 the samples cling to training images, towards 0 they are far from
    them, as blurred or noisy ones are too. No bias at small n. Interval: a fifth of the samples and of the held-out
    patients left out at a time; n is the fewer of the two.
    """
    patient = patients_of(len(held_out.alike), groups)
    kept, factor = subsamples(len(samples.alike), repeats, seed)
    kept_out, factor_out = subsamples(int(patient.max()) + 1, repeats, seed + 1)
    value = _above(samples.alike, held_out.alike)
    values = [
        _above(samples.alike[a], held_out.alike[b[patient]]) if a.any() and b.any() else math.nan
        for a, b in zip(kept, kept_out, strict=True)
    ]
    fewest = min(kept.shape[1], kept_out.shape[1])
    return delete_interval(value, values, max(factor, factor_out), fewest, 0.0, 1.0)


def _above(one: Array, other: Array) -> float:
    rank = rankdata(np.concatenate([one, other]))[: len(one)]
    return float((rank.sum() - len(one) * (len(one) + 1) / 2) / (len(one) * len(other)))


def _risk(scores: Array, held_out: Array, patient: Numbers) -> Array:
    images = np.bincount(patient)
    order = np.argsort(held_out, kind="stable")
    below = np.concatenate([[0.0], np.cumsum((1 / images[patient])[order])])
    risk: Array = below[np.searchsorted(held_out[order], scores, side="left")] / (len(images) + 1)
    return risk


def _held_out(scores: Array, patient: Numbers, share: float, repeats: int, seed: int) -> Estimate:
    """Share of held-out images that the threshold of the other patients flags."""
    count = int(patient.max()) + 1
    if count <= FEWEST:
        return Estimate(math.nan, math.nan, math.nan, count)
    hits = np.zeros(count)
    for p in range(count):
        own = patient == p
        hits[p] = (scores[own] > threshold(scores[~own], patient[~own], share)[0]).sum()
    images = np.bincount(patient)
    kept, factor = subsamples(count, repeats, seed)
    values = (kept @ hits) / np.maximum(kept @ images, 1)
    return share_interval(float(hits.sum() / images.sum()), values, factor, count)
