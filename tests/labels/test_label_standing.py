"""What the log amounts to, against a plain model that keeps its own books; and what a reader may see of it."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_stores import CLASSES, say, store_of

from medudl.errors import UserError
from medudl.labels import Label, LabelStore, Picked, Ranking, ReaderView

READERS = ("Ann", "Bob")
KINDS = ("label", "skip", "flag", "adjudicate", "undo", "undo", "retry")
STEP = st.tuples(
    st.sampled_from(KINDS), st.sampled_from(READERS), st.integers(0, 2), st.sampled_from(CLASSES), st.integers(0, 1),
    st.integers(0, 9),
)  # fmt: skip


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of saves; that they last is tested elsewhere."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@dataclass
class Model:
    """Stacks of standing events, as a person would keep them on cards."""

    labels: dict[tuple[str, str, int], list[tuple[str, str]]] = field(default_factory=dict)
    flags: list[tuple[str, str]] = field(default_factory=list)  # (id, case)
    decisions: list[tuple[str, str, str]] = field(default_factory=list)  # (id, case, class)
    undoable: list[tuple[str, str, str]] = field(default_factory=list)  # (id, reader, case)
    saves: list[dict[str, object]] = field(default_factory=list)

    def take_back(self, id: str) -> None:
        for stack in self.labels.values():
            stack[:] = [card for card in stack if card[0] != id]
        self.flags = [card for card in self.flags if card[0] != id]
        self.decisions = [card for card in self.decisions if card[0] != id]
        self.undoable = [card for card in self.undoable if card[0] != id]

    def truth(self, cases: list[str]) -> dict[str, str]:
        found = {}
        for case in cases:
            first = {
                s[-1][1] for (_, where, occasion), s in self.labels.items() if s and (where, occasion) == (case, 0)
            }
            if len(first) == 1:
                found[case] = first.pop()
            for _, where, value in self.decisions:
                if where == case:
                    found[case] = value
        return found


def _step(store: LabelStore, model: Model, cases: list[str], step: tuple[str, str, int, str, int, int]) -> None:
    kind, reader, where, value, occasion, back = step
    id, case = uuid.uuid4().hex, cases[where]
    if kind == "retry":
        if model.saves:
            again = model.saves[back % len(model.saves)]
            assert store.save(**again).id == again["id"]  # type: ignore[arg-type]
        return
    if kind == "undo":
        if not model.undoable:
            return
        target, owner, case = model.undoable[back % len(model.undoable)]
        if owner != reader:
            with pytest.raises(UserError, match="no event of yours"):
                say(store, reader, "undo", case, target)
            return
        save = {"id": id, "reader": reader, "kind": "undo", "case": case, "value": target}
        model.take_back(target)
    else:
        save = {"id": id, "reader": reader, "kind": kind, "case": case, "occasion": occasion,
                "value": value if kind in ("label", "adjudicate") else ""}  # fmt: skip
        model.undoable.append((id, reader, case))
        if kind == "label":
            model.labels.setdefault((reader, case, occasion), []).append((id, value))
        elif kind == "flag":
            model.flags.append((id, case))
        elif kind == "adjudicate":
            model.decisions.append((id, case, value))
    model.saves.append(save)
    store.save(**save)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=30))
def test_any_run_of_labels_undos_and_retries_is_as_the_model_says(
    steps: list[tuple[str, str, int, str, int, int]], quick: Path
) -> None:
    (place := quick / uuid.uuid4().hex).mkdir()
    store, model = store_of(place, 3), Model()
    cases = [case.id for case in store.cases()]
    for step in steps:
        _step(store, model, cases, step)
    told = {(one.reader, one.case, one.occasion): (one.event, one.value) for one in store.labels()}
    assert told == {key: stack[-1] for key, stack in model.labels.items() if stack}
    assert {case: len(why) for case, why in store.flagged().items()} == {
        case: sum(where == case for _, where in model.flags) for case in {where for _, where in model.flags}
    }
    assert store.truth() == model.truth(cases)
    assert len(store.events()) == len(model.saves) and store.check() == "ok"
    labelled = {case for (_, case, occasion), stack in model.labels.items() if stack and occasion == 0}
    assert set(store.conflicts()) == labelled - model.truth(cases).keys()


def _with_opinions(store: LabelStore) -> dict[str, dict[str, float]]:
    opinions = {case.id: {"normal": 0.3, "sick": 0.7} for case in store.cases()}
    pool = [case.id for case in store.cases() if not case.test]
    store.add_ranking(Ranking("r1", "now", "run", 0, [Picked(pool[0], "diverse", "")], opinions, None))
    return opinions


def test_a_reader_sees_nothing_of_another(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case = store.cases()[0].id
    ann, bob = store.for_reader("Ann"), store.for_reader("Bob")
    first = ann.save(id="a" * 32, kind="label", case=case, value="sick")
    assert bob.events() == [] and bob.labels() == [] and bob.events(case=case) == []
    assert [label.value for label in store.for_reader("ANN").labels()] == ["sick"]
    for wrong in (first.id, "no such event at all"):  # the same sentence: it must not tell that the event exists
        with pytest.raises(UserError, match=f"undo of '{wrong}': no event of yours on this case"):
            bob.save(id=uuid.uuid4().hex, kind="undo", case=case, value=wrong)
    public = {name for name in dir(ReaderView) if not name.startswith("_")}
    assert public == {"classes", "reader", "unit", "save", "events", "labels", "lease", "release", "opinion"}


def test_the_models_opinion_comes_after_ones_own_label_alone(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case, other = (case.id for case in store.cases()[:2])
    view = store.for_reader("Ann")
    assert view.opinion(case) is None
    opinions = _with_opinions(store)
    say(store, "Bob", "label", case, "sick")
    assert view.opinion(case) is None  # another's label unlocks nothing
    view.lease(case)
    view.save(id=uuid.uuid4().hex, kind="flag", case=case)
    assert view.opinion(case) is None
    label = view.save(id=uuid.uuid4().hex, kind="label", case=case, value="normal")
    assert view.opinion(case) == opinions[case] and view.opinion(other) is None
    view.lease(case)  # a silent repeat is on the screen
    assert view.opinion(case) is None and view.opinion(case, occasion=1) is None
    view.save(id=uuid.uuid4().hex, kind="label", case=case, value="normal", occasion=1)
    assert view.opinion(case, occasion=1) == opinions[case]
    view.save(id=uuid.uuid4().hex, kind="undo", case=case, value=label.id)
    assert view.opinion(case) is None


@pytest.mark.parametrize(("why", "seen"), [("test", "random"), ("repeat", "random"), ("uncertain", "uncertain")])
def test_a_reader_is_not_told_which_were_test_cases_or_repeats(why: str, seen: str, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case = store.cases()[0].id
    view = store.for_reader("Ann")
    assert view.save(id="a" * 32, kind="label", case=case, value="sick", why=why).why == seen
    labels: list[Label] = view.labels()
    assert [event.why for event in view.events()] == [seen] and [label.why for label in labels] == [seen]
    assert store.events()[0].why == store.labels()[0].why == why
