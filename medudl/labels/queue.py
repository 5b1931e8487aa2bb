"""Which case to label next: at random before there is a model, then what it doubts and has not seen the like of."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from medudl.labels.events import LabelCase, Picked

Array = NDArray[np.float64]

WAVERS, LEANS = 0.2, 0.6  # margins below which a sentence says so
_AT_ONCE = 1024  # labelled codes in one block of distances


def cold_start(cases: Sequence[LabelCase], seed: int) -> list[str]:
    """A random order without a model, patient by patient: nobody comes a second time before all came once.

    Each place is drawn by a hash of seed and identity, so that the order of what is there stays when the cohort grows.
    A case of the test set raises ValueError: it is never picked.
    """
    _no_test_case([case.id for case in cases], [case.id for case in cases if case.test])
    return random_order(cases, seed)


def random_order(cases: Sequence[LabelCase], seed: int) -> list[str]:
    """The order of `cold_start` for any cases, those of the test set included."""
    rounds: Counter[str] = Counter()
    places = []
    for case in sorted(cases, key=lambda case: _drawn(seed, case.id)):
        turn = rounds[case.subject]
        rounds[case.subject] += 1
        places.append((turn, _drawn(seed, turn, case.subject), case.id))
    return [case for *_, case in sorted(places)]


def rank(
    ids: Sequence[str], probability: ArrayLike, codes: ArrayLike | None, labelled_codes: ArrayLike | None, *, n: int,
    seed: int, classes: Sequence[str] = (), test: Collection[str] = (), near: float = 0.01,
) -> list[Picked]:  # fmt: skip
    """Margin sampling (Scheffer et al. 2001), one by one, with a discount for what is near to what is known.

        next = argmax over i of   (1 - margin_i) * min(1, distance_i / s)
        margin_i   = p_i of the likeliest class - p_i of the second,   0 to 1
        distance_i = Euclidean, from code i to the nearest code that is labelled or was picked before
        s          = quantile `near` of distance_i before the first pick, of those above 0

    The margin and not the entropy, because it is what flips a prediction and what the sentence tells a reader; with two
    classes they order alike, with more the entropy also rises by classes that nobody considers. A copy of a labelled or
    picked case has distance 0 and comes last, a near copy late. The distance counts no further than s: farthest-point
    traversal, which has no such bound, runs after outliers, and so does a large s: near = .5 was worse than a random
    order in two questions of six (docs/studies.md). While nothing is labelled or picked, the least margin comes first,
    and s is that of the distances from there. Ties go by margin, then by distance, then at random by `seed`.

    ids: of the pool, no test case; those in `test` raise ValueError. probability: (N, K), calibrated, rows add up to 1.
    codes: (N, Z) on one scale; without them the probabilities stand for them (and labelled_codes is not looked at).
    labelled_codes: (M, Z). classes: K names for the sentences; without them these have percentages alone.
    kind: "diverse" where the case is farther from all that is labelled or picked before than any labelled case is from
    its nearest labelled neighbour; else "uncertain". Returns the min(n, N) best, best first; costs (M + n) N Z.
    """
    _no_test_case(ids, test)
    chance = _checked(ids, np.asarray(probability, np.float64), classes)
    places, labelled = _points(ids, chance, codes, labelled_codes)
    margin = _margins(chance)
    tie = np.random.default_rng(seed).permutation(len(ids))
    distance, reach = _nearest(places, labelled), _reach(labelled)
    scale = _scale(distance, near)
    left = np.ones(len(ids), bool)
    picked = []
    for _ in range(min(n, len(ids))):
        gain = (1 - margin) * np.minimum(1, distance / scale)
        at = int(np.lexsort((tie, distance, -margin, gain, left))[-1])
        far = bool(reach < distance[at])
        picked.append(Picked(ids[at], "diverse" if far else "uncertain", _why(chance[at], margin[at], far, classes)))
        left[at] = False
        first = np.isinf(distance).all()
        distance = np.minimum(distance, cdist(places, places[at : at + 1])[:, 0])
        scale = _scale(distance, near) if first else scale
    return picked


def _drawn(*key: object) -> str:
    return hashlib.sha256("/".join(str(part) for part in key).encode()).hexdigest()


def _no_test_case(ids: Sequence[str], test: Collection[str]) -> None:
    if found := set(ids) & set(test):
        raise ValueError(f"{len(found)} cases of the random test set among those to pick from: leave them out")


def _checked(ids: Sequence[str], chance: Array, classes: Sequence[str]) -> Array:
    if len(set(ids)) != len(ids):
        raise ValueError("a case stands twice in the pool")
    if chance.ndim != 2 or len(chance) != len(ids) or chance.shape[1] < 2:
        raise ValueError(f"probabilities of shape {chance.shape} for {len(ids)} cases: give (N, K), K at least 2")
    if not (np.isfinite(chance).all() and (chance >= 0).all() and np.allclose(chance.sum(1), 1, atol=1e-3)):
        raise ValueError("probabilities are from 0 to 1 and add up to 1 in each case")
    if classes and len(classes) != chance.shape[1]:
        raise ValueError(f"{len(classes)} names for {chance.shape[1]} classes")
    return chance


def _points(
    ids: Sequence[str], chance: Array, codes: ArrayLike | None, labelled_codes: ArrayLike | None
) -> tuple[Array, Array]:
    """Where the cases (N, Z) and the labelled ones (M, Z) lie."""
    places = chance if codes is None else np.asarray(codes, np.float64)
    known = codes is not None and labelled_codes is not None
    labelled = np.asarray(labelled_codes, np.float64) if known else np.empty((0, places.shape[1]))
    if labelled.size == 0:
        labelled = np.empty((0, places.shape[1]))
    if places.ndim != 2 or len(places) != len(ids) or labelled.ndim != 2 or labelled.shape[1] != places.shape[1]:
        raise ValueError(
            f"codes of shapes {places.shape} and {labelled.shape} for {len(ids)} cases: give (N, Z), (M, Z)"
        )
    if not (np.isfinite(places).all() and np.isfinite(labelled).all()):
        raise ValueError("codes are finite numbers")
    return places, labelled


def _margins(chance: Array) -> Array:
    """(N, K) -> (N,): the likeliest class over the second."""
    best = np.sort(chance, axis=1)
    margin: Array = np.clip(best[:, -1] - best[:, -2], 0, 1)
    return margin


def _nearest(places: Array, labelled: Array) -> Array:
    """Distance of each place to its nearest labelled one: (N,), infinite without any."""
    distance = np.full(len(places), np.inf)
    for start in range(0, len(labelled), _AT_ONCE):
        distance = np.minimum(distance, cdist(places, labelled[start : start + _AT_ONCE]).min(1))
    return distance


def _scale(distance: Array, near: float) -> float:
    """That quantile of the finite ones above 0; 1 without any."""
    known = distance[np.isfinite(distance) & (distance > 0)]
    return float(np.quantile(known, near)) if len(known) else 1.0


def _reach(labelled: Array) -> float:
    """The greatest distance of a labelled code to its nearest labelled neighbour; infinite with fewer than two."""
    if len(labelled) < 2:
        return float("inf")
    nearest = []
    for start in range(0, len(labelled), _AT_ONCE):
        block = cdist(labelled[start : start + _AT_ONCE], labelled)
        block[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        nearest.append(block.min(1))
    return float(np.concatenate(nearest).max())


def _why(chance: Array, margin: float, far: bool, classes: Sequence[str]) -> str:
    """A sentence for the reader."""
    second, first = np.argsort(chance, kind="stable")[-2:]
    ours, other = _percent(chance[first]), _percent(chance[second])
    if not classes:
        return (
            "Unlike anything labelled so far."
            if far
            else f"{_manner(margin)}: {ours} for one class, {other} for another."
        )
    if far:
        return f"Unlike anything labelled so far; {ours} {classes[first]}."
    return f"{_manner(margin)}: {ours} {classes[first]}, {other} {classes[second]}."


def _manner(margin: float) -> str:
    return (
        "The model wavers" if margin < WAVERS else "The model leans" if margin < LEANS else "The model is fairly sure"
    )


def _percent(chance: float) -> str:
    whole = round(100 * float(chance))
    return "over 99 %" if whole > 99 else "under 1 %" if whole < 1 else f"{whole} %"
