"""What the Label page asks for: the next case, a save, an undo, an own label again, a conflict to decide."""

from __future__ import annotations

import re
from collections.abc import Callable

from apps.viewer.label_asked import Asked, Bad, case_in, cases_in, seconds_in, text_in
from apps.viewer.label_desk import Issued, Pool
from apps.viewer.label_masks import Canvas, canvas_of, keep_mask, own_mask
from apps.viewer.label_state import case_of, issued, next_case, state_of
from apps.viewer.label_train import begin as begin_training
from medudl.errors import UserError
from medudl.labels.events import Event, Label, reader_key
from medudl.labels.standing import labels_of, standing

_ID = re.compile(r"[0-9a-f]{32}")


def start(pool: Pool, reader: str, asked: Asked) -> Asked:
    """A reader sits down: scans that were missing may be there again."""
    pool.lost.clear()
    return state_of(pool, reader)


def state(pool: Pool, reader: str, asked: Asked) -> Asked:
    """How all stands now."""
    return state_of(pool, reader)


def following(pool: Pool, reader: str, asked: Asked) -> Asked:
    """The next case, while `avoid` are on the screen."""
    return next_case(pool, reader, set(cases_in(pool, asked, "avoid")))


def release(pool: Pool, reader: str, asked: Asked) -> Asked:
    """Cases that this page shows no more."""
    for case in cases_in(pool, asked, "cases"):
        pool.store.release(case, reader)
    return {}


def hold(pool: Pool, reader: str, asked: Asked) -> Asked:
    """Cases that are on this page still: a lease would run out while one is read for long."""
    for case in cases_in(pool, asked, "cases"):
        pool.store.lease(case, reader)
    return {}


def save(pool: Pool, reader: str, asked: Asked) -> Asked:
    """Keep an event, then say what a model thinks of that case. The same id again is the same event."""
    id, kind = text_in(asked, "id", _ID), str(asked.get("kind"))
    if kind not in _SAVES:
        raise Bad
    event = next((one for one in pool.store.events(reader=reader) if one.id == id), None)
    if event is None:
        event = _SAVES[kind](pool, reader, id, asked)
    answer: Asked = {"event": event.id, "state": state_of(pool, reader)}
    if event.kind == "label":
        answer["opinion"] = pool.store.for_reader(reader).opinion(event.case, event.occasion)
    if event.kind == "mask":
        answer["mask"] = own_mask(pool, reader, event.case, event.occasion)
    if event.kind == "undo":
        pool.store.lease(event.case, reader)
        mask = own_mask(pool, reader, event.case, event.occasion)
        answer["next"] = case_of(pool, event.case, "", issued(pool, reader, event.case)[2], mask=mask,
                                 **_undone(pool, reader, event))  # fmt: skip
    return answer


def _undone(pool: Pool, reader: str, undo: Event) -> Asked:
    """What the browser is told besides, where it was a mask: the label of its case may stand."""
    own = pool.store.events(reader=reader, case=undo.case)
    if all(event.kind != "mask" for event in own if event.id == undo.value):
        return {}
    label = next((one for one in labels_of(own) if one.occasion == undo.occasion), None)
    return {"head": "Your mask is taken back", **({"edits": label.event, "value": label.value} if label else {})}


def _label(pool: Pool, reader: str, id: str, asked: Asked) -> Event:
    case = case_in(pool, asked)
    why, occasion, ranking = _sitting(pool, reader, case, asked)
    blind = not _knows(pool, reader, case)
    return pool.store.save(id=id, reader=reader, kind="label", case=case, value=text_in(asked, "value"),
                           seconds=seconds_in(asked), occasion=occasion, why=why,
                           view={"model": ranking, "blind": blind})  # fmt: skip


def _sitting(pool: Pool, reader: str, case: str, asked: Asked) -> Issued:
    """Why a case is on the screen, its occasion and ranking: those of the own label that is looked at again, if any."""
    why, occasion, ranking = issued(pool, reader, case)
    edits = str(asked.get("edits") or "")
    if edits:
        before = _own_label(pool, reader, edits)
        if before.case != case:
            raise Bad
        why, occasion = "history", before.occasion
    return why, occasion, ranking


def _skip(pool: Pool, reader: str, id: str, asked: Asked) -> Event:
    case = case_in(pool, asked)
    why, occasion, ranking = issued(pool, reader, case)
    return pool.store.save(id=id, reader=reader, kind="skip", case=case, seconds=seconds_in(asked), occasion=occasion,
                           why=why, view={"model": ranking})  # fmt: skip


def _mask(pool: Pool, reader: str, id: str, asked: Asked) -> Event:
    """A mask painted on one series of the case. Its voxels, "runs", come by an address of their own, never as JSON."""
    runs = asked.get("runs")
    if not isinstance(runs, bytes):
        raise Bad
    case, canvas = _canvas(pool, asked)
    why, occasion, ranking = _sitting(pool, reader, case, asked)
    view = {"model": ranking, "blind": not _knows(pool, reader, case), "series": canvas.row.series}

    def kept(name: str) -> Event:
        return pool.store.save(id=id, reader=reader, kind="mask", case=case, value=name, seconds=seconds_in(asked),
                               occasion=occasion, why=why, view=view)  # fmt: skip

    return keep_mask(pool, reader, case, canvas, runs, kept)


def room(pool: Pool, reader: str, asked: Asked) -> int:
    """Bytes that the mask of a series of the case may take on its way. Raises UserError: its scan has changed."""
    return _canvas(pool, asked)[1].limit


def _canvas(pool: Pool, asked: Asked) -> tuple[str, Canvas]:
    case = case_in(pool, asked)
    canvas = canvas_of(pool, case, text_in(asked, "series"), text_in(asked, "key"))
    if canvas is None:
        raise Bad
    return case, canvas


def _flag(pool: Pool, reader: str, id: str, asked: Asked) -> Event:
    case = case_in(pool, asked)
    return pool.store.save(id=id, reader=reader, kind="flag", case=case, value=text_in(asked, "value"),
                           why=issued(pool, reader, case)[0])  # fmt: skip


def _undo(pool: Pool, reader: str, id: str, asked: Asked) -> Event:
    """Take back the newest own label, skip or mask that stands."""
    own = [one for one in standing(pool.store.events(reader=reader)) if one.kind in ("label", "skip", "mask")]
    if not own:
        raise UserError("no label of yours is left to take back")
    last = own[-1]
    before = next((one for one in own if one.case == last.case and one.why != "history"), last)
    pool.issued[reader_key(reader), last.case] = (before.why, last.occasion, str(before.view.get("model", "")))
    return pool.store.save(id=id, reader=reader, kind="undo", case=last.case, value=last.id, occasion=last.occasion)


def _adjudicate(pool: Pool, reader: str, id: str, asked: Asked) -> Event:
    case = case_in(pool, asked)
    if case not in pool.store.conflicts():
        raise UserError("another adjudicator has decided this case, or its readers agree now")
    return pool.store.save(id=id, reader=reader, kind="adjudicate", case=case, value=text_in(asked, "value"),
                           seconds=seconds_in(asked), view={"blind": False, "role": "adjudicator"})  # fmt: skip


_SAVES: dict[str, Callable[[Pool, str, str, Asked], Event]] = {
    "label": _label, "skip": _skip, "flag": _flag, "undo": _undo, "adjudicate": _adjudicate,
    "mask": _mask,
}  # fmt: skip


def reopen(pool: Pool, reader: str, asked: Asked) -> Asked:
    """One of the reader's own labels, to be looked at again."""
    label = _own_label(pool, reader, text_in(asked, "event"))
    found = case_of(pool, label.case, "You have labelled this case; a class key saves a new label, Esc leaves it.", "",
                    edits=label.event, value=label.value, head="Your label again",
                    mask=own_mask(pool, reader, label.case, label.occasion))  # fmt: skip
    return {"next": found}


def conflict(pool: Pool, reader: str, asked: Asked) -> Asked:
    """A case on which first reads differ, with what each reader said: for adjudicators alone, who ask for it."""
    waiting = pool.store.conflicts()
    avoid = set(cases_in(pool, asked, "avoid"))
    open_cases = [case for case in waiting if case not in avoid and case not in pool.lost]
    for n, case in enumerate(open_cases):
        try:
            found = case_of(pool, case, "The readers differ. A class key decides; S leaves it, Esc ends.", "",
                            said=_said(pool, case))  # fmt: skip
            return {"next": found, "count": len(open_cases) - n}
        except (UserError, OSError) as error:
            pool.lost[case] = str(error)
    return {"next": None, "count": 0}


def train(pool: Pool, reader: str, asked: Asked) -> Asked:
    """Train now."""
    begin_training(pool)
    return state_of(pool, reader)


def _said(pool: Pool, case: str) -> list[dict[str, str]]:
    first = [one for one in labels_of(pool.store.events(case=case)) if one.occasion == 0]
    return [{"reader": one.reader, "value": one.value} for one in first]


def _knows(pool: Pool, reader: str, case: str) -> bool:
    """Whether this reader has been told what a model, or the other readers, think of the case."""
    own = pool.store.events(reader=reader, case=case)
    told = any(one.kind == "adjudicate" for one in own)
    ranking = pool.store.ranking()
    return told or (any(one.kind == "label" for one in own) and ranking is not None and case in ranking.opinions)


def _own_label(pool: Pool, reader: str, event: str) -> Label:
    found = next((one for one in pool.store.labels(reader=reader) if one.event == event), None)
    if found is None:
        raise UserError("this label does not count any more: it was taken back or given anew")
    return found


ACTS: dict[str, Callable[[Pool, str, Asked], Asked]] = {
    "begin": start, "state": state, "next": following, "save": save, "open": reopen, "conflict": conflict,
    "train": train, "release": release, "hold": hold,
}  # fmt: skip
