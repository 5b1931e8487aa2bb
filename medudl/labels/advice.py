"""Whether to go on labelling, of a store: what its rankings have changed, and what the next labels are worth."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from medudl.labels.events import Ranking
from medudl.labels.stopping import change, stop_suggestion, value_of_next
from medudl.labels.store import LabelStore

__all__ = ["advice"]


def advice(store: LabelStore) -> list[str]:
    """Two sentences: on the pool's predictions, and on the error on the labelled random test set. None: no ranking."""
    rankings = [found for id, _, _ in store.rankings() if (found := store.ranking(id)) is not None]
    # One training may have been ranked by twice: its last order counts.
    rankings = list({one.run: one for one in rankings}.values())
    return [_steadiness(store, rankings), _worth(store, rankings)] if rankings else []


def _steadiness(store: LabelStore, rankings: Sequence[Ranking]) -> str:
    pool = {case.id for case in store.cases() if not case.test}
    pairs = itertools.pairwise(rankings)
    return stop_suggestion([change(a.opinions, b.opinions, pool, max(b.labels - a.labels, 0)) for a, b in pairs])


def _worth(store: LabelStore, rankings: Sequence[Ranking]) -> str:
    truth = store.truth()
    kept = [one for one in rankings if one.labels > 0]
    told = [set(one.opinions) for one in kept]
    tested = [case for case in store.cases() if case.test and case.id in truth and all(case.id in has for has in told)]
    predicted = [[_called(store, one.opinions[case.id]) for case in tested] for one in kept]
    return value_of_next(
        [one.labels for one in kept], [store.classes.index(truth[case.id]) for case in tested], predicted,
        [case.subject for case in tested],
    ).sentence  # fmt: skip


def _called(store: LabelStore, opinion: dict[str, float]) -> int:
    return store.classes.index(max(opinion, key=lambda name: opinion[name]))
