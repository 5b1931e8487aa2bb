"""What one reader's browser is told: progress, own labels, the case to read. Nothing of another reader or a model."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from apps.viewer.component import describe
from apps.viewer.label_desk import Issued, Pool
from apps.viewer.label_masks import own_mask
from apps.viewer.label_train import training_of
from apps.viewer.words import count
from medudl.errors import UserError
from medudl.labelling.table import NEUTRAL
from medudl.labels.advice import advice
from medudl.labels.events import Event, Label, reader_key
from medudl.labels.standing import labels_of, standing
from medudl.labels.turns import next_turn

_SHOWN = 40  # own labels, the newest


def state_of(pool: Pool, reader: str) -> dict[str, Any]:
    """How far this reader is, the newest own labels, and how the models stand."""
    own = pool.store.events(reader=reader)
    labels = labels_of(own)
    done = {label.case for label in labels if label.occasion == 0}
    left = len(_open(pool, own, done))
    ranking = next((id for id, *_ in pool.store.rankings()[::-1]), "")
    return {
        "reader": reader, "done": len(done), "left": left, "total": len(done) + left,
        "hint": pool.advice.get(ranking, ""), "history": _history(labels), "ranking": ranking,
        "training": training_of(pool),
    }  # fmt: skip


def advise(pool: Pool) -> None:
    """Work out whether more labels still help, once for each ranking: it takes longer than a label may."""
    kept = pool.store.rankings()
    if kept and kept[-1][0] not in pool.advice:
        pool.advice = {kept[-1][0]: " ".join(advice(pool.store))}


def case_of(pool: Pool, case: str, why: str, ranking: str, **more: Any) -> dict[str, Any]:
    """A case as the browser shows it: its scans, and why it comes. Raises UserError where it cannot be shown."""
    series = [describe(source) for source in pool.sources(case)]
    return {"case": case, "series": series, "why": why, "ranking": ranking, **more}


def next_case(pool: Pool, reader: str, avoid: set[str]) -> dict[str, Any]:
    """{"next": the next case, leased, or None; "empty": sentences for that; "passed": one on those passed over}."""
    gone = {case for case, rows in pool.rows.items() if not rows}
    for case in gone:
        pool.lost.setdefault(case, "")
    advise(pool)
    while (turn := next_turn(pool.store, reader, avoid=avoid, gone=set(pool.lost))) is not None:
        try:
            found = case_of(pool, turn.case, NEUTRAL.get(turn.kind, turn.why), turn.ranking,
                            mask=own_mask(pool, reader, turn.case, turn.occasion))  # fmt: skip
        except (UserError, OSError) as error:
            pool.lost[turn.case] = str(error)
            pool.store.release(turn.case, reader)
            continue
        pool.issued[reader_key(reader), turn.case] = (turn.kind, turn.occasion, turn.ranking)
        return {"next": found, "empty": [], "passed": passed_words(pool)}
    return {"next": None, "empty": empty_words(pool, reader), "passed": passed_words(pool)}


def issued(pool: Pool, reader: str, case: str) -> Issued:
    """Why a case was shown to this reader. The viewer that chose it may have ended since: then by what the store says.

    That never calls a case the model's pick, nor a first read a repeat.
    """
    known = pool.issued.get((reader_key(reader), case))
    if known is not None:
        return known
    read = [label for label in pool.store.labels(reader=reader) if label.case == case]
    if read:
        return "repeat", max(label.occasion for label in read) + 1, ""
    if pool.cases[case].test:
        return "test", 0, ""
    ranking = pool.store.ranking()
    picked = next((one for one in ranking.order if one.case == case), None) if ranking else None
    return (picked.kind, 0, ranking.id) if ranking and picked else ("cold_start", 0, "")


def _open(pool: Pool, own: list[Event], done: set[str]) -> list[str]:
    """Cases that may still come: shown, not flagged by anybody, not labelled, and not skipped twice."""
    skips = Counter(event.case for event in standing(own) if event.kind == "skip" and event.occasion == 0)
    flagged = pool.store.flagged()
    return [case for case in pool.cases
            if case not in done and case not in flagged and case not in pool.lost and skips[case] < 2]  # fmt: skip


def _history(labels: list[Label]) -> list[dict[str, Any]]:
    """The newest first. A repeat looks like any other label: nothing tells that the case was there before."""
    numbered = list(enumerate(labels, start=1))[::-1][:_SHOWN]
    return [{"event": label.event, "number": number, "value": label.value, "time": _clock(label.time)}
            for number, label in numbered]  # fmt: skip


def _clock(time: str) -> str:
    return datetime.fromisoformat(time).astimezone().strftime("%H:%M")


def empty_words(pool: Pool, reader: str) -> list[str]:
    """A title and sentences for a queue with nothing in it."""
    told = state_of(pool, reader)
    what = "T trains a model on the labels. H opens one of yours again. J decides where readers differ."
    if told["left"]:
        n = told["left"]
        where = "The last case is" if n == 1 else f"The last {n} cases are"
        return ["Nothing to read this moment", f"{where} open on another reader's screen. Enter looks again.", what]
    title = f"All {count(told['done'], 'case')} have your label" if told["done"] else "There is no case to read"
    return [title, "Skipped and flagged ones aside, nothing is left.", what,
            "New scans become cases once the folder is indexed again."]  # fmt: skip


def passed_words(pool: Pool) -> str:
    """How many cases cannot be shown, and what to do; "" where all can."""
    n = len(pool.lost)
    if not n:
        return ""
    verb = "is" if n == 1 else "are"
    return (f"{count(n, 'case')} {verb} passed over: the scan is gone or cannot be read. Labels that were given are"
            " kept. Bring the files back, or index the folder again.")  # fmt: skip
