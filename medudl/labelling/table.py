"""The next cases as a table for the screen."""

from __future__ import annotations

from collections.abc import Sequence

from medudl.errors import UserError
from medudl.labels.events import LabelCase, Picked
from medudl.labels.store import LabelStore

__all__ = ["NEUTRAL", "next_cases"]


# Not the sentence of the ranking: that says which class the model thinks of, and is no reader's to know before reading.
NEUTRAL = {"uncertain": "The model is unsure of this case.", "diverse": "It is unlike the cases labelled so far."}


def next_cases(store: LabelStore, n: int, *, unblind: bool = False) -> str:
    """The next n cases of the newest ranking that nobody has labelled, as a table. Raises UserError: no ranking.

    unblind: say which class the model thinks of; who has read that reads the case no longer for himself.
    """
    ranking = store.ranking()
    if ranking is None:
        raise UserError(
            f"{store.path}: no model has looked at it yet, cases come at random; train one with: medudl label"
            f" {store.path} train -o RUN"
        )
    read = {label.case for label in store.labels()} | store.flagged().keys()
    cases = {case.id: case for case in store.cases()}
    left = [picked for picked in ranking.order if picked.case not in read]
    if not left:
        return (
            f"All cases that {ranking.run} has put in order have a label; train again, or label what comes at random."
        )
    head = f"{ranking.run}, trained on {ranking.labels} labels: {len(left)} cases, the first {min(n, len(left))}"
    return "\n".join(
        [head, *_aligned([_line(k, one, cases[one.case], unblind) for k, one in enumerate(left[:n], start=1)])]
    )


def _line(place: int, picked: Picked, case: LabelCase, unblind: bool) -> list[str]:
    why = picked.why if unblind else NEUTRAL[picked.kind]
    return [str(place), picked.case, case.subject, case.study, picked.kind, why]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [["", "case", "subject", "study", "kind", "why"], *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
