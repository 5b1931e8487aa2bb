"""Addresses of the Label page: a save is one event however often it is sent, and nothing is told before its time."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import HOST, ask, everything, gated, let_in
from label_folders import add_ranking, save, write_store
from starlette.applications import Starlette

from apps.viewer import house as shared
from apps.viewer.catalogue import Catalogue
from apps.viewer.house import Settings, open_house
from apps.viewer.label_addresses import LABEL_ROUTES
from apps.viewer.label_find import label_stores
from medudl.labels.store import LabelStore

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return write_store(tmp_path / "viewed", 8)


@pytest.fixture
def id(store: LabelStore) -> Iterator[str]:
    before = list(shared._open)
    opened = open_house(Settings(store.path.parent))
    yield label_stores(Catalogue(store.path.parent))[0].id
    opened.close()
    shared._open[:] = before


@pytest.fixture
def act(id: str) -> Ask:
    """act(what, reader=..., **body) -> the JSON; `status` says what is expected."""
    app = Starlette(routes=LABEL_ROUTES)

    def asked(what: str, status: int = 200, **body: Any) -> dict[str, Any]:
        told = {"reader": "Anna", **body}
        answer = ask(app, f"/labels/{id}/{what}", method="POST", body=json.dumps(told).encode())
        assert answer.status == status, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found

    return asked


def key(case: str, value: str = "sick", **more: Any) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "kind": "label", "case": case, "value": value, "seconds": 1.5, **more}


def test_a_save_that_is_sent_again_is_one_event(act: Ask, store: LabelStore, id: str) -> None:
    case = act("next")["next"]["case"]
    sent = key(case)
    first, again = act("save", **sent), act("save", **sent)
    assert first["event"] == again["event"] == sent["id"] and len(store.events()) == 1
    shared.house().labels.pool(id).issued.clear()  # type: ignore[union-attr]  # the viewer was started anew
    assert act("save", **sent)["event"] == sent["id"] and len(store.events()) == 1
    assert first["state"]["done"] == 1 and first["state"]["history"][0]["value"] == "sick"


def test_the_opinion_comes_after_the_label_alone(act: Ask, store: LabelStore) -> None:
    add_ranking(store)
    told = [act("begin"), act("next"), act("state")]
    turn = told[1]["next"]
    assert "0.876" not in json.dumps(told) and "87.6" not in json.dumps(told) and "wavers" not in json.dumps(told)
    assert turn["why"] == "The model is unsure of this case."
    assert act("save", **key(turn["case"]))["opinion"] == {"normal": 0.876, "sick": pytest.approx(0.124)}
    (event,) = store.events()
    assert event.view["blind"] is True and event.why == "uncertain" and event.view["model"] == store.ranking().id  # type: ignore[union-attr]


def test_a_test_case_and_a_repeat_look_like_any_case_at_random(act: Ask, store: LabelStore) -> None:
    forms = set()
    for _ in store.cases():
        turn = act("next")["next"]
        forms.add((turn["why"], *sorted(turn)))
        act("save", **key(turn["case"]))
    assert {event.why for event in store.events()} == {"cold_start", "test"} and len(forms) == 1
    assert act("next")["next"] is None and act("next")["empty"][0] == "All 8 cases have your label"


def test_a_case_that_is_read_for_long_stays_its_readers(act: Ask, store: LabelStore, id: str) -> None:
    pool = shared.house().labels.pool(id)
    assert pool is not None
    now = 1_700_000_000.0
    pool.store.clock = lambda: now
    case = act("next")["next"]["case"]
    for minutes in (4, 8, 12):
        now = 1_700_000_000.0 + 60 * minutes
        act("hold", cases=[case])
        assert pool.store.leased() == {case: "Anna"}
    assert act("next", reader="Ben")["next"]["case"] != case
    now += 301
    assert pool.store.leased() == {}, "nobody is there any more"
    assert pool.store.lease(case, "Ben")
    act("hold", cases=[case])
    assert pool.store.leased() == {case: "Ben"}, "it is another's meanwhile"


def test_readers_are_blind_to_each_other(act: Ask, store: LabelStore) -> None:
    case = act("next")["next"]["case"]
    act("save", **key(case, "sick"))
    told = json.dumps([act("begin", reader="Ben"), act("next", reader="Ben"), act("state", reader="Ben")])
    assert "Anna" not in told and "sick" not in told.replace('\\"sick\\"', "")
    theirs = act("begin", reader="Anna")["history"][0]["event"]
    assert "does not count" in act("open", 422, reader="Ben", event=theirs)["problem"]


def test_undo_gives_the_case_back_and_is_itself_retried(act: Ask, store: LabelStore) -> None:
    case = act("next")["next"]["case"]
    act("save", **key(case, "sick"))
    undo = {"id": uuid.uuid4().hex, "kind": "undo"}
    assert act("save", **undo)["next"]["case"] == case
    assert act("save", **undo)["state"]["done"] == 0 and store.labels() == []
    act("save", **key(case, "normal"))
    assert [(one.value, one.occasion) for one in store.labels()] == [("normal", 0)]
    act("save", id=uuid.uuid4().hex, kind="undo")
    refused = act("save", 422, id=uuid.uuid4().hex, kind="undo")
    assert "left to take back" in refused["problem"]


def test_a_label_given_again_says_that_it_was_not_blind(act: Ask, store: LabelStore) -> None:
    add_ranking(store)
    case = act("next")["next"]["case"]
    act("save", **key(case, "sick"))
    event = act("begin")["history"][0]["event"]
    shown = act("open", event=event)["next"]
    assert shown["value"] == "sick" and shown["case"] == case
    act("save", **key(case, "normal", edits=event))
    (label,) = store.labels()
    assert (label.value, label.occasion, label.why) == ("normal", 0, "history")
    assert store.events()[-1].view["blind"] is False


def test_conflicts_show_who_said_what_and_are_decided_once(act: Ask, store: LabelStore) -> None:
    first, second = (case.id for case in store.cases()[:2])
    for reader, value in (("Ben", "sick"), ("Cleo", "normal")):
        save(store, first, value, reader)
    save(store, second, "sick", "Ben")
    found = act("conflict")
    assert found["count"] == 1 and found["next"]["case"] == first
    assert found["next"]["said"] == [{"reader": "Ben", "value": "sick"}, {"reader": "Cleo", "value": "normal"}]
    decided = {"kind": "adjudicate", "case": first, "value": "normal"}
    act("save", id=uuid.uuid4().hex, **decided)
    assert store.truth()[first] == "normal" and act("conflict")["next"] is None
    assert "has decided" in act("save", 422, id=uuid.uuid4().hex, **decided)["problem"]


def test_scans_that_are_gone_or_broken_are_passed_over_with_a_sentence(act: Ask, store: LabelStore) -> None:
    order = []
    for _ in store.cases():
        order.append(act("next", avoid=order)["next"]["case"])
    act("release", cases=order)
    subjects = {case.id: case.subject for case in store.cases()}
    folder = store.path.parent
    (folder / f"sub-{subjects[order[0]]}_T1w.nii.gz").unlink()
    (folder / f"sub-{subjects[order[1]]}_T1w.nii.gz").write_bytes(b"no scan")
    act("begin")
    answer = act("next")
    assert answer["next"]["case"] not in order[:2]
    assert answer["passed"].startswith("2 cases are passed over")
    assert order[0] not in store.leased() and act("state")["left"] == 6


def test_a_skipped_case_is_not_labelled_and_a_flag_keeps_its_reason(act: Ask, store: LabelStore) -> None:
    case = act("next")["next"]["case"]
    act("save", id=uuid.uuid4().hex, kind="skip", case=case, seconds=1)
    assert act("state")["done"] == 0 and act("next")["next"]["case"] != case
    act("save", id=uuid.uuid4().hex, kind="flag", case=case, value="motion")
    assert store.flagged() == {case: ["motion"]} and store.events()[0].seconds == 1


def test_labels_that_wait_for_an_adjudicator_are_told_where_labels_are_missing(act: Ask, store: LabelStore) -> None:
    first = store.cases()[0].id
    for reader, value in (("Ben", "sick"), ("Cleo", "normal")):
        save(store, first, value, reader)
    assert "1 case on which readers differ will count once decided (J)." in act("state")["training"]["lack"]
    store.save(id=uuid.uuid4().hex, reader="Eve", kind="adjudicate", case=first, value="sick")
    assert "differ" not in act("state")["training"]["lack"]


def test_training_says_what_is_missing(act: Ask, store: LabelStore) -> None:
    lack = act("begin")["training"]["lack"]
    assert lack == 'A model needs each class in 2 patients outside the test set: "normal" has none, "sick" has none.'
    assert act("train", 422)["problem"] == lack
    pool = [case.id for case in store.cases() if not case.test]
    for n, case in enumerate(pool[:4]):
        save(store, case, ("normal", "sick")[n % 2])
    training = act("state")["training"]
    assert training["lack"] == "" and training["fresh"] == 4
    tested = next(case.id for case in store.cases() if case.test)
    save(store, tested, "sick")
    assert act("state")["training"]["fresh"] == 4, "nothing is learnt from the test set"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"reader": 1}', b"\xff", b'{"reader": "Anna", "id": "x"}',
                                  b'{"reader": "Anna", "id": "' + b"0" * 32 + b'", "kind": "note"}',
                                  b'{"reader": "Anna", "id": "' + b"0" * 32 + b'", "kind": "label", "case": "../x"}',
                                  b'{"reader": "Anna", "id": "' + b"0" * 32 + b'", "kind": "label", "case": "'
                                  + b"0" * 16 + b'"}'])  # fmt: skip
def test_what_no_page_asks_is_not_found(id: str, store: LabelStore, body: bytes) -> None:
    app = Starlette(routes=LABEL_ROUTES)
    assert ask(app, f"/labels/{id}/save", method="POST", body=body).status == 404
    assert store.events() == []


def test_bounds_and_names(act: Ask, id: str) -> None:
    app = Starlette(routes=LABEL_ROUTES)
    assert ask(app, f"/labels/{id}/save", method="POST", body=b" " * 9000).status == 413
    assert ask(app, f"/labels/{id}/tell", method="POST", body=b"{}").status == 404
    assert ask(app, f"/labels/{'0' * 24}/state", method="POST", body=b'{"reader": "Anna"}').status == 404
    assert "1-60 letters" in act("begin", 422, reader="<b>")["problem"]
    assert "/" not in act("save", 422, **key(act("next")["next"]["case"], "absent"))["problem"]


def test_a_store_that_is_damaged_or_gone_is_told_without_its_place(act: Ask, store: LabelStore) -> None:
    act("begin")
    case = act("next")["next"]["case"]
    store.path.write_bytes(b"no database" * 500)
    problem = act("save", 422, **key(case))["problem"]
    assert str(store.path.parent) not in problem and problem.endswith(".")
    store.path.unlink()
    assert "not in this folder" in act("save", 404, **key(case))["problem"]


def test_the_gate_lets_our_own_page_write_and_no_other(id: str) -> None:
    gate = gated(everything)
    inside, own, target = let_in(gate), {"origin": f"http://{HOST}"}, f"/labels/{id}/save"
    assert ask(gate, target, method="POST", headers={**inside, **own}).status == 200
    assert ask(gate, target, method="POST", headers={**inside, **own}).header("cache-control") == "no-store"
    assert ask(gate, target, method="POST", headers=own).status == 403, "no session"
    assert ask(gate, target, method="POST", headers=inside).status == 405, "a page says where it is from"
    for bad in ({"origin": "http://evil.example"}, {**own, "host": "evil.example"},
                {**own, "sec-fetch-site": "same-site"}):  # fmt: skip
        assert ask(gate, target, method="POST", headers={**inside, **bad}).status == 403
    for method in ("PUT", "DELETE", "PATCH"):
        assert ask(gate, target, method=method, headers={**inside, **own}).status == 405
    for other in ("/labels/x/save", f"/labels/{id.upper()}/save", f"/labels/{id}/save/x"):
        assert ask(gate, other, method="POST", headers={**inside, **own}).status in (404, 405)
