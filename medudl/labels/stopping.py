"""When to stop labelling: how many predictions the last labels changed, and what the next ones are worth."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medudl.labels.power_law import gain_of, most_gain_of
from medudl.metrics.classification import balanced_accuracy, confusion
from medudl.metrics.intervals import Estimate, bootstrap, clopper_pearson, resamples

Array = NDArray[np.float64]
Opinions = Mapping[str, Mapping[str, float]]

STEADY = 0.01  # share of changed predictions below which a ranking counts as steady
RANKINGS = 2  # that must be steady, one after the other
LEAST_LABELS = 20  # that these must have brought together
LEAST_POOL = 50  # cases; below, one prediction more or less is 2 % of them
LEAST_POINTS = 3  # trainings a curve is drawn through
NEXT = 10  # labels
REPEATS = 1000  # resamples of the test patients


@dataclass(frozen=True)
class Change:
    """Between two consecutive rankings. labels: that came in between. changed: predictions, of `cases` of the pool."""

    labels: int
    changed: int
    cases: int

    @property
    def share(self) -> Estimate:
        """Changed predictions with their exact 95 % interval, as of cases drawn from where the pool was drawn from."""
        if self.cases == 0:
            return Estimate(math.nan, math.nan, math.nan, 0)
        return Estimate(self.changed / self.cases, *clopper_pearson(self.changed, self.cases), self.cases)


def change(before: Opinions, after: Opinions, pool: Collection[str], labels: int) -> Change:
    """How many of the pool's predictions (likeliest classes) differ; cases that both rankings speak of count.

    before, after: case -> {class: probability}. pool: cases, without the test set. labels: that the later training had
    more than the earlier.
    """
    both = [case for case in pool if case in before and case in after]
    return Change(labels, sum(_likeliest(before[case]) != _likeliest(after[case]) for case in both), len(both))


def should_stop(changes: Sequence[Change]) -> bool:
    """Whether less than 1 % of the predictions changed in each of the last two rankings, which brought 20 labels.

    changes: oldest first. Never with fewer rankings, fewer labels or fewer than 50 cases: it is too early then.
    """
    last = changes[-RANKINGS:]
    return not _too_early(changes) and all(one.share.value < STEADY for one in last)


def stop_suggestion(changes: Sequence[Change]) -> str:
    """What `should_stop` says, in sentences for the reader."""
    if early := _too_early(changes):
        return f"{_told(changes[-1])} {early}" if changes and changes[-1].cases else early
    if should_stop(changes):
        advice = f"So it was in the last {RANKINGS} rankings: more labels of these cases hardly change the model."
    else:
        advice = f"Go on until less than {_percent(STEADY)} change in {RANKINGS} rankings, one after the other."
    return f"{_told(changes[-1])} {advice}"


def _told(last: Change) -> str:
    share = last.share
    labels = "label" if last.labels == 1 else f"{last.labels} labels"
    return (
        f"The last {labels} changed {_percent(share.value)} of predictions ({last.changed} of {last.cases} cases; 95 %"
        f" interval {100 * share.low:.1f} to {_percent(share.high)})."
    )


def _too_early(changes: Sequence[Change]) -> str:
    """Why nothing can be said yet, "" where it can."""
    last = changes[-RANKINGS:]
    labels = sum(one.labels for one in last)
    if len(last) < RANKINGS:
        return f"Too early to say whether to stop: that takes {RANKINGS + 1} trainings, one after the other."
    if min(one.cases for one in last) < LEAST_POOL:
        return f"Too few cases to say whether to stop: that takes {LEAST_POOL} in the pool, there are {last[-1].cases}."
    if labels < LEAST_LABELS:
        return (
            f"Too early to say whether to stop: {LEAST_LABELS} labels in {RANKINGS} trainings it takes, not {labels}."
        )
    return ""


def _likeliest(opinion: Mapping[str, float]) -> str:
    return max(sorted(opinion), key=lambda name: opinion[name])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %".replace(".0 %", " %")


@dataclass(frozen=True)
class Value:
    """How much lower the error is expected after `more` labels. error: now; gain: error now - error then."""

    error: Estimate
    gain: Estimate
    more: int
    sentence: str


def value_of_next(
    labels: Sequence[int], truth: ArrayLike, predicted: ArrayLike, subjects: Sequence[str], *, more: int = NEXT,
    repeats: int = REPEATS, seed: int = 0,
) -> Value:  # fmt: skip
    """What the next labels are worth: a power law through the test error of past trainings (Cortes et al. 1993).

        error(n) = a n^-b + c,   a, c >= 0,   .02 <= b <= 3,   by least squares;   gain = error(n) - error(n + more)

    error: 1 - balanced accuracy, on the RANDOM TEST SET alone: a picked case has no place here. The interval is a
    bootstrap over test patients, each resample with a fit of its own; its upper end is that of the most that the same
    points allow, a curve that goes on falling as much for each doubling (b towards 0): noise alone makes a curve look
    as if it had levelled off. What another training of the same labels would give is not in the interval. Below three
    trainings with different numbers of labels both figures are NaN, and the sentence says that it cannot be told.

    labels: (P,) of each training, in any order. truth: (N,) class numbers of the test cases. predicted: (P, N) class
    numbers. subjects: (N,).
    """
    counts, truth = np.asarray(labels, np.float64), np.asarray(truth, np.int64)
    predicted = np.asarray(predicted, np.int64).reshape(len(counts), len(truth))
    if len(subjects) != len(truth) or (counts <= 0).any():
        raise ValueError(f"{len(subjects)} patients for {len(truth)} test cases, or a training without labels")
    different, patients = len(set(labels)), len(set(subjects))
    if different < LEAST_POINTS or patients < 2 or len(set(truth.tolist())) < 2:
        return _untold(different, patients, more)
    weights = _weights(truth, subjects, repeats, seed)
    classes = int(max(truth.max(), predicted.max())) + 1
    errors = np.stack([1 - balanced_accuracy(confusion(truth, one, classes, weights)) for one in predicted], axis=-1)
    now = int(counts.argmax())
    gains = gain_of(counts, errors, more)
    error = bootstrap(errors[0, now], errors[1:, now], patients)
    gain = bootstrap(gains[0], gains[1:], patients)
    most = bootstrap(gains[0], most_gain_of(counts, errors, more)[1:], patients)
    gain = replace(gain, high=max(most.high, gain.high))
    return Value(error, gain, more, _worth(error, gain, more, different))


def _weights(truth: NDArray[np.int64], subjects: Sequence[str], repeats: int, seed: int) -> Array:
    """(1 + repeats, N): ones, then how often each case's patient is drawn. Patients are drawn among those alike."""
    names, who = np.unique(np.asarray(subjects), return_inverse=True)
    kinds = [tuple(sorted(set(truth[who == number].tolist()))) for number in range(len(names))]
    strata = np.array([sorted(set(kinds)).index(kind) for kind in kinds])
    drawn = resamples(strata, repeats, seed)
    return np.concatenate([np.ones((1, len(truth))), drawn[:, who]]).astype(np.float64)


def _untold(points: int, patients: int, more: int) -> Value:
    unknown = Estimate(math.nan, math.nan, math.nan, patients)
    if points < LEAST_POINTS:
        had = "there is 1 training" if points == 1 else f"there are {points} trainings"
        why = f"that takes {LEAST_POINTS} trainings with different numbers of labels, {had}"
    else:
        why = "that takes two test patients and two classes among them that are labelled"
    return Value(unknown, unknown, more, f"What the next {more} labels are worth cannot be told yet: {why}.")


def _worth(error: Estimate, gain: Estimate, more: int, points: int) -> str:
    low, high = 100 * gain.low, 100 * gain.high
    nothing = " This may be nothing." if low < 0.05 else ""
    return (
        f"The next {more} labels are expected to lower the error on the random test set from {_percent(error.value)} by"
        f" {100 * gain.value:.1f} points (95 % interval {low:.1f} to {high:.1f}; {gain.n} test patients, {points}"
        f" trainings).{nothing}"
    )
